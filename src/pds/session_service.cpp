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

std::unexpected<Fault> wrong_password() {
  return refuse(Error::AuthenticationRequired, "Invalid identifier or password");
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

Task<Result<LogIn, Fault>> SessionService::log_in(std::string identifier, Secret<std::string> password) {
  if (password.reveal().size() > crypto::k_max_password_bytes)
    co_return refuse(Error::AuthenticationRequired, "Password too long. Consider resetting your password.");

  struct Found {
    Account account;
    std::optional<std::string> scrypt;
    std::optional<AppPassword> app_password;
  };
  const auto found = co_await shared_.db.read([&](store::Tx& tx) -> std::optional<Found> {
    std::optional<Account> account;
    if (identifier.contains('@')) {
      if (auto email = mail::EmailAddress::parse(identifier)) account = accounts::by_email(tx, email->str());
    } else if (auto id = AtIdentifier::parse(identifier)) {
      account = accounts::by_identifier(tx, *id);
    }
    if (!account) return std::nullopt;
    std::optional<AppPassword> app_password;
    if (const auto hash = hash_app_password(password.reveal(), account->id); hash && !account->taken_down())
      app_password = app_passwords::find(tx, account->id, *hash);
    return Found{*account, accounts::password_scrypt(tx, account->id), std::move(app_password)};
  });
  if (found && found->app_password)
    co_return LogIn{.account = found->account, .app_password = found->app_password, .password_scrypt = {}};
  const bool usable = found && found->scrypt;
  const bool right =
      co_await run_on(&shared_.passwords, [this, password, stored = usable ? *found->scrypt : std::string()] {
        const std::string& against = decoy();  // made by the first log-in of all, known account or not
        return crypto::verify_password(password.reveal(), stored.empty() ? against : stored);
      });
  if (!usable || !right) co_return wrong_password();
  co_return LogIn{.account = found->account, .app_password = std::nullopt, .password_scrypt = *found->scrypt};
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
SessionScope scope_for(const Account& account, const std::optional<AppPassword>& app_password) {
  if (account.taken_down()) return SessionScope::takendown;
  if (!app_password) return SessionScope::access;
  return app_password->privileged == Privileged::yes ? SessionScope::app_pass_privileged
                                                     : SessionScope::app_pass;
}

/// A session that has just begun.
RefreshToken first_token(std::string id, const Account& account,
                         const std::optional<AppPassword>& app_password, Time now) {
  return {.id = std::move(id),
          .account_id = account.id,
          .expires_at = now + k_refresh_lifetime,
          .next_id = std::nullopt,
          .app_password = app_password ? std::optional(app_password->name) : std::nullopt};
}
}  // namespace

SessionScope LogIn::scope() const { return scope_for(account, app_password); }

SessionTokens SessionService::tokens(const Did& did, SessionScope scope, const std::string& refresh_id,
                                     Time now) const {
  return {.access_jwt = access_jwt(did, scope, now), .refresh_jwt = refresh_jwt(did, refresh_id, now)};
}

Task<SessionTokens> SessionService::begin(Account account) {
  const Time now = shared_.clock.now();
  const std::string id = shared_.rng.token();
  co_await shared_.db.write(
      [&](store::Tx& tx) { sessions::insert(tx, first_token(id, account, std::nullopt, now)); });
  co_return tokens(account.did, scope_for(account, std::nullopt), id, now);
}

Task<Result<SessionTokens, Fault>> SessionService::begin(LogIn log_in) {
  const Time now = shared_.clock.now();
  const std::string id = shared_.rng.token();
  CO_TRY_VOID(co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    // Hashing takes a while. A session begun after its password was changed would outlive the change.
    const std::int64_t account_id = log_in.account.id;
    if (log_in.app_password) {
      const auto now_there = app_passwords::get(tx, account_id, log_in.app_password->name);
      if (!now_there || now_there->created_at != log_in.app_password->created_at) return wrong_password();
    } else if (accounts::password_scrypt(tx, account_id) != log_in.password_scrypt) {
      return wrong_password();
    }
    sessions::insert(tx, first_token(id, log_in.account, log_in.app_password, now));
    return {};
  }));
  co_return tokens(log_in.account.did, log_in.scope(), id, now);
}

Task<Result<RefreshedSession, Fault>> SessionService::refresh(RefreshClaims claims) {
  const Time now = shared_.clock.now();
  const std::string proposed = shared_.rng.token();
  struct Rotated {
    RefreshToken next;
    Account account;
    SessionScope scope;
  };
  auto rotated = co_await shared_.db.write([&](store::Tx& tx) -> Result<Rotated, Fault> {
    auto account = accounts::by_did(tx, claims.did);
    if (!account) return refuse(Error::AccountNotFound, "Account not found");
    if (account->taken_down()) return refuse(Error::AccountTakedown, "Account has been taken down");
    auto next =
        sessions::rotate(tx, claims.token_id, proposed, now, now + k_refresh_grace, now + k_refresh_lifetime);
    if (!next || next->account_id != account->id)
      return refuse(Error::ExpiredToken, "Token has been revoked");
    std::optional<AppPassword> app_password;
    if (next->app_password) {
      app_password = app_passwords::get(tx, account->id, *next->app_password);
      // Its sessions went with it. Whatever is left must not come back as one of the main password.
      if (!app_password) return refuse(Error::ExpiredToken, "Token has been revoked");
    }
    const SessionScope scope = scope_for(*account, app_password);
    return Rotated{*std::move(next), *std::move(account), scope};
  });
  if (!rotated) co_return fail(std::move(rotated).error());
  auto pair = tokens(claims.did, rotated->scope, rotated->next.id, now);
  co_return RefreshedSession{
      .tokens = std::move(pair), .account = std::move(rotated->account), .scope = rotated->scope};
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
