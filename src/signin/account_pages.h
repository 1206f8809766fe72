#pragma once
// The pages of an account, without an app: who am I here, how do I sign in, which apps may act for me, where
// am I signed in, and what can I take with me (epds-flows, sections 3, 7 and 8).
//
//   GET  /account/login            the address, or the code when one was sent; ?add=1 for one more account
//   POST /account/send-otp         the address was typed, or another code is wanted
//   POST /account/verify-otp       the code was typed
//   GET  /account/recover, POST    a backup address instead; POST …/verify, …/choose, …/resend
//   GET  /account/complete         a passkey or a provider proved who this is
//   GET  /account                  the account used last in this browser; ?success= and ?error= tell what
//   happened POST /account/switch           another account of this browser POST /account/session/revoke ends
//   one app's session or signs one device out POST /account/sessions/revoke-all   all other devices; apps too
//   when wanted POST /account/logout           signs this account out of this browser GET  /account/confirm
//   confirm it is you: POST …/send, …/verify
//
// and what changes the account, each of which wants a proof of the last five minutes:
//
//   POST /account/handle, /account/email, /account/email/verify
//   POST /account/backup-email/add, …/remove; GET and POST …/verify, which the link in the mail leads to
//   POST /account/passkey/add, …/rename, …/remove; /account/provider/link, …/unlink
//   POST /account/password, …/remove; /account/app-password/add, …/revoke
//   POST /account/data/archive, /account/data/repo; /account/rotation-key/add, …/remove
//   POST /account/deactivate, /account/reactivate, /account/delete
//
// Before sign-in a cookie of its own binds the form, the code and the browser together. After it the device
// cookie says which accounts may act; a form only names one of them, and its token holds for that one.

#include "auth/plugins/passkey/passkey.h"
#include "auth/plugins/social/social.h"
#include "oauth/server/server.h"
#include "pds/pds.h"
#include "signin/code_mail.h"
#include "signin/devices.h"
#include "signin/flows.h"
#include "signin/letters.h"
#include "signin/pages.h"
#include "signin/people.h"
#include "signin/providers.h"
#include "signin/recovery.h"

namespace latchkey::signin {

inline constexpr std::chrono::minutes k_recent_proof{5};  // for what changes an account

class AccountPages {
 public:
  struct Options {
    Secret<Bytes> secret;       // 32 bytes or more
    std::string handle_domain;  // of bare names: ".pds.example"
    std::vector<ProviderButton> providers = {};
  };
  struct Parts {
    store::Database& db;
    oauth::Server& oauth;
    pds::Pds& pds;
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
  AccountPages(Options options, Parts parts);

  void add_routes(web::Router& router);

  // What /api/auth asks.

  /// Sends a code to an address that a provider brought and that is an account's; where it is typed.
  Task<std::optional<std::string>> prove_control(auth::Context& context, auth::PendingLink link);
  /// Into the record of the account, and to its owner.
  Task<void> passkey_changed(auth::User user, auth::Passkey passkey, auth::PasskeyChange change);
  Task<void> provider_linked(auth::Context& context, auth::User user, std::string label);
  Result<void, auth::Fault> before_provider_unlinked(store::Tx& tx, const auth::Context& context,
                                                     const auth::User& user,
                                                     const auth::Account& account) const;
  Task<void> provider_unlinked(auth::Context& context, auth::User user, auth::Account account);

 private:
  struct Login {  // a browser on its way to be signed in
    Reader reader;
    std::string cookie;
    std::optional<Flow> flow;
    FormFields form = {};  // of a POST
  };
  struct Session {  // a browser that is signed in, and the account the request is about
    Reader reader;
    std::string device;
    std::vector<pds::Account> accounts;  // all of the browser, the last used first
    pds::Account account;
    Stay stay = Stay::this_time;
    std::string proven_by = {};  // "email", "passkey", a provider's id, "backup"
    Time proven_at = {};
    FormFields form = {};
  };

  // account_pages.cpp
  Task<web::Response> login(web::Request request);
  Task<web::Response> send_otp(web::Request request);
  Task<web::Response> verify_otp(web::Request request);
  Task<web::Response> complete(web::Request request);
  /// Signs an account in in this browser and tells its record. The answer leads to the account.
  Task<web::Response> arrive(pds::Account account, Stay stay, std::string by, std::string lang,
                             web::Request request);

  using Action = Task<web::Response> (AccountPages::*)(Session, web::Request);
  enum class Proof { any, recent };
  /// Finds the session, checks a form's token, and gives the browser its new cookie.
  Task<web::Response> signed_in(Action action, Proof proof, web::Request request);
  Task<web::Response> account(Session session, web::Request request);
  Task<web::Response> switch_account(Session session, web::Request request);
  Task<web::Response> revoke(Session session, web::Request request);
  Task<web::Response> revoke_all(Session session, web::Request request);
  Task<web::Response> logout(Session session, web::Request request);
  /// The page of the account. `new_app_password` is shown this once.
  Task<web::Response> account_page(Session session, std::string notice, std::string error,
                                   std::string new_app_password = {});

