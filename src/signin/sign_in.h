#pragma once
// The sign-in pages: from an authorization request to a code, by a proven e-mail address (epds-flows,
// sections 2 to 6).
//
//   GET  /oauth/authorize      opens the request and shows the first page; sends nothing
//   GET  /auth/step            the page this flow is at
//   POST /auth/email           the address was typed: a code goes out
//   POST /auth/send            the address came with the request: a code goes out, once
//   POST /auth/resend          another code
//   POST /auth/different       back to the address
//   POST /auth/verify          the code was typed
//   GET  /auth/complete        decides: consent, or straight back to the app
//   GET  /auth/consent, POST   what is asked for; approve or deny
//
// The account a code is issued for comes only from the flow's row: the address whose code this browser typed,
// behind the flow cookie and the session cookie set at that moment. Never from a form, a query or a cookie's
// value.

#include "auth/plugins/email_otp/email_otp.h"
#include "oauth/server/server.h"
#include "pds/account_service.h"
#include "signin/code_mail.h"
#include "signin/flows.h"
#include "signin/pages.h"

namespace latchkey::signin {

struct Options {
  Secret<Bytes> secret;  // 32 bytes or more
  bool may_sign_up = true;
};

class SignIn {
 public:
  SignIn(Options options, store::Database& db, oauth::Server& oauth, pds::AccountService& accounts,
         auth::EmailOtp& otp, CodeMail& codes, const Pages& pages, const Clock& clock, Rng& rng);

  void add_routes(web::Router& router);
  /// Deletes what is over. Run it now and then.
  Task<void> clean();

 private:
  struct Step {  // a flow whose browser, request and CSRF token were checked
    Flow flow;
    oauth::OpenRequest open;
    std::string cookie;
    bool proven;  // this browser also holds the session cookie set when the code was right
  };
  enum class Csrf { required, not_needed };

  Task<web::Response> authorize(web::Request request);
  Task<web::Response> step(web::Request request);
  Task<web::Response> email(web::Request request);
  Task<web::Response> send(web::Request request);
  Task<web::Response> resend(web::Request request);
  Task<web::Response> different(web::Request request);
  Task<web::Response> verify(web::Request request);
  Task<web::Response> complete(web::Request request);
  Task<web::Response> consent(web::Request request);
  Task<web::Response> decide(web::Request request);

  /// The flow named by ?flow_id, or the page that says why not.
  Task<Result<Step, web::Response>> load(web::Request request, Csrf csrf);
  /// The same, and its address was proven in this browser.
  Task<Result<Step, web::Response>> load_proven(web::Request request, Csrf csrf);
  /// What a hint in the request says about who signs in.
  Task<Flow> first_state(oauth::OpenRequest open, std::string browser, std::optional<std::string> url_hint);
  Task<void> send_code(Step step, std::string ip);
  Task<std::optional<pds::Account>> account_of(std::string email);
  /// The account of an address that was proven and has none yet.
  Task<Result<pds::Account, xrpc::Fault>> make_account(std::string email);
  /// The redirect to the app, after which this browser needs the session cookie no more.
  web::Response leave(Result<oauth::AuthorizationResponse, oauth::Fault> outcome, std::string flow_id,
                      const web::Request& request) const;

  web::Response show_step(const Step& step, std::string error = {}, std::string notice = {},
                          std::string typed = {}) const;
  std::string csrf_token(std::string_view cookie, std::string_view flow_id) const;
  std::string link(std::string_view path, std::string_view flow_id) const;
  void set_flow_cookie(web::Response& response, std::string_view value) const;
  std::string session_cookie(std::string_view flow_id) const;
  bool holds_session(const web::Request& request, const Flow& flow) const;

  Options options_;
  std::string flow_cookie_;
  store::Database& db_;
  oauth::Server& oauth_;
  pds::AccountService& accounts_;
  auth::EmailOtp& otp_;
  CodeMail& codes_;
  const Pages& pages_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::signin
