#include "oauth/client/database_stores.h"

#include <stdexcept>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace latchkey::oauth::client {
namespace {

using store::Sql;

constexpr store::Migration k_migrations[] = {{"oauth_client", 1, R"sql(
CREATE TABLE oauth_client_state (
  state_hash BLOB PRIMARY KEY,
  data BLOB NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX oauth_client_state_expiry ON oauth_client_state (expires_at);
CREATE TABLE oauth_client_session (
  id TEXT PRIMARY KEY,
  did TEXT NOT NULL,
  version BIGINT NOT NULL,
  lease_owner TEXT,
  lease_until BIGINT,
  data BLOB NOT NULL,
  created_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX oauth_client_session_did ON oauth_client_session (did);
)sql"}};

constexpr Sql k_put_state{
    "INSERT INTO oauth_client_state (state_hash, data, expires_at) VALUES (?1, ?2, ?3)"};
// A few at a time: whoever adds a row also removes what nobody will come back for.
constexpr Sql k_expire_states{
    "DELETE FROM oauth_client_state WHERE state_hash IN "
    "(SELECT state_hash FROM oauth_client_state WHERE expires_at <= ?1 LIMIT 20)"};
constexpr Sql k_take_state{"DELETE FROM oauth_client_state WHERE state_hash = ?1 RETURNING data, expires_at"};

constexpr Sql k_insert_session{
    "INSERT INTO oauth_client_session (id, did, version, data, created_at) VALUES (?1, ?2, 1, ?3, ?4)"};
constexpr Sql k_load_session{"SELECT data, version FROM oauth_client_session WHERE id = ?1"};
constexpr Sql k_replace_session{
    "UPDATE oauth_client_session SET data = ?3, version = version + 1 WHERE id = ?1 AND version = ?2"};
constexpr Sql k_erase_session{"DELETE FROM oauth_client_session WHERE id = ?1"};
constexpr Sql k_all_sessions{"SELECT id, data FROM oauth_client_session"};
constexpr Sql k_session_ids{"SELECT id FROM oauth_client_session WHERE did = ?1 ORDER BY created_at, id"};
constexpr Sql k_lease{
    "UPDATE oauth_client_session SET lease_owner = ?2, lease_until = ?4 WHERE id = ?1 AND "
    "(lease_owner IS NULL OR lease_owner = ?2 OR lease_until <= ?3)"};
constexpr Sql k_release{
    "UPDATE oauth_client_session SET lease_owner = NULL WHERE id = ?1 AND lease_owner = ?2"};

std::string text_of(const crypto::PrivateKey& key) { return base64url(key.bytes().reveal()); }

/// Rows we sealed ourselves: anything unreadable means another key or a damaged database.
[[noreturn]] void damaged() { throw std::runtime_error("a sealed row of the OAuth client does not open"); }

crypto::PrivateKey key_from(const std::string& text) {
  const auto bytes = from_base64url(text);
  if (!bytes) damaged();
  auto key = crypto::PrivateKey::from_bytes(crypto::Curve::p256, *bytes);
  if (!key) damaged();
  return *std::move(key);
}

const std::string& member(const json::Value& object, std::string_view name) {
  const auto* value = object.string_at(name);
  if (!value) damaged();
  return *value;
}

Did did_from(const std::string& text) {
  auto did = Did::parse(text);
  if (!did) damaged();
  return *std::move(did);
}

std::int64_t integer(const json::Value& object, std::string_view name) {
  const auto* value = object.find(name);
  if (!value || !value->integer()) damaged();
  return *value->integer();
}

json::Value opened(const crypto::Sealer& sealer, BytesView sealed, const std::string& context) {
  const auto plain = sealer.open(sealed, context);
  if (!plain) damaged();
  auto value = json::parse(as_text(*plain));
  if (!value) damaged();
  return *std::move(value);
}

Bytes sealed(const crypto::Sealer& sealer, const json::Object& object, const std::string& context, Rng& rng) {
  const Secret<std::string> text(json::Value(object).dump());
  return sealer.seal(as_bytes(text.reveal()), context, rng);
}

crypto::Digest state_hash(const std::string& state) { return crypto::sha256(as_bytes(state)); }
std::string state_context(const crypto::Digest& hash) { return "oauth-client-state:" + hex(hash); }
std::string session_context(const std::string& id) { return "oauth-client-session:" + id; }

json::Object to_json(const AuthorizationState& v) {
  json::Object o{{"issuer", v.issuer},
                 {"redirect_uri", v.redirect_uri},
                 {"dpop_key", text_of(v.dpop_key)},
                 {"code_verifier", v.code_verifier.reveal()},
                 {"kid", v.kid},
                 {"browser", v.browser},
                 {"app_state", v.app_state}};
  if (v.expected_sub) o.set("expected_sub", v.expected_sub->str());
  return o;
}

AuthorizationState state_from(const json::Value& o, Time expires_at) {
  AuthorizationState v{.issuer = member(o, "issuer"),
                       .redirect_uri = member(o, "redirect_uri"),
                       .dpop_key = key_from(member(o, "dpop_key")),
                       .code_verifier = Secret<std::string>(member(o, "code_verifier")),
                       .kid = member(o, "kid"),
                       .expected_sub = {},
                       .browser = member(o, "browser"),
                       .app_state = member(o, "app_state"),
                       .expires_at = expires_at};
  if (o.find("expected_sub")) v.expected_sub = did_from(member(o, "expected_sub"));
  return v;
}

json::Object to_json(const SessionData& s) {
  json::Object o{{"sub", s.sub.str()},
                 {"issuer", s.issuer},
                 {"pds", s.pds},
                 {"kid", s.kid},
                 {"dpop_key", text_of(s.dpop_key)},
                 {"access_token", s.access_token.reveal()},
                 {"scope", s.scope},
                 {"created_at", unix_micros(s.created_at)}};
  if (s.refresh_token) o.set("refresh_token", s.refresh_token->reveal());
  if (s.expires_at) o.set("expires_at", unix_micros(*s.expires_at));
  return o;
}

SessionData session_from(std::string id, const json::Value& o) {
  SessionData s{.id = std::move(id),
                .sub = did_from(member(o, "sub")),
                .issuer = member(o, "issuer"),
                .pds = member(o, "pds"),
                .kid = member(o, "kid"),
                .dpop_key = key_from(member(o, "dpop_key")),
                .access_token = Secret<std::string>(member(o, "access_token")),
                .refresh_token = {},
                .scope = member(o, "scope"),
                .expires_at = {},
                .created_at = from_unix_micros(integer(o, "created_at"))};
  if (o.find("refresh_token")) s.refresh_token = Secret<std::string>(member(o, "refresh_token"));
  if (o.find("expires_at")) s.expires_at = from_unix_micros(integer(o, "expires_at"));
  return s;
}

/// Nothing for what is damaged.
template <class F>
auto if_sound(F&& read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

}  // namespace

Secret<std::string> state_text(const AuthorizationState& state) {
  return Secret<std::string>(json::Value(to_json(state)).dump());
}
std::optional<AuthorizationState> state_from_text(std::string_view text, Time expires_at) {
  const auto value = json::parse(text);
  if (!value) return std::nullopt;
  return if_sound([&] { return state_from(*value, expires_at); });
}
Secret<std::string> session_text(const SessionData& session) {
  return Secret<std::string>(json::Value(to_json(session)).dump());
}
std::optional<SessionData> session_from_text(std::string id, std::string_view text) {
  const auto value = json::parse(text);
  if (!value) return std::nullopt;
  return if_sound([&] { return session_from(std::move(id), *value); });
}

std::span<const store::Migration> client_migrations() { return k_migrations; }

DatabaseStateStore::DatabaseStateStore(store::Database& db, crypto::Sealer sealer, Rng& rng,
                                       const Clock& clock)
    : db_(db), sealer_(std::move(sealer)), rng_(rng), clock_(clock) {}

Task<void> DatabaseStateStore::put(std::string state, AuthorizationState v) {
  const auto hash = state_hash(state);
  const Bytes data = sealed(sealer_, to_json(v), state_context(hash), rng_);
  const Time now = clock_.now();
  co_await db_.write([hash, data, now, expires_at = v.expires_at](store::Tx& tx) {
    tx.exec(k_expire_states, now);
    tx.exec(k_put_state, hash, data, expires_at);
  });
}

Task<std::optional<AuthorizationState>> DatabaseStateStore::take(std::string state, Time now) {
  const auto hash = state_hash(state);
  const auto row = co_await db_.write([hash](store::Tx& tx) { return tx.one(k_take_state, hash); });
  if (!row || row->time(1) <= now) co_return std::nullopt;
  co_return state_from(opened(sealer_, row->blob(0), state_context(hash)), row->time(1));
}

DatabaseSessionStore::DatabaseSessionStore(store::Database& db, crypto::Sealer sealer, Rng& rng)
    : db_(db), sealer_(std::move(sealer)), rng_(rng) {}

Task<void> DatabaseSessionStore::insert(SessionData s) {
  const Bytes data = sealed(sealer_, to_json(s), session_context(s.id), rng_);
  co_await db_.write([id = s.id, did = s.sub.str(), data, at = s.created_at](store::Tx& tx) {
    tx.exec(k_insert_session, id, did, data, at);
  });
}

Task<std::optional<StoredSession>> DatabaseSessionStore::load(std::string id) {
  const auto row = co_await db_.read([id](store::Tx& tx) { return tx.one(k_load_session, id); });
  if (!row) co_return std::nullopt;
  auto data = session_from(id, opened(sealer_, row->blob(0), session_context(id)));
  co_return StoredSession{std::move(data), row->int64(1)};
}

Task<bool> DatabaseSessionStore::replace(SessionData s, std::int64_t expected_version) {
  const Bytes data = sealed(sealer_, to_json(s), session_context(s.id), rng_);
  co_return co_await db_.write([id = s.id, expected_version, data](store::Tx& tx) {
    return tx.exec(k_replace_session, id, expected_version, data) == 1;
  });
}

Task<bool> DatabaseSessionStore::erase(std::string id) {
  co_return co_await db_.write([id](store::Tx& tx) { return tx.exec(k_erase_session, id) == 1; });
}

Task<std::vector<std::string>> DatabaseSessionStore::ids_of(Did sub) {
  const auto rows =
      co_await db_.read([did = sub.str()](store::Tx& tx) { return tx.query(k_session_ids, did); });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row.text(0));
  co_return ids;
}

Task<bool> DatabaseSessionStore::lease(std::string id, std::string owner, Time now, Time until) {
  co_return co_await db_.write(
      [id, owner, now, until](store::Tx& tx) { return tx.exec(k_lease, id, owner, now, until) == 1; });
}

Task<void> DatabaseSessionStore::release(std::string id, std::string owner) {
  co_await db_.write([id, owner](store::Tx& tx) { tx.exec(k_release, id, owner); });
}

Task<std::map<std::string, std::size_t>> DatabaseSessionStore::count_by_key() {
  co_return co_await db_.read([sealer = sealer_](store::Tx& tx) {
    std::map<std::string, std::size_t> count;
    tx.each(k_all_sessions, [&](store::Row& row) {
      ++count[member(opened(sealer, row.blob(1), session_context(row.text(0))), "kid")];
    });
    return count;
  });
}

}  // namespace latchkey::oauth::client