  // account_recover.cpp
  Task<web::Response> recover(web::Request request);
  Task<web::Response> recover_send(web::Request request);
  Task<web::Response> recover_resend(web::Request request);
  Task<web::Response> recover_verify(web::Request request);
  Task<web::Response> recover_choose(web::Request request);
  Task<web::Response> recover_account(Login login, pds::Account account, mail::EmailAddress backup,
                                      web::Request request);
  web::Response recover_form(const Login& login, std::string error = {}, std::string typed = {}) const;
  web::Response recover_code_page(const Login& login, std::string error = {}, std::string notice = {}) const;
  Task<web::Response> recover_choose_page(Login login, mail::EmailAddress backup);

  // account_confirm.cpp
  Task<web::Response> confirm(Session session, web::Request request);
  Task<web::Response> confirm_send(Session session, web::Request request);
  Task<web::Response> confirm_verify(Session session, web::Request request);
  Task<web::Response> confirm_page(Session session, std::optional<mail::EmailAddress> sent_to,
                                   std::string error = {});
  Task<std::vector<mail::EmailAddress>> confirm_targets(Session session);
  Task<std::optional<mail::EmailAddress>> confirm_target(Session session, std::string masked);

  // account_identity.cpp
  Task<web::Response> change_handle(Session session, web::Request request);
  Task<web::Response> change_email(Session session, web::Request request);
  Task<web::Response> verify_email(Session session, web::Request request);
  web::Response email_change_page(const Session& session, std::string address, std::string error = {}) const;

  // account_backups.cpp
  Task<web::Response> add_backup(Session session, web::Request request);
  Task<web::Response> remove_backup(Session session, web::Request request);
  Task<web::Response> backup_page(web::Request request);
  Task<web::Response> verify_backup(web::Request request);

  // account_methods.cpp
  enum class Method { email, passkey, provider, password };
  Task<web::Response> add_passkey(Session session, web::Request request);
  Task<web::Response> passkey_page(Session session, web::Request request);
  Task<web::Response> rename_passkey(Session session, web::Request request);
  Task<web::Response> remove_passkey(Session session, web::Request request);
  Task<web::Response> link_provider(Session session, web::Request request);
  Task<web::Response> unlink_provider(Session session, web::Request request);
  std::string provider_label(std::string_view account_provider_id) const;
  /// Buttons that lead to a provider and back to /account/complete.
  json::Array provider_links() const;
  Task<void> add_methods(json::Object& view, Session session);
  Task<bool> has_passkeys(pds::Account account);
  /// Whether something besides one method of this kind still opens the account.
  bool has_other_method(store::Tx& tx, const pds::Account& account, Method method) const;
  /// A method that was taken away, or why not.
  struct Taken {
    std::optional<std::string> label;
    bool last = false;
  };

  // account_passwords.cpp
  Task<web::Response> set_password(Session session, web::Request request);
  Task<web::Response> remove_password(Session session, web::Request request);
  Task<web::Response> add_app_password(Session session, web::Request request);
  Task<web::Response> revoke_app_password(Session session, web::Request request);

  // account_data.cpp
  Task<web::Response> download_repo(Session session, web::Request request);
  Task<web::Response> download_archive(Session session, web::Request request);
  Task<web::Response> add_rotation_key(Session session, web::Request request);
  Task<web::Response> remove_rotation_key(Session session, web::Request request);
  /// The keys that may change the DID; none when the directory does not answer.
  Task<void> add_keys(json::Object& view, Session session);
  Task<web::Response> change_rotation_key(Session session, web::Request request, Event event);
  Task<web::Response> deactivate(Session session, web::Request request);
  Task<web::Response> reactivate(Session session, web::Request request);
  Task<web::Response> remove_account(Session session, web::Request request);

  Task<void> note(Session session, Event event, std::string detail, web::Request request);
  bool is_recent(const Session& session) const { return clock_.now() - session.proven_at < k_recent_proof; }
  std::string csrf(const Session& session) const;

  /// The row of this browser's way in, as it begins.
  Flow login_flow(const Login& login) const;
  Task<Login> load_login(web::Request request);
  /// The same for a form; or the page that says why not.
  Task<Result<Login, web::Response>> load_login_form(web::Request request);
  Task<std::vector<pds::Account>> accounts_on(std::string device);
  web::Response login_page(const Login& at, bool stay, std::string error = {}, std::string typed = {}) const;
  web::Response code_page(const Login& at, bool stay, std::string error = {}, std::string notice = {}) const;
  web::SetCookie login_cookie(const Login& at) const;
  web::Response with_login_cookie(web::Response response, const Login& at) const;
  std::string token(std::string_view what, std::string_view first, std::string_view second = {}) const;

  Options options_;
  std::string login_cookie_;
  store::Database& db_;
  oauth::Server& oauth_;
  pds::Pds& pds_;
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
