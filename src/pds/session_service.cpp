#include "pds/session_service.h"

#include "crypto/password.h"
#include "mail/address.h"
#include "oauth/jose/jwt.h"
#include "pds/sessions.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::string_view k_access_typ = "at+jwt";  // RFC 9068 §2.1
constexpr std::string_view k_refresh_typ = "refresh+jwt";

std::unexpected<Fault> refuse(Error code, std::string message, std::string detail = {}) {
  return fail(Fault{.code = code, .message = std::move(message), .detail = std::move(detail)});
}

struct Claims {
  Did did;
  SessionScope scope;
  std::string jti;
};

Result<Claims, Fault> check_token(std::string_view text, std::string_view typ, const Config& config, Time now,
                                  Expired expired) {
  const auto not_ours = [](std::string detail) {
    return refuse(Error::InvalidToken, "Token could not be verified", std::move(detail));
  };
  auto jwt = oauth::parse_compact(text);
  if (!jwt) return not_ours("malformed");
  // The type first: a refresh token must not pass as an access token, nor a service JWT as either.
  if (jwt->typ() != typ) return not_ours("typ");
  if (jwt->alg() != "HS256" || !oauth::verify_hs256(*jwt, as_bytes(config.jwt_secret.reveal())))
    return not_ours("signature");
  const auto* audience = jwt->string_claim("aud");
  if (!audience || *audience != config.service_did) return not_ours("aud");
  const auto expires = jwt->time_claim("exp");
  if (!expires) return not_ours("exp");
  if (*expires <= now && expired == Expired::refuse) return refuse(Error::ExpiredToken, "Token has expired");
  if (jwt->payload.find("nbf")) {
    const auto not_before = jwt->time_claim("nbf");
    if (!not_before || *not_before > now) return not_ours("nbf");
  }

  const auto malformed = [](std::string detail) {
    return refuse(Error::InvalidToken, "Malformed token", std::move(detail));
  };
  // Bound tokens (RFC 7800) need their proof; service tokens name a method. Neither is a session.
  if (jwt->payload.find("cnf") || jwt->payload.find("lxm")) return malformed("cnf or lxm");
  const auto* subject = jwt->string_claim("sub");
  auto did = subject ? Did::parse(*subject) : Did::parse("");
  if (!did) return malformed("sub");
  const auto* scope_text = jwt->string_claim("scope");
  const auto scope = scope_text ? parse_session_scope(*scope_text) : std::nullopt;
  if (!scope) return refuse(Error::InvalidToken, "Bad token scope");
  const auto* jti = jwt->string_claim("jti");
  return Claims{.did = *std::move(did), .scope = *scope, .jti = jti ? *jti : ""};
}

json::Object claims(std::string_view scope, const std::string& audience, const Did& did, Time now,
                    std::chrono::seconds lifetime) {
  return json::Object{{"scope", scope},
                      {"aud", audience},
                      {"sub", did.str()},
                      {"iat", unix_seconds(now)},
                      {"exp", unix_seconds(now + lifetime)}};
}

}  // namespace

std::string_view wire(SessionScope scope) {
  switch (scope) {
    case SessionScope::access:
      return "com.atproto.access";
    case SessionScope::app_pass:
      return "com.atproto.appPass";
    case SessionScope::app_pass_privileged:
      return "com.atproto.appPassPrivileged";
    case SessionScope::takendown:
      return "com.atproto.takendown";
    case SessionScope::signup_queued:
      return "com.atproto.signupQueued";
    case SessionScope::refresh:
      return "com.atproto.refresh";
  }
  std::abort();
}

std::optional<SessionScope> parse_session_scope(std::string_view text) {
  using enum SessionScope;
  for (const auto scope : {access, app_pass, app_pass_privileged, takendown, signup_queued, refresh})
    if (wire(scope) == text) return scope;
  return std::nullopt;
}

const std::string& SessionService::decoy() {
  std::call_once(decoy_once_, [this] { decoy_ = crypto::hash_password(shared_.rng.token(), shared_.rng); });
  return decoy_;
}

