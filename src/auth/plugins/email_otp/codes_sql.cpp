#include "auth/plugins/email_otp/codes.h"

namespace latchkey::auth::codes {
namespace {
constexpr store::Sql k_put{
    "INSERT INTO auth_code (subject, code_hash, tries, expires_at) VALUES (?1, ?2, 0, ?3) "
    "ON CONFLICT (subject) DO UPDATE SET code_hash = excluded.code_hash, tries = 0, expires_at = "
    "excluded.expires_at"};
constexpr store::Sql k_find{"SELECT code_hash, tries FROM auth_code WHERE subject = ?1 AND expires_at > ?2"};
constexpr store::Sql k_count_try{"UPDATE auth_code SET tries = tries + 1 WHERE subject = ?1"};
constexpr store::Sql k_remove{"DELETE FROM auth_code WHERE subject = ?1"};
constexpr store::Sql k_clean{"DELETE FROM auth_code WHERE expires_at < ?1"};
}  // namespace

void put(store::Tx& tx, std::string_view subject, const Bytes& hash, Time expires_at) {
  tx.exec(k_put, subject, hash, expires_at);
}
std::optional<Stored> find(store::Tx& tx, std::string_view subject, Time now) {
  const auto row = tx.one(k_find, subject, now);
  if (!row) return std::nullopt;
  return Stored{row->blob(0), row->int64(1)};
}
void count_try(store::Tx& tx, std::string_view subject) { tx.exec(k_count_try, subject); }
void remove(store::Tx& tx, std::string_view subject) { tx.exec(k_remove, subject); }
std::int64_t clean(store::Tx& tx, Time now) { return tx.exec(k_clean, now); }

}  // namespace latchkey::auth::codes
