#include "pds/authenticator.h"

#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "pds/method_permissions.h"
#include "pds/repo_service.h"
#include "pds/service_jwt.h"
#include "pds/session_answer.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

std::unexpected<web::Response> refuse(Error code, std::string message) {
  return fail(response_of({.code = code, .message = std::move(message)}));
}

struct Authorization {
  std::string type, token;
};

/// RFC 9110 §11.4: scheme, one space, credentials; the scheme has no case.
std::optional<Authorization> parse_authorization(std::string_view header) {
  const auto space = header.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == header.size()) return std::nullopt;
  const auto token = header.substr(space + 1);
  if (token.contains(' ')) return std::nullopt;
  return Authorization{std::string(header.substr(0, space)), std::string(token)};
}

Task<Result<Caller, web::Response>> done(Result<Caller, web::Response> result) { co_return result; }

bool is_standard(SessionScope scope) {
  return scope == SessionScope::access || scope == SessionScope::app_pass ||
         scope == SessionScope::app_pass_privileged;
}

std::string_view word(RepoAction action) {
  switch (action) {
    case RepoAction::create:
      return "create";
    case RepoAction::update:
      return "update";
    case RepoAction::remove:
      return "delete";
  }
  std::abort();
}

}  // namespace

web::Response response_of(const Fault& fault) {
  return web::Response::json_text(xrpc::body(fault), fault.status());
}

Result<void, Fault> Credentials::may_write(RepoAction action, const Nsid& collection) const {
  if (kind == Kind::session) return {};
  if (kind == Kind::oauth && permissions->allows_repo(word(action), collection.str())) return {};
  return fail(scope_missing(oauth::Permissions::missing_repo(word(action), collection.str())));
}

bool Credentials::may_read_email() const {
  if (kind == Kind::session) return email_fields(scope) == EmailFields::show;
  return kind == Kind::oauth && permissions->allows_account("email", "read");
}

Task<Result<Account, web::Response>> Authenticator::account(Did did) {
  auto found = co_await shared_.db.read([&](store::Tx& tx) { return accounts::by_did(tx, did); });
  if (!found) co_return refuse(Error::AccountNotFound, "Account not found");
  co_return *std::move(found);
}

/// RFC 7617 §2. Without a configured password nobody is.
bool Authenticator::is_admin(std::string_view authorization) const {
  const auto parsed = parse_authorization(authorization);
  if (!config_.admin_password || !parsed || !web::equal_no_case(parsed->type, "basic")) return false;
  const auto given = from_base64(parsed->token);
  return given && crypto::equal(as_text(*given), "admin:" + config_.admin_password->reveal());
}

// `request` is only read before the first suspension.
Task<Result<Caller, web::Response>> Authenticator::authenticate(const web::Request& request, Access access,
                                                                std::string_view method) {
  if (access == Access::none) return done(Caller{});
  if (request.headers.count("authorization") > 1)
    return done(refuse(Error::InvalidToken, "Malformed authorization header"));
  const auto header = request.headers.get("authorization");
  if (access == Access::admin) {
    if (is_admin(header)) return done(Caller{});
    return done(refuse(Error::AuthenticationRequired, "Authentication Required"));
  }
  if (header.empty()) {
    if (access == Access::optional) return done(Caller{});
    return done(refuse(Error::AuthMissing, "Authentication Required"));
  }
  auto authorization = parse_authorization(header);
  if (!authorization) return done(refuse(Error::InvalidToken, "Malformed authorization header"));

  if (web::equal_no_case(authorization->type, "bearer")) {
    if (access == Access::refresh || access == Access::refresh_expired) {
      auto claims = sessions_.check_refresh(authorization->token, shared_.clock.now(),
                                            access == Access::refresh ? Expired::refuse : Expired::accept);
      if (!claims) return done(fail(response_of(claims.error())));
      return done(Caller{.account = std::nullopt, .refresh = *std::move(claims)});
    }
    if (access == Access::session_or_service)
      if (auto jwt = oauth::parse_compact(authorization->token); jwt && is_service_jwt(*jwt))
        return service(*std::move(jwt), std::string(method));
    return session(std::move(authorization->token), access);
  }
  const bool takes_oauth = access != Access::refresh && access != Access::refresh_expired;
  if (web::equal_no_case(authorization->type, "dpop") && oauth_ && takes_oauth)
    return dpop({.method = request.method,
                 .uri = config_.public_url + request.path,  // RFC 9449 §4.2: htu has no query
                 .token = std::move(authorization->token),
                 .proofs = request.headers.all("dpop")},
                access);
  return done(refuse(Error::InvalidToken, "Unexpected authorization type"));
}

