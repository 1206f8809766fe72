#pragma once
// The directory's operations: every statement on its tables, and the one transaction that appends.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "atproto/plc/operation.h"
#include "base/time.h"
#include "store/migrate.h"

namespace latchkey::dev {

/// How many operations one DID may add, recoveries aside. 0 means no limit.
struct PlcLimits {
  std::int64_t per_hour = 10;
  std::int64_t per_day = 30;
  std::int64_t per_week = 100;
};

struct ExportedOperation {
  Did did;
  plc::LogEntry entry;
  std::int64_t seq;
};

class PlcLogStore {
 public:
  struct TooMany {
    std::string message;
  };
  struct Busy {};  // lost against other submissions for this DID again and again
  using Refused = std::variant<plc::Error, TooMany, Busy>;

  PlcLogStore(store::Database& db, PlcLimits limits) : db_(db), limits_(limits) {}

  /// The whole log in the order it was accepted, nullified operations included. Empty: no such DID.
  Task<std::vector<plc::LogEntry>> log(Did did);
  /// The operation that counts now.
  Task<std::optional<plc::LogEntry>> last(Did did);
  /// Appends, if the rules allow it at `now`. An operation that is there already and counts is accepted
  /// again.
  Task<Result<void, Refused>> append(Did did, plc::Operation operation, Time now);

  /// In the order of acceptance. Operations of one moment are never torn apart, so a page may be longer than
  /// `count` by its last moment.
  Task<std::vector<ExportedOperation>> after_time(std::optional<Time> after, std::int64_t count);
  Task<std::vector<ExportedOperation>> after_seq(std::int64_t after, std::int64_t count);
  Task<void> ping();

 private:
  Result<void, TooMany> check_rate(std::span<const plc::LogEntry> log, Time now) const;
  store::Database& db_;
  PlcLimits limits_;
};

}  // namespace latchkey::dev
