#pragma once
// Records as rows in path order. Statements: records_sql.cpp.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"
#include "base/bytes.h"
#include "store/database.h"

namespace latchkey::pds {

struct StoredRecord {
  std::string rkey;
  Cid cid;
  Bytes value;  // DAG-CBOR
};

namespace records {

std::optional<StoredRecord> get(store::Tx&, std::int64_t account_id, const Nsid& collection,
                                const RecordKey& rkey);

enum class Order { newest_first, oldest_first };  // by record key: TIDs sort by time
/// At most `limit`, beyond `cursor` (a record key, exclusive) in the given order.
std::vector<StoredRecord> list(store::Tx&, std::int64_t account_id, const Nsid& collection,
                               std::int64_t limit, const std::optional<std::string>& cursor, Order order);
std::vector<std::string> collections(store::Tx&, std::int64_t account_id);

void insert(store::Tx&, std::int64_t account_id, const Nsid&, const RecordKey&, const Cid&, BytesView value);
void update(store::Tx&, std::int64_t account_id, const Nsid&, const RecordKey&, const Cid&, BytesView value);
void remove(store::Tx&, std::int64_t account_id, const Nsid&, const RecordKey&);
void remove_all(store::Tx&, std::int64_t account_id);

struct Leaf {
  std::string path;  // collection/rkey
  Cid cid;
};
/// Every leaf of the repository's tree, sorted by path.
std::vector<Leaf> leaves(store::Tx&, std::int64_t account_id);
/// Every record, one at a time, in no particular order.
void each_value(store::Tx&, std::int64_t account_id,
                const std::function<void(const Cid&, BytesView value)>& f);

}  // namespace records
}  // namespace latchkey::pds