Task<Result<Caller, web::Response>> Authenticator::session(std::string token, Access access) {
  auto claims = sessions_.check_access(token, shared_.clock.now());
  if (!claims) co_return fail(response_of(claims.error()));
  const bool takendown_allowed = access == Access::session_takendown || access == Access::optional;
  const bool allowed = is_standard(claims->scope) ||
                       (claims->scope == SessionScope::takendown && takendown_allowed) ||
                       (claims->scope == SessionScope::signup_queued && access == Access::session_takendown);
  if (!allowed) co_return refuse(Error::InvalidToken, "Bad token scope");
  CO_TRY(auto account, co_await this->account(std::move(claims->did)));
  if (account.taken_down() && !(claims->scope == SessionScope::takendown && takendown_allowed))
    co_return refuse(Error::AccountTakedown, "Account has been taken down");
  co_return Caller{.account = Credentials{.kind = Credentials::Kind::session,
                                          .account = std::move(account),
                                          .scope = claims->scope},
                   .refresh = std::nullopt};
}

// Of our own accounts only, whose keys are here.
Task<Result<Caller, web::Response>> Authenticator::service(oauth::Jwt token, std::string method) {
  const auto iss = check_service_jwt(token, config_.service_did, method, shared_.clock.now());
  if (!iss) co_return fail(response_of(iss.error()));
  auto account = co_await shared_.db.read([&](store::Tx& tx) { return accounts::by_did(tx, *iss); });
  if (!account) co_return refuse(Error::UntrustedIss, "Untrusted issuer");
  if (!oauth::verify(token, (co_await repos_.signing_key(*account)).public_key()))
    co_return refuse(Error::BadJwtSignature, "jwt signature does not match jwt issuer");
  if (account->taken_down()) co_return refuse(Error::AccountTakedown, "Account has been taken down");
  co_return Caller{.account = Credentials{.kind = Credentials::Kind::service, .account = *std::move(account)},
                   .refresh = std::nullopt};
}

Task<Result<Caller, web::Response>> Authenticator::dpop(OauthRequest request, Access) {
  auto verified = co_await oauth_->verify(std::move(request));
  if (!verified) {
    const auto& fault = verified.error();
    auto response = web::Response::error(fault.status, fault.error, fault.description);
    if (!fault.www_authenticate.empty()) response.header("WWW-Authenticate", fault.www_authenticate);
    co_return fail(std::move(response));
  }
  auto did = Did::parse(verified->did);
  auto permissions = permissions_.get(verified->scope);
  if (!did || !permissions) co_return refuse(Error::InvalidToken, "Malformed token");
  CO_TRY(auto account, co_await this->account(*std::move(did)));
  if (account.taken_down()) co_return refuse(Error::AccountTakedown, "Account has been taken down");
  co_return Caller{.account = Credentials{.kind = Credentials::Kind::oauth,
                                          .account = std::move(account),
                                          .permissions = std::move(permissions),
                                          .client_id = std::move(verified->client_id)},
                   .refresh = std::nullopt};
}

bool Authenticator::is_dpop(const web::Request& request) {
  const auto header = request.headers.get("authorization");
  return header.size() > 5 && header[4] == ' ' && web::equal_no_case(header.substr(0, 4), "dpop");
}

void Authenticator::add_headers(bool dpop, Access access, web::Response& response) const {
  if (oauth_ && dpop) response.header("DPoP-Nonce", oauth_->current_nonce());
  if (access == Access::none) return;
  if (!response.headers.has("cache-control")) response.header("Cache-Control", "private");
  response.headers.vary("Authorization");
}

}  // namespace latchkey::pds
