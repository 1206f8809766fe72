#pragma once
// The log behind com.atproto.sync.subscribeRepos. A row is written in the transaction of the change it
// announces. Statements: events_sql.cpp.
//
// On SQLite there is one writer, so rows are numbered as they are written. On PostgreSQL a number taken
// inside a transaction may become visible after a higher one: rows are written unnumbered and
// number_pending(), run by one process at a time, gives committed rows their numbers. Rows of one account are
// in order there because their writers held the lock of its repo_head row.

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

enum class EventKind : std::int64_t { commit = 1, sync = 2, identity = 3, account = 4 };

struct Event {
  std::int64_t seq;
  std::int64_t account_id;
  EventKind kind;
  Bytes payload;  // DAG-CBOR map: the message of the lexicon without its `seq`
  Time created_at;
};

namespace events {

void append(store::Tx&, store::Engine, std::int64_t account_id, EventKind, BytesView payload, Time now);
/// Events of an account that is being deleted: those without a number go now, the others are noted for
/// sweep().
void remove_account(store::Tx&, std::int64_t account_id);
/// Looks through up to `limit` numbers of the log for events of deleted accounts and removes them. True when
/// more are left. Finding them takes no index, which every commit would pay for.
bool sweep(store::Tx&, std::int64_t limit);
/// Numbers up to `limit` committed rows; how many there were. Only the holder of the sequencer's lock may
/// call.
std::int64_t number_pending(store::Tx&, std::int64_t limit);
std::vector<Event> after(store::Tx&, std::int64_t seq, std::int64_t limit);
/// The highest number given; 0 when there is none.
std::int64_t last_seq(store::Tx&);

}  // namespace events
}  // namespace latchkey::pds
