#include <fmt/format.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "oauth/server/sessions.h"

namespace latchkey::oauth {
namespace {

using store::Sql;

constexpr Sql k_insert{
    "INSERT INTO oauth_session (id, did, client_id, scope, dpop_jkt, auth_kid, auth_jkt, created_at, "
    "last_used_at, expires_at, generation, rotated_at, ip, device) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"};
constexpr Sql k_find{
    "SELECT id, did, client_id, scope, dpop_jkt, auth_kid, auth_jkt, created_at, last_used_at, expires_at, "
    "generation, rotated_at, ip, device FROM oauth_session "
    "WHERE id = ?1 AND expires_at > ?2 AND revoked_at IS NULL"};
constexpr Sql k_of_account{
    "SELECT id, did, client_id, scope, dpop_jkt, auth_kid, auth_jkt, created_at, last_used_at, expires_at, "
    "generation, rotated_at, ip, device FROM oauth_session "
    "WHERE did = ?1 AND expires_at > ?2 AND revoked_at IS NULL ORDER BY last_used_at DESC, id"};
constexpr Sql k_revoke{"UPDATE oauth_session SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL"};
constexpr Sql k_end{
    "UPDATE oauth_session SET revoked_at = ?3 "
    "WHERE id = ?2 AND did = ?1 AND expires_at > ?3 AND revoked_at IS NULL"};
constexpr Sql k_end_all{
    "UPDATE oauth_session SET revoked_at = ?2 WHERE did = ?1 AND expires_at > ?2 AND revoked_at IS NULL"};
constexpr Sql k_drop_codes{"DELETE FROM oauth_code WHERE did = ?1 AND spent_at IS NULL"};
constexpr Sql k_remove_sessions{"DELETE FROM oauth_session WHERE did = ?1"};
constexpr Sql k_remove_codes{"DELETE FROM oauth_code WHERE did = ?1"};
constexpr Sql k_rotate{
    "UPDATE oauth_session SET generation = generation + 1, rotated_at = ?3, last_used_at = ?3, "
    "expires_at = ?4, ip = ?5 WHERE id = ?1 AND generation = ?2 AND revoked_at IS NULL"};
constexpr Sql k_clean{"DELETE FROM oauth_session WHERE expires_at < ?1"};

Session from(const store::Row& row) {
  return {.id = row.text(0),
          .did = row.text(1),
          .client_id = row.text(2),
          .scope = row.text(3),
          .dpop_jkt = row.text(4),
          .auth = {row.opt_text(5), row.opt_text(6)},
          .created_at = row.time(7),
          .last_used_at = row.time(8),
          .expires_at = row.time(9),
          .generation = row.int64(10),
          .rotated_at = row.time(11),
          .ip = row.text(12),
          .device = row.text(13)};
}

}  // namespace

// base64url of 16 random bytes (the session), '.', the generation in decimal, '.', a MAC over both.
std::string RefreshTokens::token(std::string_view session_id, std::int64_t generation) const {
  const std::string body = fmt::format("{}.{}", session_id, generation);
  return body + "." + base64url(crypto::hmac_sha256(key_.reveal(), as_bytes(body)));
}

std::optional<RefreshTokens::Parts> RefreshTokens::parse(std::string_view text) const {
  if (text.size() > 200) return std::nullopt;
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto second = text.find('.', dot + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto number = text.substr(dot + 1, second - dot - 1);
  if (number.empty() || number.size() > 10 ||
      number.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  Parts parts{std::string(text.substr(0, dot)), std::stoll(std::string(number))};
  if (!crypto::equal(as_bytes(token(parts.session_id, parts.generation)), as_bytes(text)))
    return std::nullopt;
  return parts;
}

namespace sessions {

void insert(store::Tx& tx, const Session& s) {
  tx.exec(k_insert, s.id, s.did, s.client_id, s.scope, s.dpop_jkt, s.auth.kid, s.auth.jkt,
          unix_micros(s.created_at), unix_micros(s.last_used_at), unix_micros(s.expires_at), s.generation,
          unix_micros(s.rotated_at), s.ip, s.device);
}

std::optional<Session> find_living(store::Tx& tx, std::string_view id, Time now) {
  const auto row = tx.one(k_find, id, unix_micros(now));
  if (!row) return std::nullopt;
  return from(*row);
}

std::vector<Session> of_account(store::Tx& tx, std::string_view did, Time now) {
  std::vector<Session> out;
  for (const auto& row : tx.query(k_of_account, did, unix_micros(now))) out.push_back(from(row));
  return out;
}

void revoke(store::Tx& tx, std::string_view id, Time now) { tx.exec(k_revoke, id, unix_micros(now)); }

bool end(store::Tx& tx, std::string_view did, std::string_view id, Time now) {
  return tx.exec(k_end, did, id, unix_micros(now)) == 1;
}

std::int64_t end_all(store::Tx& tx, std::string_view did, Time now) {
  tx.exec(k_drop_codes, did);
  return tx.exec(k_end_all, did, unix_micros(now));
}

void remove_all(store::Tx& tx, std::string_view did) {
  tx.exec(k_remove_sessions, did);
  tx.exec(k_remove_codes, did);
}

Rotation rotate(store::Tx& tx, const RefreshTokens::Parts& presented, const RefreshProof& proof,
                const StandingOf& standing, Time now) {
  auto session = find_living(tx, presented.session_id, now);
  if (!session) return Refused{"no living session"};
  // Somebody else's token tells nothing about the owner, so it neither rotates nor ends the session.
  if (session->client_id != proof.client_id) return Refused{"issued to another client"};
  if (session->dpop_jkt != proof.dpop_jkt) return Refused{"bound to another DPoP key"};
  if (session->auth != proof.auth) return OtherClientKey{std::move(*session)};
  const bool repeated =
      presented.generation == session->generation - 1 && now - session->rotated_at <= k_refresh_grace;
  if (presented.generation != session->generation && !repeated) {
    revoke(tx, session->id, now);
    return Ended{"replayed"};
  }
  switch (standing(tx, session->did)) {
    case Standing::active:
      break;
    case Standing::deactivated:
      return Refused{"account deactivated"};
    case Standing::takendown:
    case Standing::missing:
      revoke(tx, session->id, now);
      return Ended{"account taken down or deleted"};
  }
  if (repeated) return Rotated{std::move(*session)};
  if (session->auth.kid) session->expires_at = now + k_confidential_idle_lifetime;
  // The transaction read this generation, so nobody else can have moved it; the condition says so in SQL too.
  if (tx.exec(k_rotate, session->id, session->generation, unix_micros(now), unix_micros(session->expires_at),
              proof.ip) != 1)
    return Refused{};
  ++session->generation;
  session->ip = proof.ip;
  session->rotated_at = session->last_used_at = now;
  return Rotated{std::move(*session)};
}

std::int64_t clean(store::Tx& tx, Time now) {
  return tx.exec(k_clean, unix_micros(now - std::chrono::hours(24)));
}

}  // namespace sessions

}  // namespace latchkey::oauth