Task<Result<Account, Fault>> SessionService::log_in(std::string identifier, Secret<std::string> password) {
  if (password.reveal().size() > crypto::k_max_password_bytes)
    co_return refuse(Error::AuthenticationRequired, "Password too long. Consider resetting your password.");

  struct Found {
    Account account;
    std::optional<std::string> scrypt;
  };
  const auto found = co_await shared_.db.read([&](store::Tx& tx) -> std::optional<Found> {
    std::optional<Account> account;
    if (identifier.contains('@')) {
      if (auto email = mail::EmailAddress::parse(identifier)) account = accounts::by_email(tx, email->str());
    } else if (auto id = AtIdentifier::parse(identifier)) {
      account = accounts::by_identifier(tx, *id);
    }
    if (!account) return std::nullopt;
    return Found{*account, accounts::password_scrypt(tx, account->id)};
  });
  const bool usable = found && found->scrypt;
  const bool right =
      co_await run_on(&shared_.passwords, [this, password, stored = usable ? *found->scrypt : std::string()] {
        const std::string& against = decoy();  // made by the first log-in of all, known account or not
        return crypto::verify_password(password.reveal(), stored.empty() ? against : stored);
      });
  if (!usable || !right) co_return refuse(Error::AuthenticationRequired, "Invalid identifier or password");
  co_return found->account;
}

std::string SessionService::access_jwt(const Did& did, SessionScope scope, Time now) const {
  return oauth::sign_hs256({{"typ", k_access_typ}},
                           claims(wire(scope), config_.service_did, did, now, k_access_lifetime),
                           as_bytes(config_.jwt_secret.reveal()));
}

std::string SessionService::refresh_jwt(const Did& did, const std::string& id, Time now) const {
  auto payload = claims(wire(SessionScope::refresh), config_.service_did, did, now, k_refresh_lifetime);
  payload.append("jti", id);
  return oauth::sign_hs256({{"typ", k_refresh_typ}}, std::move(payload),
                           as_bytes(config_.jwt_secret.reveal()));
}

namespace {
SessionScope scope_for(const Account& account) {
  return account.taken_down() ? SessionScope::takendown : SessionScope::access;
}
}  // namespace

Task<SessionTokens> SessionService::begin(Account account) {
  const Time now = shared_.clock.now();
  const std::string id = shared_.rng.token();
  co_await shared_.db.write([&](store::Tx& tx) {
    sessions::insert(tx, {.id = id,
                          .account_id = account.id,
                          .expires_at = now + k_refresh_lifetime,
                          .next_id = std::nullopt,
                          .app_password = std::nullopt});
  });
  co_return SessionTokens{.access_jwt = access_jwt(account.did, scope_for(account), now),
                          .refresh_jwt = refresh_jwt(account.did, id, now)};
}

Task<Result<RefreshedSession, Fault>> SessionService::refresh(RefreshClaims claims) {
  const Time now = shared_.clock.now();
  const std::string proposed = shared_.rng.token();
  struct Rotated {
    RefreshToken next;
    Account account;
  };
  auto rotated = co_await shared_.db.write([&](store::Tx& tx) -> Result<Rotated, Fault> {
    auto account = accounts::by_did(tx, claims.did);
    if (!account) return refuse(Error::AccountNotFound, "Account not found");
    if (account->taken_down()) return refuse(Error::AccountTakedown, "Account has been taken down");
    auto next =
        sessions::rotate(tx, claims.token_id, proposed, now, now + k_refresh_grace, now + k_refresh_lifetime);
    if (!next || next->account_id != account->id)
      return refuse(Error::ExpiredToken, "Token has been revoked");
    return Rotated{*std::move(next), *std::move(account)};
  });
  if (!rotated) co_return fail(std::move(rotated).error());
  SessionTokens tokens{.access_jwt = access_jwt(claims.did, scope_for(rotated->account), now),
                       .refresh_jwt = refresh_jwt(claims.did, rotated->next.id, now)};
  co_return RefreshedSession{.tokens = std::move(tokens), .account = std::move(rotated->account)};
}

Task<void> SessionService::end(RefreshClaims claims) {
  co_await shared_.db.write([&](store::Tx& tx) { sessions::revoke(tx, claims.token_id); });
}

Result<AccessClaims, Fault> SessionService::check_access(std::string_view jwt, Time now) const {
  TRY(auto token, check_token(jwt, k_access_typ, config_, now, Expired::refuse));
  if (token.scope == SessionScope::refresh) return refuse(Error::InvalidToken, "Bad token scope");
  return AccessClaims{.did = std::move(token.did), .scope = token.scope};
}

Result<RefreshClaims, Fault> SessionService::check_refresh(std::string_view jwt, Time now,
                                                           Expired expired) const {
  TRY(auto token, check_token(jwt, k_refresh_typ, config_, now, expired));
  if (token.scope != SessionScope::refresh) return refuse(Error::InvalidToken, "Bad token scope");
  if (token.jti.empty()) return refuse(Error::AuthenticationRequired, "Unexpected missing refresh token id");
  return RefreshClaims{.did = std::move(token.did), .token_id = std::move(token.jti)};
}

}  // namespace latchkey::pds
