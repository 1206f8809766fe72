#pragma once
// What a program decides about its Auth. Defaults are Better Auth's (contract, section 15).

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/cookies.h"
#include "auth/core/plugin.h"
#include "base/executor.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"

namespace latchkey::auth {

/// A link to mail. Callbacks return when the mail is queued: how long sending takes must not tell whether an
/// address is known.
struct LinkMail {
  User user;
  std::string url;
  std::string token;
  std::string accept_language;  // of the request that asked for it
};
using SendLink = std::function<Task<void>(LinkMail)>;

struct SessionOptions {
  std::chrono::seconds expires_in{7 * 86'400};
  std::chrono::seconds update_age{86'400};
  std::chrono::seconds fresh_age{86'400};  // 0: every session is fresh
  std::vector<Field> additional_fields = {};
};

struct EmailAndPasswordOptions {
  bool enabled = false;
  bool disable_sign_up = false;
  bool require_email_verification = false;
  bool auto_sign_in = true;
  std::size_t min_password_length = 8, max_password_length = 128;  // UTF-16 units
  SendLink send_reset_password = {};
  std::chrono::seconds reset_password_token_expires_in{3600};
  bool revoke_sessions_on_password_reset = false;
};

struct EmailVerificationOptions {
  SendLink send_verification_email = {};
  /// By default when require_email_verification is on.
  std::optional<bool> send_on_sign_up = {};
  bool send_on_sign_in = false;
  bool auto_sign_in_after_verification = false;
  std::chrono::seconds expires_in{3600};
};

struct UserOptions {
  std::vector<Field> additional_fields = {};
  struct {
    bool enabled = false;
    SendLink send_delete_account_verification = {};  // when set, deletion is confirmed by mail
    std::chrono::seconds delete_token_expires_in{86'400};
  } delete_user = {};
  struct {
    bool enabled = false;
    /// To the old address first, when it is verified. `LinkMail::user` has the old address.
    SendLink send_change_email_confirmation = {};
  } change_email = {};
};

/// Read by plugins that link identities (social, atproto).
struct AccountLinkingOptions {
  bool enabled = true;
  std::vector<std::string> trusted_providers = {};
  bool allow_different_emails = false;
  bool allow_unlinking_all = false;
  bool update_user_info_on_link = false;
  bool disable_implicit_linking = false;
  bool require_local_email_verified = true;
};
struct AccountOptions {
  AccountLinkingOptions linking = {};
  bool update_account_on_sign_in = true;
  bool encrypt_oauth_tokens = false;
  /// Inside of the transaction in which a user unlinks an account; a fault keeps it. Beside the rule that
  /// counts accounts (linking.allow_unlinking_all).
  std::function<Result<void, Fault>(store::Tx&, const Context&, const User&, const Account&)> before_unlink =
      {};
  /// Told after it.
  std::function<Task<void>(Context&, User, Account)> unlinked = {};
};

struct RateLimitOptions {
  bool enabled = true;
  std::chrono::seconds window{10};
  int max = 100;
  std::vector<PathLimit> custom_rules = {};
  enum class Storage { memory, database } storage = Storage::memory;
};

/// Answers to other origins. `trusted_origins`: those of Options::trusted_origins may read answers and send
/// credentials; preflights are answered.
enum class Cors { off, trusted_origins };

struct Options {
  std::string base_url;  // "https://myapp.com"; its path, when it has one, is the base path
  std::string base_path = "/api/auth";
  Secret<std::string> secret;  // 32 characters or more
  /// What was `secret` before: still verifies cookies and links.
  std::vector<Secret<std::string>> old_secrets = {};
  store::Database& database;
  const Clock& clock;
  Rng& rng;
  ThreadPool* password_pool = nullptr;  // none: hashed on the calling thread

  std::vector<std::string> trusted_origins = {};
  Cors cors = Cors::off;
  SessionOptions session = {};
  EmailAndPasswordOptions email_and_password = {};
  EmailVerificationOptions email_verification = {};
  UserOptions user = {};
  AccountOptions account = {};
  RateLimitOptions rate_limit = {};
  CookieOptions cookies = {};
  TableNames tables = {};
  std::vector<std::string> disabled_paths = {};
  std::string error_url = {};  // where /error sends people; "": "/"
  RecordHooks records = {};    // after those of the plugins
  std::vector<BeforeHook> before = {};
  std::vector<AfterHook> after = {};
  std::vector<Plugin> plugins = {};
};

}  // namespace latchkey::auth
