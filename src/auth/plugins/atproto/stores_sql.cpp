#include <stdexcept>

#include "auth/core/symmetric.h"
#include "auth/core/users.h"
#include "auth/plugins/atproto/stores.h"
#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "oauth/client/database_stores.h"
#include "store/database.h"

namespace latchkey::auth::bsky {
namespace {

using oauth::client::AuthorizationState;
using oauth::client::SessionData;
using oauth::client::StoredSession;
using store::Sql;

constexpr Sql k_put_state{
    R"(INSERT INTO "bskyState" ("id", "key", "state", "expiresAt") VALUES (?1, ?2, ?3, ?4))"};
// Reads the whole table, which has no index on it.
constexpr Sql k_expire_states{R"(DELETE FROM "bskyState" WHERE "expiresAt" <= ?1)"};
constexpr Sql k_take_state{R"(DELETE FROM "bskyState" WHERE "key" = ?1 RETURNING "state", "expiresAt")"};
// What is put aside lies beside the states, under keys no state has.
constexpr Sql k_take_put_aside{
    R"(DELETE FROM "bskyState" WHERE substr("key", 1, 7) = 'revoke:' RETURNING "key", "state")"};

constexpr Sql k_insert_session{
    R"(INSERT INTO "bskySession" ("id", "did", "session", "userId", "updatedAt") VALUES (?1, ?2, ?3, ?4, ?5))"};
constexpr Sql k_session{R"(SELECT "session" FROM "bskySession" WHERE "id" = ?1)"};
// Compare and swap, over all that a row says of its session.
constexpr Sql k_replace{R"(UPDATE "bskySession" SET "session" = ?3 WHERE "id" = ?1 AND "session" = ?2)"};
constexpr Sql k_replace_dated{
    R"(UPDATE "bskySession" SET "session" = ?3, "updatedAt" = ?4 WHERE "id" = ?1 AND "session" = ?2)"};
constexpr Sql k_erase{R"(DELETE FROM "bskySession" WHERE "id" = ?1)"};
constexpr Sql k_ids_of_did{R"(SELECT "id" FROM "bskySession" WHERE "did" = ?1)"};
constexpr Sql k_find{R"(SELECT "id", "session" FROM "bskySession" WHERE "userId" = ?1 AND "did" = ?2)"};
constexpr Sql k_dids_of{
    R"(SELECT "did" FROM "bskySession" WHERE "userId" = ?1 ORDER BY "updatedAt" DESC, "did")"};
constexpr Sql k_remove_did{R"(DELETE FROM "bskySession" WHERE "did" = ?1 RETURNING "id", "session")"};
constexpr Sql k_remove_of_user{R"(DELETE FROM "bskySession" WHERE "userId" = ?1 RETURNING "id", "session")"};
constexpr Sql k_remove_of_user_did{
    R"(DELETE FROM "bskySession" WHERE "userId" = ?1 AND "did" = ?2 RETURNING "id", "session")"};

constexpr std::string_view k_aside = "revoke:";
constexpr std::chrono::minutes k_expire_every{1};
constexpr std::chrono::hours k_aside_lifetime{24};  // whoever has not revoked by then will not

// 43 characters of base64url: never one of k_aside.
std::string state_key(const std::string& state) { return base64url(crypto::sha256(as_bytes(state))); }
std::string state_context(const std::string& key) { return "bsky-state:" + key; }
std::string session_context(const std::string& id) { return "bsky-session:" + id; }

std::string state_json(const std::string& sealed) {
  return json::Value(json::Object{{"sealed", sealed}}).dump();
}

/// The column `session`.
struct SessionRow {
  std::string sealed;
  std::int64_t version = 1;
  std::string lease_owner = {};  // "": free
  Time lease_until = {};

