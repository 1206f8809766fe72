#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "auth/core/auth.h"
#include "auth/core/expose.h"
#include "auth/core/symmetric.h"
#include "auth/plugins/jwt/jwt.h"
#include "auth/plugins/jwt/keys.h"
#include "base/encoding.h"
#include "crypto/ed25519.h"

namespace latchkey::auth {
namespace {

constexpr const char *k_alg = "EdDSA", *k_crv = "Ed25519";

json::Object public_jwk(const crypto::Ed25519PrivateKey& key) {  // RFC 8037 §2
  return {{"crv", k_crv}, {"x", base64url(key.public_key().bytes())}, {"kty", "OKP"}};
}

/// RFC 8037 §3.1
std::string sign(json::Object header, json::Object claims, const crypto::Ed25519PrivateKey& key) {
  std::string out = base64url(as_bytes(json::Value(std::move(header)).dump())) + "." +
                    base64url(as_bytes(json::Value(std::move(claims)).dump()));
  const auto signature = key.sign(as_bytes(out));
  return out + "." + base64url(signature);
}

/// What a row keeps: encrypted under the secret, or under one before it; or as it is, by programs that turned
/// encryption off.
std::optional<json::Value> private_jwk(const Auth& auth, std::string_view stored) {
  const auto value = json::parse(stored);
  if (!value) return std::nullopt;
  if (!value->string()) return *value;
  auto text = decrypt_symmetric(auth.secret(), *value->string());
  for (const auto& old : auth.options().old_secrets)
    if (!text) text = decrypt_symmetric(old.reveal(), *value->string());
  const auto jwk = text ? json::parse(*text) : value;
  return jwk && !jwk->string() ? std::optional(*jwk) : std::nullopt;
}

/// std::nullopt for a key of another algorithm, or under a secret that is gone.
std::optional<crypto::Ed25519PrivateKey> opened(const Auth& auth, const jwks::Key& row) {
  const auto jwk = private_jwk(auth, row.private_key);
  if (!jwk) return std::nullopt;
  const std::string *const d = jwk->string_at("d"), *const crv = jwk->string_at("crv");
  const auto seed = d && crv && *crv == k_crv ? from_base64url(*d) : std::nullopt;
  if (!seed) return std::nullopt;
  auto key = crypto::Ed25519PrivateKey::from_bytes(*seed);
  return key ? std::optional(*std::move(key)) : std::nullopt;
}

class JwtPlugin {
 public:
  explicit JwtPlugin(JwtOptions options) : options_(std::move(options)) {}

  Task<Answer> keys(Context& c) {
    co_await signing_key(c);  // there is one from the first request on
    const auto rows = co_await c.auth.db().read([](store::Tx& tx) { return jwks::all(tx); });
    json::Array out;
    for (const jwks::Key& row : rows) {
      if (row.expires_at && *row.expires_at + options_.grace_period <= c.now) continue;
      const auto jwk = json::parse(row.public_key);
      if (!jwk || !jwk->object()) continue;
      json::Object key{{"alg", row.alg.value_or(k_alg)}};
      if (row.crv) key.append("crv", *row.crv);
      for (const auto& [name, value] : *jwk->object()) key.set(name, value);
      key.set("kid", row.id);
      out.emplace_back(std::move(key));
    }
    co_return json_answer(json::Object{{"keys", std::move(out)}});
  }

  Task<Answer> token(Context& c) { co_return json_answer(json::Object{{"token", co_await token_of(c)}}); }

  Task<void> tell(Context& c, web::Response& response) {
    if (c.current()) set_exposed(response, "set-auth-jwt", co_await token_of(c));
  }

 private:
  struct SigningKey {
    std::string kid;
    crypto::Ed25519PrivateKey key;
  };

  static std::optional<SigningKey> usable(const Context& c, const std::vector<jwks::Key>& rows) {
    for (const jwks::Key& row : rows)
      if (!row.expires_at || *row.expires_at > c.now)
        if (auto key = opened(c.auth, row)) return SigningKey{row.id, *std::move(key)};
    return std::nullopt;
  }

  /// The newest that can sign; made when there is none. Of two that are made at once, the first stays.
  Task<SigningKey> signing_key(Context& c) {
    auto found = usable(c, co_await c.auth.db().read([](store::Tx& tx) { return jwks::all(tx); }));
    if (found) co_return *std::move(found);
    const SigningKey fresh{random_id(c.auth.rng()), crypto::Ed25519PrivateKey::generate(c.auth.rng())};
    json::Object jwk = public_jwk(fresh.key);
    jwks::Key row{.id = fresh.kid,
                  .public_key = json::Value(jwk).dump(),
                  .private_key = {},
                  .created_at = c.now,
                  .expires_at = {},
                  .alg = k_alg,
                  .crv = k_crv};
    if (options_.rotation_interval.count() > 0) row.expires_at = c.now + options_.rotation_interval;
    jwk.append("d", base64url(fresh.key.bytes().reveal()));
    row.private_key =
        json::Value(encrypt_symmetric(c.auth.secret(), json::Value(std::move(jwk)).dump(), c.auth.rng()))
            .dump();
    co_return co_await c.auth.db().write([&](store::Tx& tx) {
      if (auto other = usable(c, jwks::all(tx))) return *std::move(other);
      jwks::add(tx, row);
      return fresh;
    });
  }

  Task<std::string> token_of(Context& c) {
    const SessionAndUser who = *c.current();
    const SigningKey key = co_await signing_key(c);
    json::Object claims = options_.payload ? options_.payload(who) : c.auth.users().to_json(who.user);
    // Ours whatever the payload says: a field of users that clients write must not name the audience.
    claims.set("sub", who.user.id);
    claims.set("iat", unix_seconds(c.now));
    claims.set("exp", unix_seconds(c.now + options_.expires_in));
    claims.set("iss", options_.issuer.empty() ? c.auth.origin() : options_.issuer);
    claims.set("aud", options_.audience.empty() ? c.auth.origin() : options_.audience);
    co_return sign({{"alg", k_alg}, {"kid", key.kid}}, std::move(claims), key.key);
  }

  const JwtOptions options_;
};

}  // namespace

Plugin jwt(JwtOptions options) {
  if (options.grace_period < options.expires_in)
    throw std::invalid_argument("jwt: grace_period is shorter than the life of a token");
  const bool header = options.get_session_header == JwtOptions::Header::on;
  auto it = std::make_shared<JwtPlugin>(std::move(options));
  Plugin plugin{
      .id = "jwt",
      .endpoints = {get("/jwks", [it](Context& c) { return it->keys(c); }),
                    get("/token", [it](Context& c) { return it->token(c); }, {.needs = Needs::session})},
      .tables = {jwks::table()}};
  if (header)
    plugin.after.push_back({.matches = [](const Context& c) { return c.path == "/get-session"; },
                            .run = [it](Context& c, web::Response& r) { return it->tell(c, r); }});
  return plugin;
}

}  // namespace latchkey::auth
