#pragma once
// The table mail_queue: one row a mail that is neither delivered nor given up.

#include <optional>
#include <string>
#include <string_view>

#include "store/database.h"

namespace latchkey::mail::rows {

struct Row {
  std::string id;
  Bytes sealed;
  std::int64_t attempts;  // those that have begun, the present one included
};

/// Whether fewer than `limit` mails are there.
bool has_room(store::Tx& tx, std::size_t limit);
std::int64_t count(store::Tx& tx);
/// With a lease the mail is the holder's until `due`, without one anybody's from then on.
void insert(store::Tx& tx, const Row& row, Time due, const std::optional<std::string>& lease);
/// The mail that has been due longest becomes the holder's until `until`. A lease that has run out is worth
/// nothing: its holder is gone.
std::optional<Row> claim(store::Tx& tx, Time now, Time until, std::string_view lease);
/// Ends every lease but the caller's own: nobody else is alive.
void take_over(store::Tx& tx, std::string_view lease, Time now);
/// Both do nothing when the lease is another's by now.
void remove(store::Tx& tx, std::string_view id, std::string_view lease);
void retry_at(store::Tx& tx, std::string_view id, std::string_view lease, Time due);

}  // namespace latchkey::mail::rows
