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
//   GET  /auth/complete        decides: consent, or straight back to the app. Whoever was proven by a route
//   of
//                              /api/auth (a passkey, a provider, a code typed on another page) comes here,
//                              too
//   GET  /auth/consent, POST   what is asked for; approve or deny
//   GET  /auth/recover, POST   a backup address instead: its form or its code page; the address was typed
//   POST /auth/recover/resend, /verify, /choose   another code; the code; which of its accounts
//   GET  /auth/recover/cancel, POST   the link of the mail that calls a recovery off
//
// The account a code is issued for comes only from the flow's row: the address whose code this browser typed,
// what a session of /api/auth proved that began in this browser after the flow did, or one of the accounts
// this browser's device is signed in to, behind the flow cookie and the session cookie set at that moment. A
// form says which of them; whether it is one of them is looked up.

#include "auth/plugins/email_otp/email_otp.h"
#include "auth/plugins/social/social.h"
#include "oauth/server/server.h"
#include "pds/account_service.h"
#include "pds/sign_up_policy.h"
#include "signin/audit.h"
#include "signin/code_mail.h"
#include "signin/devices.h"
#include "signin/flows.h"
#include "signin/letters.h"
#include "signin/pages.h"
#include "signin/people.h"
#include "signin/providers.h"
#include "signin/recovery.h"

namespace latchkey::signin {

class SignIn {
 public:
  struct Options {
    Secret<Bytes> secret;  // 32 bytes or more
    pds::SignUpPolicy sign_up = {};
    std::string handle_domain;  // with its dot: of the handles new accounts choose
    std::vector<ProviderButton> providers = {};
  };
  struct Parts {
    store::Database& db;
    oauth::Server& oauth;
    pds::AccountService& accounts;
    auth::EmailOtp& otp;
    CodeMail& codes;
    Letters& letters;
    Recovery& recovery;
    People& people;
    Devices& devices;
    const Pages& pages;
    const Clock& clock;
    Rng& rng;
  };
  SignIn(Options options, Parts parts);

  void add_routes(web::Router& router);
  /// An address that a provider brought is an account's: a code goes there. Where it is typed, when this
  /// browser is in the middle of a sign-in that may be about that address.
  Task<std::optional<std::string>> prove_control(auth::Context& context, auth::PendingLink link);
  /// Deletes what is over. Run it now and then.
  Task<void> clean();

 private:
  struct Step {  // a flow whose browser, request and CSRF token were checked
    Reader reader;
    Flow flow;
    oauth::OpenRequest open;
    std::string cookie;
    bool proven;              // this browser also holds the session cookie set at the proof
    bool recovering = false;  // the same for the proof of a backup address
    FormFields form = {};     // of a POST
  };
  /// Whom a flow proved: an account, or an address that has none yet.
  struct Person {
    std::optional<pds::Account> account;
    std::string email;  // "" when the account was chosen and has none
  };
  enum class Csrf { required, not_needed };
  enum class Consent { asked, given_before };
  struct NotMade {
    std::string key;  // of the words that say what to correct; "" when nothing can be
    xrpc::Fault fault;
  };
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
  /// The consent page; after a form that was refused with what was typed and why.
  Task<web::Response> consent_page(Step step, Person person, std::string error = {});

  // sign_in_recover.cpp
  void add_recovery_routes(web::Router& router);
  Task<web::Response> recover_page(web::Request request);
  Task<web::Response> recover_send(web::Request request);
  Task<web::Response> recover_resend(web::Request request);
  Task<web::Response> recover_verify(web::Request request);
  Task<web::Response> recover_choose(web::Request request);
  Task<web::Response> recover_cancel_page(web::Request request);
  Task<web::Response> recover_cancel(web::Request request);
  /// The accounts a proven backup address may open in this flow.
  Task<std::vector<pds::Account>> recoverable(Flow flow, mail::EmailAddress backup);
  Task<web::Response> recover_account(Step step, pds::Account account, mail::EmailAddress backup,
                                      web::Request request);
  Task<web::Response> recovered_page(Step step);
  web::Response recover_form(const Step& step, std::string error = {}, std::string typed = {}) const;
  web::Response recover_code_page(const Step& step, std::string error = {}, std::string notice = {}) const;

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
  /// The flow takes over what a session of /api/auth proved, which ends; nothing when there is none.
  Task<std::optional<web::Response>> adopt_proof(Step step, web::Request request);
  /// The user of the proven address is the account's now, and an identity that waited for the proof of its
  /// address is linked.
  Task<void> bring_together(std::string did, web::Request request);
  /// The page a flow without proof is at: the chooser, the address or the code.
  Task<web::Response> first_page(Step step, std::vector<pds::Account> here);
  Task<Person> person_of(Flow flow);
  /// Why this person may not finish, for the app.
  std::optional<std::string> refusal(const Flow& flow, const Person& person) const;
  /// Issues the code; keeps the account signed in on this device when that was asked for.
  Task<web::Response> finish(Step step, std::string did, oauth::ScopeSet scope, Consent consent,
                             web::Request request);
  /// What a hint in the request says about who signs in.
  Task<Flow> first_state(oauth::OpenRequest open, std::string browser, std::optional<std::string> url_hint);
  Task<void> send_code(Step step, std::string ip);
  Task<std::optional<pds::Account>> account_of(std::string email);

  // sign_in_new_account.cpp
  /// Why no account is made for this address; "" when one may be.
  std::string sign_up_refusal(const std::string& email) const;
  /// For templates: what a new account is asked for, with what was typed.
  void ask_for_account(json::Object& view, const FormFields& form) const;
  /// The words of the first page for those who have no account.
  std::string sign_up_note(const Reader& reader) const;
  /// The account of an address that was proven and has none yet, called what the form says.
  Task<Result<pds::Account, NotMade>> make_account(std::string email, FormFields form, Actor actor);

  /// What goes to the app, as its response mode wants it.
  web::Response answer(Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                       const web::Request& request) const;
  /// The same, after which this browser needs the session cookie no more.
  web::Response leave(Result<oauth::AuthorizationResponse, oauth::Fault> outcome, std::string flow_id,
                      const web::Request& request) const;

  web::Response show_step(const Step& step, std::string error = {}, std::string notice = {},
                          std::string typed = {}) const;
  /// For templates: other ways in than a code.
  void offer_other_ways(json::Object& view, const Flow& flow) const;
  web::Response choose_page(const Step& step, const std::vector<pds::Account>& here) const;
  std::string csrf_token(std::string_view cookie, std::string_view flow_id) const;
  std::string link(std::string_view path, std::string_view flow_id) const;
  void set_flow_cookie(web::Response& response, std::string_view value) const;
  void set_session_cookie(web::Response& response, std::string_view flow_id, std::string_view value) const;
  std::string session_cookie(std::string_view flow_id) const;
  /// This browser holds the cookie set at the flow's newest proof.
  bool holds_session(const web::Request& request, const Flow& flow) const;

  Options options_;
  std::string flow_cookie_;
  store::Database& db_;
  oauth::Server& oauth_;
  pds::AccountService& accounts_;
  auth::EmailOtp& otp_;
  CodeMail& codes_;
  Letters& letters_;
  Recovery& recovery_;
  People& people_;
  Devices& devices_;
  const Pages& pages_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::signin
