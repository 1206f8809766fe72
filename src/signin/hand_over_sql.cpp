#include "signin/hand_over.h"

namespace latchkey::signin {
namespace {
using store::Sql;
constexpr Sql k_spend{
    "INSERT INTO signin_hand_over (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING"};
constexpr Sql k_clean{"DELETE FROM signin_hand_over WHERE expires_at <= ?1"};

constexpr store::Migration k_migrations[] = {{"hand_over", 1, R"sql(
CREATE TABLE signin_hand_over (
  id         BLOB PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX signin_hand_over_expires ON signin_hand_over (expires_at);
)sql"}};
}  // namespace

std::span<const store::Migration> hand_over_migrations() { return k_migrations; }

namespace hand_overs {
bool spend(store::Tx& tx, const HandOver& handed) { return tx.exec(k_spend, handed.once, handed.until) == 1; }
void clean(store::Tx& tx, Time now) { tx.exec(k_clean, now); }
}  // namespace hand_overs

}  // namespace latchkey::signin
