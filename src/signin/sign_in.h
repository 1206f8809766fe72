#pragma once
// The sign-in pages: from an authorization request to a code, by a proven e-mail address (epds-flows,
// sections 2 to 6).
//
//   GET  /oauth/authorize      opens the request and shows the first page; sends nothing
//   GET  /auth/step            the page this flow is at
//   POST /auth/choose          one of the accounts signed in on this device was chosen
//   POST /auth/switch          somebody else wants to sign in
//   POST /auth/email           the address was typed: a code goes out
//   POST /auth/send            the address came with the request: a code goes out, once
//   POST /auth/resend          another code
//   POST /auth/different       back to the address
//   POST /auth/verify          the code was typed
//   GET  /auth/complete        decides: consent, or straight back to the app
//   GET  /auth/consent, POST   what is asked for; approve or deny
//
// The account a code is issued for comes only from the flow's row: the address whose code this browser typed,
// or one of the accounts this browser's device is signed in to, behind the flow cookie and the session cookie
// set at that moment. A form says which of them; whether it is one of them is looked up.

#include "auth/plugins/email_otp/email_otp.h"
#include "oauth/server/server.h"
#include "pds/account_service.h"
#include "signin/code_mail.h"
#include "signin/devices.h"
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
         auth::EmailOtp& otp, CodeMail& codes, Devices& devices, const Pages& pages, const Clock& clock,
         Rng& rng);

  void add_routes(web::Router& router);
  /// Deletes what is over. Run it now and then.
  Task<void> clean();

 private:
  struct Step {  // a flow whose browser, request and CSRF token were checked
    Flow flow;
    oauth::OpenRequest open;
    std::string cookie;
    bool proven;           // this browser also holds the session cookie set at the proof
    FormFields form = {};  // of a POST
  };
  /// Whom a flow proved: an account, or an address that has none yet.
  struct Person {
    std::optional<pds::Account> account;
    std::string email;  // "" when the account was chosen and has none
  };
  enum class Csrf { required, not_needed };
  static constexpr std::size_t k_max_form_fields = 300;  // a consent page has a box for every scope

  Task<web::Response> authorize(web::Request request);
  Task<web::Response> step(web::Request request);
  Task<web::Response> email(web::Request request);
  Task<web::Response> send(web::Request request);
  Task<web::Response> resend(web::Request request);
  Task<web::Response> different(web::Request request);
  Task<web::Response> choose(web::Request request);
  Task<web::Response> start_over(web::Request request);
  Task<web::Response> verify(web::Request request);
  Task<web::Response> complete(web::Request request);
  Task<web::Response> consent(web::Request request);
  Task<web::Response> decide(web::Request request);

  /// The flow named by ?flow_id, or the page that says why not.
  Task<Result<Step, web::Response>> load(web::Request request, Csrf csrf);
  /// The same, and its address was proven in this browser.
  Task<Result<Step, web::Response>> load_proven(web::Request request, Csrf csrf);
  /// The answer to prompt=none: a redirect in every case (OpenID Connect Core §3.1.2.1).
  Task<web::Response> silent(oauth::OpenRequest open, std::vector<pds::Account> here, web::Request request,
                             std::optional<Visit> visit);
  /// The accounts that stay signed in on this device and may sign in.
  Task<std::vector<pds::Account>> accounts_here(std::optional<Visit> visit);
  /// The flow now is about an account of this device.
  Task<web::Response> adopt(std::string flow_id, std::string did);
  /// The page a flow without proof is at: the chooser, the address or the code.
  Task<web::Response> first_page(Step step, std::vector<pds::Account> here);
  Task<Person> person_of(Flow flow);
  /// Why this person may not finish; nullptr when they may.
  const char* refusal(const Flow& flow, const Person& person) const;
  /// Issues the code; keeps the account signed in on this device when that was asked for.
  Task<web::Response> finish(Step step, std::string did, oauth::ScopeSet scope, web::Request request);
  /// What a hint in the request says about who signs in.
  Task<Flow> first_state(oauth::OpenRequest open, std::string browser, std::optional<std::string> url_hint);
  Task<void> send_code(Step step, std::string ip);
  Task<std::optional<pds::Account>> account_of(std::string email);
  /// The account of an address that was proven and has none yet.
  Task<Result<pds::Account, xrpc::Fault>> make_account(std::string email);
  /// What goes to the app, as its response mode wants it.
  web::Response answer(Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                       const web::Request& request) const;
  /// The same, after which this browser needs the session cookie no more.
  web::Response leave(Result<oauth::AuthorizationResponse, oauth::Fault> outcome, std::string flow_id,
                      const web::Request& request) const;

  web::Response show_step(const Step& step, std::string error = {}, std::string notice = {},
                          std::string typed = {}) const;
  web::Response choose_page(const Step& step, const std::vector<pds::Account>& here) const;
  std::string csrf_token(std::string_view cookie, std::string_view flow_id) const;
  std::string link(std::string_view path, std::string_view flow_id) const;
  void set_flow_cookie(web::Response& response, std::string_view value) const;
  void set_session_cookie(web::Response& response, std::string_view flow_id, std::string_view value) const;
  std::string session_cookie(std::string_view flow_id) const;
  bool holds_session(const web::Request& request, const Flow& flow) const;

  Options options_;
  std::string flow_cookie_;
  store::Database& db_;
  oauth::Server& oauth_;
  pds::AccountService& accounts_;
  auth::EmailOtp& otp_;
  CodeMail& codes_;
  Devices& devices_;
  const Pages& pages_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::signin
