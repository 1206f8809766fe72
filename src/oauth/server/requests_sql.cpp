#include "base/encoding.h"
#include "crypto/hash.h"
#include "oauth/server/requests.h"
#include "oauth/server/statistics.h"

namespace latchkey::oauth {
namespace {

using store::Sql;

std::string hash_text(std::string_view text) { return base64url(crypto::sha256(as_bytes(text))); }

constexpr Sql k_use_challenge{
    "INSERT INTO oauth_challenge (code_challenge, used_at) VALUES (?1, ?2) ON CONFLICT (code_challenge) DO "
    "NOTHING"};
constexpr Sql k_insert_request{
    "INSERT INTO oauth_request (id, client_id, redirect_uri, scope, state, code_challenge, response_mode, "
    "login_hint, prompt, dpop_jkt, auth_kid, auth_jkt, created_at, expires_at, ui_locales) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"};
constexpr Sql k_find_request{
    "SELECT client_id, redirect_uri, scope, state, code_challenge, response_mode, login_hint, prompt, "
    "dpop_jkt, auth_kid, auth_jkt, created_at, expires_at, browser, ui_locales FROM oauth_request "
    "WHERE id = ?1 AND expires_at > ?2"};
constexpr Sql k_bind_browser{
    "UPDATE oauth_request SET browser = ?2, expires_at = created_at + ?4 "
    "WHERE id = ?1 AND expires_at > ?3 AND (browser IS NULL OR browser = ?2)"};
constexpr Sql k_finish_request{"DELETE FROM oauth_request WHERE id = ?1 AND expires_at > ?2"};
constexpr Sql k_opened{"SELECT COUNT(*) FROM oauth_request WHERE browser IS NOT NULL AND expires_at > ?1"};
constexpr Sql k_recent{"SELECT COUNT(*) FROM oauth_challenge WHERE used_at > ?1"};
constexpr Sql k_clean_requests{"DELETE FROM oauth_request WHERE expires_at <= ?1"};
constexpr Sql k_clean_challenges{"DELETE FROM oauth_challenge WHERE used_at <= ?1"};

constexpr Sql k_insert_code{
    "INSERT INTO oauth_code (code_hash, client_id, redirect_uri, scope, did, code_challenge, dpop_jkt, "
    "auth_kid, "
    "auth_jkt, expires_at, ip, device) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"};
constexpr Sql k_find_code{
    "SELECT client_id, redirect_uri, scope, did, code_challenge, dpop_jkt, auth_kid, auth_jkt, expires_at, "
    "spent_at, "
    "session_id, ip, device FROM oauth_code WHERE code_hash = ?1"};
constexpr Sql k_spend_code{
    "UPDATE oauth_code SET spent_at = ?2, session_id = ?3 "
    "WHERE code_hash = ?1 AND spent_at IS NULL AND expires_at > ?2"};
constexpr Sql k_clean_codes{"DELETE FROM oauth_code WHERE expires_at < ?1"};

constexpr Sql k_find_approval{"SELECT scope FROM oauth_approval WHERE did = ?1 AND client_id = ?2"};
constexpr Sql k_remember_approval{
    "INSERT INTO oauth_approval (did, client_id, scope, approved_at) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT (did, client_id) DO UPDATE SET scope = excluded.scope, approved_at = excluded.approved_at"};

constexpr Sql k_forget_approvals{"DELETE FROM oauth_approval WHERE did = ?1"};
constexpr Sql k_forget_approval{"DELETE FROM oauth_approval WHERE did = ?1 AND client_id = ?2"};

constexpr std::chrono::seconds k_recount_every{5};

}  // namespace

namespace requests {

std::optional<std::string> id_of(std::string_view request_uri) {
  if (!request_uri.starts_with(k_request_uri_prefix) || request_uri.size() > 200) return std::nullopt;
  return hash_text(request_uri);
}

bool insert(store::Tx& tx, const AuthorizationRequest& r) {
  if (tx.exec(k_use_challenge, r.code_challenge, unix_micros(r.created_at)) != 1) return false;
  tx.exec(k_insert_request, r.id, r.client_id, r.redirect_uri, r.scope, r.state, r.code_challenge,
          r.response_mode, r.login_hint, r.prompt, r.dpop_jkt, r.auth.kid, r.auth.jkt,
          unix_micros(r.created_at), unix_micros(r.expires_at), r.ui_locales);
  return true;
}

std::optional<AuthorizationRequest> find_open(store::Tx& tx, std::string_view id, Time now) {
  const auto row = tx.one(k_find_request, id, unix_micros(now));
  if (!row) return std::nullopt;
  return AuthorizationRequest{.id = std::string(id),
                              .client_id = row->text(0),
                              .redirect_uri = row->text(1),
                              .scope = row->text(2),
                              .state = row->text(3),
                              .code_challenge = row->text(4),
                              .response_mode = row->text(5),
                              .login_hint = row->opt_text(6),
                              .prompt = row->opt_text(7),
                              .ui_locales = row->opt_text(14),
                              .dpop_jkt = row->text(8),
                              .auth = {row->opt_text(9), row->opt_text(10)},
                              .created_at = from_unix_micros(row->int64(11)),
                              .expires_at = from_unix_micros(row->int64(12)),
                              .browser = row->opt_text(13)};
}

bool bind_browser(store::Tx& tx, std::string_view id, std::string_view browser, Time now) {
  const std::int64_t life = std::chrono::microseconds(k_request_lifetime_active).count();
  return tx.exec(k_bind_browser, id, browser, unix_micros(now), life) == 1;
}

bool finish(store::Tx& tx, std::string_view id, Time now) {
  return tx.exec(k_finish_request, id, unix_micros(now)) == 1;
}

std::int64_t opened(store::Tx& tx, Time now) { return tx.one(k_opened, now)->int64(0); }
std::int64_t recent(store::Tx& tx, Time now) {
  return tx.one(k_recent, unix_micros(now - k_request_lifetime_active))->int64(0);
}

void clean(store::Tx& tx, Time now) {
  tx.exec(k_clean_requests, unix_micros(now));
  tx.exec(k_clean_challenges, unix_micros(now - k_challenge_memory));
}

}  // namespace requests

Task<bool> RequestQuota::take(Time now) {
  {
    std::lock_guard lock(mutex_);
    if (counted_at_ && now - *counted_at_ < k_recount_every) {
      if (count_ >= max_) co_return false;
      ++count_;
      co_return true;
    }
    counted_at_ = now;  // the others go on with the old count meanwhile
  }
  const std::int64_t counted = co_await db_.read([now](store::Tx& tx) { return requests::recent(tx, now); });
  std::lock_guard lock(mutex_);
  count_ = counted + 1;
  co_return counted < max_;
}

namespace codes {

std::string hash_of(std::string_view code) { return hash_text(code); }

void insert(store::Tx& tx, const Code& c) {
  tx.exec(k_insert_code, c.hash, c.client_id, c.redirect_uri, c.scope, c.did, c.code_challenge, c.dpop_jkt,
          c.auth.kid, c.auth.jkt, unix_micros(c.expires_at), c.ip, c.device);
}

std::optional<Code> find(store::Tx& tx, std::string_view hash) {
  const auto row = tx.one(k_find_code, hash);
  if (!row) return std::nullopt;
  Code code{.hash = std::string(hash),
            .client_id = row->text(0),
            .redirect_uri = row->text(1),
            .scope = row->text(2),
            .did = row->text(3),
            .code_challenge = row->text(4),
            .dpop_jkt = row->text(5),
            .auth = {row->opt_text(6), row->opt_text(7)},
            .expires_at = from_unix_micros(row->int64(8)),
            .spent_at = std::nullopt,
            .session_id = row->opt_text(10),
            .ip = row->text(11),
            .device = row->text(12)};
  if (!row->is_null(9)) code.spent_at = from_unix_micros(row->int64(9));
  return code;
}

bool spend(store::Tx& tx, std::string_view hash, std::string_view session_id, Time now) {
  return tx.exec(k_spend_code, hash, unix_micros(now), session_id) == 1;
}

std::int64_t clean(store::Tx& tx, Time now) {
  return tx.exec(k_clean_codes, unix_micros(now - std::chrono::hours(24)));
}

}  // namespace codes

namespace approvals {

std::string find(store::Tx& tx, std::string_view did, std::string_view client_id) {
  const auto row = tx.one(k_find_approval, did, client_id);
  return row ? row->text(0) : std::string();
}

void remember(store::Tx& tx, std::string_view did, std::string_view client_id, std::string_view scope,
              Time now) {
  tx.exec(k_remember_approval, did, client_id, scope, unix_micros(now));
}

void forget(store::Tx& tx, std::string_view did, std::string_view client_id) {
  tx.exec(k_forget_approval, did, client_id);
}

void forget_all(store::Tx& tx, std::string_view did) { tx.exec(k_forget_approvals, did); }

}  // namespace approvals

}  // namespace latchkey::oauth
