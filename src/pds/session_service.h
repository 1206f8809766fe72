#pragma once
// Legacy sessions (com.atproto.server.createSession and friends): HS256 tokens under one server secret.
// Access tokens live two hours and are not stored; refresh tokens live 90 days and each names a row.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "atproto/syntax/did.h"
#include "atproto/xrpc/error.h"
#include "base/task.h"
#include "pds/accounts.h"
#include "pds/app_passwords.h"
#include "pds/config.h"
#include "pds/repo_service.h"

namespace latchkey::pds {

/// The `scope` claim of session tokens.
enum class SessionScope { access, app_pass, app_pass_privileged, takendown, signup_queued, refresh };
std::string_view wire(SessionScope scope);
std::optional<SessionScope> parse_session_scope(std::string_view text);

inline constexpr std::chrono::hours k_access_lifetime{2};
inline constexpr std::chrono::hours k_refresh_lifetime{90 * 24};
inline constexpr std::chrono::hours k_refresh_grace{2};

struct SessionTokens {
  std::string access_jwt;
  std::string refresh_jwt;
};

struct RefreshedSession {
  SessionTokens tokens;
  Account account;
  SessionScope scope;
};

/// What somebody proved to sign in.
struct LogIn {
  Account account;
  std::optional<AppPassword> app_password;  // absent: the main password
  std::string password_scrypt;              // of the main password; compared again when the session begins
  SessionScope scope() const;
};

struct AccessClaims {
  Did did;
  SessionScope scope;
};

struct RefreshClaims {
  Did did;
  std::string token_id;
};

enum class Expired { refuse, accept };

class SessionService {
 public:
  SessionService(Shared shared, const Config& config) : shared_(shared), config_(config) {}

  /// The account a password or an app password opens. Unless it is a right app password, one scrypt is
  /// computed whatever happens, so that unknown names, accounts without a password and wrong passwords look
  /// the same. App passwords do not open accounts that are taken down. Errors: AuthenticationRequired.
  Task<Result<LogIn, xrpc::Fault>> log_in(std::string identifier, Secret<std::string> password);

  /// Of an account that was just made.
  Task<SessionTokens> begin(Account account);
  /// Errors: AuthenticationRequired (the password was changed or revoked meanwhile).
  Task<Result<SessionTokens, xrpc::Fault>> begin(LogIn log_in);
  /// Errors: ExpiredToken (revoked, or replaced and past its grace).
  Task<Result<RefreshedSession, xrpc::Fault>> refresh(RefreshClaims claims);
  Task<void> end(RefreshClaims claims);

  // Pure checks of a token. Errors: InvalidToken, ExpiredToken.
  Result<AccessClaims, xrpc::Fault> check_access(std::string_view jwt, Time now) const;
  Result<RefreshClaims, xrpc::Fault> check_refresh(std::string_view jwt, Time now, Expired expired) const;

 private:
  SessionTokens tokens(const Did& did, SessionScope scope, const std::string& refresh_id, Time now) const;
  std::string access_jwt(const Did& did, SessionScope scope, Time now) const;
  std::string refresh_jwt(const Did& did, const std::string& id, Time now) const;
  const std::string& decoy();

  Shared shared_;
  const Config& config_;
  std::once_flag decoy_once_;
  std::string decoy_;
};

}  // namespace latchkey::pds
