#include "pds/invites.h"

namespace latchkey::pds::invites {
namespace {

using store::Row;
using store::Sql;
using store::Tx;

#define INVITE_COLUMNS "code, max_uses, uses, for_account, created_by, created_at, disabled_at"

constexpr Sql k_insert{"INSERT INTO invite (" INVITE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"};
constexpr Sql k_get{"SELECT " INVITE_COLUMNS " FROM invite WHERE code = ?1"};
constexpr Sql k_list{"SELECT " INVITE_COLUMNS " FROM invite ORDER BY created_at DESC, code DESC LIMIT ?1"};
constexpr Sql k_disable{"UPDATE invite SET disabled_at = COALESCE(disabled_at, ?2) WHERE code = ?1"};
// Judged and counted in one statement: an invite is not spent twice in a race.
constexpr Sql k_spend{
    "UPDATE invite SET uses = uses + 1 WHERE code = ?1 AND uses < max_uses AND disabled_at IS NULL"};
constexpr Sql k_note_use{"INSERT INTO invite_use (account_id, code, used_at) VALUES (?1, ?2, ?3)"};
constexpr Sql k_forget_use{"DELETE FROM invite_use WHERE account_id = ?1 RETURNING code"};
constexpr Sql k_give_back{"UPDATE invite SET uses = uses - 1 WHERE code = ?1"};

Invite read_invite(Row& row) {
  return {.code = row.take_text(0),
          .max_uses = row.int64(1),
          .uses = row.int64(2),
          .for_account = row.take_text(3),
          .created_by = row.take_text(4),
          .created_at = row.time(5),
          .disabled_at = row.opt_time(6)};
}

}  // namespace

void insert(Tx& tx, const Invite& i) {
  tx.exec(k_insert, i.code, i.max_uses, i.uses, i.for_account, i.created_by, i.created_at, i.disabled_at);
}

std::optional<Invite> get(Tx& tx, std::string_view code) {
  auto row = tx.one(k_get, code);
  if (!row) return std::nullopt;
  return read_invite(*row);
}

std::vector<Invite> list(Tx& tx, std::int64_t limit) {
  std::vector<Invite> out;
  tx.each(k_list, [&](Row& row) { out.push_back(read_invite(row)); }, limit);
  return out;
}

bool disable(Tx& tx, std::string_view code, Time now) { return tx.exec(k_disable, code, now) == 1; }

bool spend(Tx& tx, std::string_view code, std::int64_t account_id, Time now) {
  if (tx.exec(k_spend, code) == 0) return false;
  tx.exec(k_note_use, account_id, code, now);
  return true;
}

void give_back(Tx& tx, std::int64_t account_id) {
  if (const auto used = tx.one(k_forget_use, account_id)) tx.exec(k_give_back, used->text(0));
}

void forget_account(Tx& tx, std::int64_t account_id) { tx.exec(k_forget_use, account_id); }

}  // namespace latchkey::pds::invites
