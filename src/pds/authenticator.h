#pragma once
// Who is calling: the Authorization header to Credentials.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atproto/syntax/nsid.h"
#include "oauth/jose/jwt.h"
#include "oauth/scopes/permissions.h"
#include "pds/accounts.h"
#include "pds/config.h"
#include "pds/oauth_verifier.h"
#include "pds/session_service.h"
#include "web/http.h"

namespace latchkey::pds {

/// What a method asks for.
enum class Access {
  none,
  optional,            // public, but the account itself sees more
  session,             // session or OAuth; no taken-down accounts
  session_or_service,  // the same, or a service JWT of the account for this method
  session_takendown,   // session or OAuth, and sessions of taken-down accounts
  refresh,             // a refresh token
  refresh_expired,     // the same, also when it has expired
  admin,               // the operator, by the admin password
};

enum class RepoAction { create, update, remove };

struct Credentials {
  enum class Kind { session, oauth, service };
  Kind kind;
  Account account;
  SessionScope scope = SessionScope::access;                   // of a session
  std::shared_ptr<const oauth::Permissions> permissions = {};  // of OAuth
  std::string client_id = {};                                  // of OAuth

  /// Whether this may write records of the collection. Errors: ScopeMissingError, naming what is missing.
  Result<void, xrpc::Fault> may_write(RepoAction action, const Nsid& collection) const;
  bool may_read_email() const;
};

struct Caller {
  std::optional<Credentials> account;
  std::optional<RefreshClaims> refresh;
};

class RepoService;

class Authenticator {
 public:
  /// `oauth` may be null: `Authorization: DPoP` is refused then.
  Authenticator(Shared shared, const Config& config, const SessionService& sessions, RepoService& repos,
                OauthVerifier* oauth)
      : shared_(shared), config_(config), sessions_(sessions), repos_(repos), oauth_(oauth) {}

  /// `method` is the NSID that is called, where service JWTs are taken. The failure is a whole response,
  /// because OAuth failures come with headers (RFC 9449 §7.1).
  Task<Result<Caller, web::Response>> authenticate(const web::Request& request, Access access,
                                                   std::string_view method = {});

  /// Whether the request presents a DPoP-bound token.
  static bool is_dpop(const web::Request& request);
  /// Headers every answer carries: the next DPoP nonce, cache rules.
  void add_headers(bool dpop, Access access, web::Response& response) const;

 private:
  bool is_admin(std::string_view authorization) const;
  Task<Result<Caller, web::Response>> session(std::string token, Access access);
  Task<Result<Caller, web::Response>> service(oauth::Jwt token, std::string method);
  Task<Result<Caller, web::Response>> dpop(OauthRequest request, Access access);
  Task<Result<Account, web::Response>> account(Did did);

  Shared shared_;
  const Config& config_;
  const SessionService& sessions_;
  RepoService& repos_;
  OauthVerifier* oauth_;
  oauth::PermissionsCache permissions_;
};

web::Response response_of(const xrpc::Fault& fault);

}  // namespace latchkey::pds
