#pragma once
// The PDS side of a sign-in that another program serves: ePDS's sign-in service, on a host and with a
// database of its own (epds-flows, section 10). It proves who somebody is and asks for consent there, then
// sends the browser here. Nothing of this exists unless both secrets are configured.
//
//   GET /oauth/magic-callback         on the PDS's host: a signed hand-over (hand_over.h); the code is issued
//   GET /_internal/account-by-email   on a private listener only: the other host asks whose address this is
//
// The account comes only from the signed values. The request is opened by the browser that brings them, and
// so is refused where another browser has opened it.

#include "oauth/server/server.h"
#include "pds/account_service.h"
#include "signin/hand_over.h"
#include "signin/pages.h"

namespace latchkey::signin {

struct SplitHostsOptions {
  Secret<Bytes> callback_secret;  // MAGIC_CALLBACK_SECRET, 32 bytes or more
  Secret<Bytes> internal_secret;  // MAGIC_INTERNAL_SECRET, the same
};

class SplitHosts {
 public:
  struct Parts {
    store::Database& db;
    oauth::Server& oauth;
    pds::AccountService& accounts;
    pds::SignUpPolicy sign_up;
    const Pages& pages;
    const Clock& clock;
    Rng& rng;
  };
  SplitHosts(SplitHostsOptions options, Parts parts);

  void add_routes(web::Router& router);
  /// For a listener that only the other host reaches.
  web::Router internal_routes();
  /// Deletes what is over. Run it now and then.
  Task<void> clean();

 private:
  struct Refusal {  // for the app
    oauth::Error error;
    std::string description;
  };

  Task<web::Response> callback(web::Request request);
  Task<web::Response> account_by_email(web::Request request);
  /// The account that was handed over, made when it is a new one.
  Task<Result<pds::Account, Refusal>> account_of(HandOver handed, oauth::OpenRequest open,
                                                 web::Request request);
  Task<Result<pds::Account, Refusal>> make_account(mail::EmailAddress email, web::Request request);
  /// Into the record of the account.
  Task<void> note(pds::Account account, oauth::OpenRequest open, web::Request request);

  SplitHostsOptions options_;
  Parts parts_;
  std::string host_;  // of the PDS
};

}  // namespace latchkey::signin
