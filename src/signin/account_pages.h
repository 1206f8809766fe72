#pragma once
// The pages of an account, without an app: who am I here, which apps may act for me, where am I signed in,
// and out with them (epds-flows, sections 3 and 8).
//
//   GET  /account/login            the address, or the code when one was sent; ?add=1 for one more account
//   POST /account/send-otp         the address was typed, or another code is wanted
//   POST /account/verify-otp       the code was typed
//   GET  /account                  the account used last in this browser
//   POST /account/switch           another account of this browser
//   POST /account/session/revoke   ends one app's session or signs one device out
//   POST /account/sessions/revoke-all   all other devices; apps too when wanted
//   POST /account/logout           signs this account out of this browser
//
// Before sign-in a cookie of its own binds the form, the code and the browser together. After it the device
// cookie says which accounts may act; a form only names one of them, and its token holds for that one.

#include "oauth/server/server.h"
#include "pds/accounts.h"
#include "signin/code_mail.h"
#include "signin/devices.h"
#include "signin/flows.h"
#include "signin/pages.h"

namespace latchkey::signin {

class AccountPages {
 public:
  AccountPages(Secret<Bytes> secret, store::Database& db, oauth::Server& oauth, auth::EmailOtp& otp,
               CodeMail& codes, Devices& devices, const Pages& pages, const Clock& clock, Rng& rng);

  void add_routes(web::Router& router);

 private:
  struct Login {  // a browser on its way to be signed in
    std::string cookie;
    std::optional<Flow> flow;
    FormFields form = {};  // of a POST
  };
  struct Session {  // a browser that is signed in, and the account the request is about
    std::string device;
    std::vector<pds::Account> accounts;  // all of the browser, the last used first
    pds::Account account;
    FormFields form;
  };

  Task<web::Response> login(web::Request request);
  Task<web::Response> send_otp(web::Request request);
  Task<web::Response> verify_otp(web::Request request);

  using Action = Task<web::Response> (AccountPages::*)(Session, web::Request);
  /// Finds the session, checks a form's token, and gives the browser its new cookie.
  Task<web::Response> signed_in(Action action, web::Request request);
  Task<web::Response> account(Session session, web::Request request);
  Task<web::Response> switch_account(Session session, web::Request request);
  Task<web::Response> revoke(Session session, web::Request request);
  Task<web::Response> revoke_all(Session session, web::Request request);
  Task<web::Response> logout(Session session, web::Request request);

  Task<Login> load_login(web::Request request);
  /// The same for a form; or the page that says why not.
  Task<Result<Login, web::Response>> load_login_form(web::Request request);
  Task<std::vector<pds::Account>> accounts_on(std::string device);
  web::Response login_page(const Login& at, bool stay, std::string error = {}, std::string typed = {}) const;
  web::Response code_page(const Login& at, bool stay, std::string error = {}, std::string notice = {}) const;
  web::Response with_login_cookie(web::Response response, const Login& at) const;
  std::string token(std::string_view what, std::string_view first, std::string_view second = {}) const;

  Secret<Bytes> secret_;
  std::string login_cookie_;
  store::Database& db_;
  oauth::Server& oauth_;
  auth::EmailOtp& otp_;
  CodeMail& codes_;
  Devices& devices_;
  const Pages& pages_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::signin