  std::string str() const {
    json::Object out{{"sealed", sealed}, {"version", version}};
    if (!lease_owner.empty())
      out.set("lease", json::Object{{"owner", lease_owner}, {"until", unix_micros(lease_until)}});
    return json::Value(std::move(out)).dump();
  }
  /// std::nullopt for what another program wrote.
  static std::optional<SessionRow> parse(std::string_view text) {
    const auto value = json::parse(text);
    const auto* sealed = value ? value->string_at("sealed") : nullptr;
    const auto* version = value ? value->find("version") : nullptr;
    if (!sealed || !version || !version->integer()) return std::nullopt;
    SessionRow row{*sealed, *version->integer()};
    if (const auto* lease = value->find("lease")) {
      const auto* owner = lease->string_at("owner");
      const auto* until = lease->find("until");
      if (!owner || !until || !until->integer()) return std::nullopt;
      row.lease_owner = *owner;
      row.lease_until = from_unix_micros(*until->integer());
    }
    return row;
  }
};

}  // namespace

std::vector<Table> tables() {
  return {{"bskyState",
           {{.name = "key", .required = true, .unique = true},
            {.name = "state", .required = true},
            {.name = "expiresAt", .type = FieldType::date, .required = true}}},
          {"bskySession",
           {{.name = "did", .required = true, .unique = true},
            {.name = "session", .required = true},
            {.name = "userId", .required = true, .references = "user"},
            {.name = "updatedAt", .type = FieldType::date, .required = true}}}};
}

// --- Vault

Vault::Vault(const std::vector<Secret<std::string>>& secrets, Rng& rng) : rng_(rng) {
  for (const auto& secret : secrets)
    sealers_.emplace_back(Secret<Bytes>(*from_hex(purpose_secret(secret.reveal(), "bsky-session"))));
}

std::string Vault::seal(const Secret<std::string>& text, const std::string& context) const {
  return base64url(sealers_.front().seal(as_bytes(text.reveal()), context, rng_));
}

std::optional<Secret<std::string>> Vault::open(std::string_view sealed, const std::string& context) const {
  const auto bytes = from_base64url(sealed);
  if (!bytes) return std::nullopt;
  for (const auto& sealer : sealers_)
    if (const auto plain = sealer.open(*bytes, context))
      return Secret<std::string>(std::string(as_text(*plain)));
  return std::nullopt;
}

// --- States

Task<void> States::put(std::string state, AuthorizationState value) {
  const std::string key = state_key(state), id = random_id(rng_);
  const std::string text = state_json(vault_.seal(oauth::client::state_text(value), state_context(key)));
  const Time now = clock_.now();
  const bool tidies = tidies_at(now);
  const Time expires_at = value.expires_at;
  begun_.put(key, text, std::move(value));
  co_await db_.write([&](store::Tx& tx) {
    if (tidies) tx.exec(k_expire_states, store::Date(now));
    tx.exec(k_put_state, id, key, text, store::Date(expires_at));
  });
}

bool States::tidies_at(Time now) {
  {
    std::lock_guard lock(mutex_);
    if (now < next_tidying_) return false;
    next_tidying_ = now + k_expire_every;
  }
  begun_.forget_if([&](const AuthorizationState& state) { return state.expires_at <= now; });
  return true;
}

Task<std::optional<AuthorizationState>> States::take(std::string state, Time now) {
  const std::string key = state_key(state);
  const auto row = co_await db_.write([&](store::Tx& tx) { return tx.one(k_take_state, key); });
  if (!row || row->date(1) <= now) co_return std::nullopt;
  if (auto mine = begun_.take(key, row->text(0))) co_return mine;
  const auto value = json::parse(row->text(0));
  const auto* sealed = value ? value->string_at("sealed") : nullptr;
  const auto text = sealed ? vault_.open(*sealed, state_context(key)) : std::nullopt;
  if (!text) co_return std::nullopt;
  co_return oauth::client::state_from_text(text->reveal(), row->date(1));
}

// --- Sessions

std::optional<StoredSession> Sessions::held(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto it = held_.find(id);
  return it == held_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<SessionData> Sessions::opened(const std::string& id, std::string_view sealed) const {
  if (auto known = opened_.get(id, sealed)) return known;
  const auto text = vault_.open(sealed, session_context(id));
  auto data = text ? oauth::client::session_from_text(id, text->reveal()) : std::nullopt;
  if (!data) {
    log::warn("a stored atproto session does not open", {{"session", id}});
    return data;
  }
  opened_.put(id, std::string(sealed), *data);
  return data;
}

Task<void> Sessions::insert(SessionData data) {
  std::lock_guard lock(mutex_);
  const std::string id = data.id;
  held_.insert_or_assign(id, StoredSession{std::move(data), 1});
  co_return;
}

Task<std::optional<StoredSession>> Sessions::load(std::string id) {
  if (auto mine = held(id)) co_return mine;
  const auto row = co_await db_.read([&](store::Tx& tx) { return tx.one(k_session, id); });
  const auto stored = row ? SessionRow::parse(row->text(0)) : std::nullopt;
  auto data = stored ? opened(id, stored->sealed) : std::nullopt;
  if (!data) co_return std::nullopt;
  co_return StoredSession{*std::move(data), stored->version};
}

Task<bool> Sessions::replace(SessionData data, std::int64_t expected_version) {
  {
    std::lock_guard lock(mutex_);
    if (const auto it = held_.find(data.id); it != held_.end()) {
      if (it->second.version != expected_version) co_return false;
      it->second = {std::move(data), expected_version + 1};
      co_return true;
    }
  }
  const std::string id = data.id;
  const std::string sealed = vault_.seal(oauth::client::session_text(data), session_context(id));
  const Time now = clock_.now();
  co_return co_await db_.write([&](store::Tx& tx) {
    const auto row = tx.one(k_session, id);
    auto stored = row ? SessionRow::parse(row->text(0)) : std::nullopt;
    if (!stored || stored->version != expected_version) return false;
    stored->sealed = sealed;
    ++stored->version;
    return tx.exec(k_replace_dated, id, row->text(0), stored->str(), store::Date(now)) == 1;
  });
}

Task<bool> Sessions::erase(std::string id) {
  opened_.forget(id);
  {
    std::lock_guard lock(mutex_);
    if (held_.erase(id) != 0) co_return true;
  }
  co_return co_await db_.write([&](store::Tx& tx) { return tx.exec(k_erase, id) == 1; });
}

Task<std::vector<std::string>> Sessions::ids_of(Did sub) {
  const auto rows = co_await db_.read([&](store::Tx& tx) { return tx.query(k_ids_of_did, sub.str()); });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row.text(0));
  co_return ids;
}

Task<bool> Sessions::lease(std::string id, std::string owner, Time now, Time until) {
  if (held(id)) co_return true;
  co_return co_await db_.write([&](store::Tx& tx) {
    const auto row = tx.one(k_session, id);
    auto stored = row ? SessionRow::parse(row->text(0)) : std::nullopt;
    if (!stored) return false;
    if (!stored->lease_owner.empty() && stored->lease_owner != owner && stored->lease_until > now)
      return false;
    stored->lease_owner = owner;
    stored->lease_until = until;
    return tx.exec(k_replace, id, row->text(0), stored->str()) == 1;
  });
}

Task<void> Sessions::release(std::string id, std::string owner) {
  co_await db_.write([&](store::Tx& tx) {
    const auto row = tx.one(k_session, id);
    auto stored = row ? SessionRow::parse(row->text(0)) : std::nullopt;
    if (!stored || stored->lease_owner != owner) return;
    stored->lease_owner.clear();
    tx.exec(k_replace, id, row->text(0), stored->str());
  });
}

Sessions::Fresh Sessions::sealed(const std::string& id) const {
  const auto mine = held(id);
  if (!mine) throw std::logic_error("a session that was not inserted here is to be kept");
  SessionRow row{vault_.seal(oauth::client::session_text(mine->data), session_context(id)), mine->version};
  opened_.put(id, row.sealed, mine->data);
  return {id, mine->data.sub.str(), row.str()};
}

bool Sessions::keep(store::Tx& tx, const Fresh& fresh, std::string_view user_id, Time now) const {
  const auto before = tx.query(k_remove_did, fresh.did);
  for (const store::Row& row : before) put_row_aside(tx, row, now);
  tx.exec(k_insert_session, fresh.id, fresh.did, fresh.text, user_id, store::Date(now));
  return !before.empty();
}

void Sessions::kept(const std::string& id) {
  std::lock_guard lock(mutex_);
  held_.erase(id);
}

std::optional<Sessions::Found> Sessions::find(store::Tx& tx, std::string_view user_id,
                                              std::string_view did) const {
  auto row = tx.one(k_find, user_id, did);
  if (!row) return std::nullopt;
  return Found{row->take_text(0), row->take_text(1)};
}

std::vector<std::string> Sessions::dids_of(store::Tx& tx, std::string_view user_id) const {
  std::vector<std::string> out;
  for (const store::Row& row : tx.query(k_dids_of, user_id)) out.push_back(row.text(0));
  return out;
}

void Sessions::put_row_aside(store::Tx& tx, const store::Row& row, Time now) const {
  const auto stored = SessionRow::parse(row.text(1));
  if (!stored) return;  // another program's: nothing here could revoke it
  tx.exec(k_put_state, random_id(rng_), std::string(k_aside) + row.text(0), state_json(stored->sealed),
          store::Date(now + k_aside_lifetime));
}

bool Sessions::put_aside(store::Tx& tx, std::string_view user_id, std::optional<std::string_view> did,
                         Time now) const {
  const auto rows = did ? tx.query(k_remove_of_user_did, user_id, *did) : tx.query(k_remove_of_user, user_id);
  for (const store::Row& row : rows) put_row_aside(tx, row, now);
  return !rows.empty();
}

Task<std::vector<std::string>> Sessions::take_put_aside() {
  const auto rows = co_await db_.write([&](store::Tx& tx) { return tx.query(k_take_put_aside); });
  std::vector<std::string> ids;
  for (const store::Row& row : rows) {
    const std::string id = row.text(0).substr(k_aside.size());
    const auto value = json::parse(row.text(1));
    const auto* sealed = value ? value->string_at("sealed") : nullptr;
    auto data = sealed ? opened(id, *sealed) : std::nullopt;
    if (!data) continue;
    std::lock_guard lock(mutex_);
    held_.insert_or_assign(id, StoredSession{*std::move(data), 1});
    ids.push_back(id);
  }
  co_return ids;
}

}  // namespace latchkey::auth::bsky
