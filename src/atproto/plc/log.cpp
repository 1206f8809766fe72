#include <fmt/format.h>

#include <algorithm>

#include "atproto/plc/operation.h"

namespace latchkey::plc {

namespace {

using Code = Error::Code;

auto refuse(Code code, std::string why) { return fail(Error{code, std::move(why)}); }

// Logs state times in milliseconds; a decision must come out the same when the log is replayed.
auto millis(Time t) { return std::chrono::floor<std::chrono::milliseconds>(t); }

Result<void, Error> check_genesis(const Did& did, const Operation& op) {
  const auto data = op.data();
  if (!data) return refuse(Code::misordered, "a tombstone cannot come first");
  if (!op.signer(data->rotation_keys)) return refuse(Code::invalid_signature, "not signed by a rotation key");
  if (did_of(op) != did) return refuse(Code::genesis_hash, "the operation's DID is " + did_of(op).str());
  if (op.prev()) return refuse(Code::improper_operation, "a genesis operation's prev must be null");
  return {};
}

}  // namespace

// "Key Rotation & Account Recovery".
Result<Accepted, Error> check_next(const Did& did, std::span<const LogEntry> log, const Operation& next,
                                   Time now) {
  std::vector<const LogEntry*> history;
  for (const LogEntry& entry : log)
    if (!entry.nullified) history.push_back(&entry);
  if (history.empty()) {
    TRY_VOID(check_genesis(did, next));
    return Accepted{};
  }

  // The fork point: the operation `next` builds on must be in the history that counts, and alive.
  const auto prev = next.prev();
  if (!prev) return refuse(Code::misordered, "the DID exists already; prev must name its last operation");
  const auto at = std::ranges::find(history, *prev, [](const LogEntry* entry) { return entry->cid; });
  if (at == history.end()) return refuse(Code::misordered, "prev is not an operation of this DID's history");
  const auto data = (*at)->operation.data();
  if (!data) return refuse(Code::misordered, "prev is a tombstone");
  const std::span keys(data->rotation_keys);
  const std::span disputed(at + 1, history.end());

  if (disputed.empty()) {
    if (!next.signer(keys)) return refuse(Code::invalid_signature, "not signed by a rotation key of prev");
    return Accepted{.nullified = {}, .prev = prev};
  }

  // Rewriting history takes a key that stands before the one that signed the first operation to fall.
  const LogEntry& first = *disputed.front();
  const auto its_signer = first.operation.signer(keys);
  if (!its_signer)
    return refuse(Code::invalid_signature, "the log holds an operation without a valid signature");
  if (!next.signer(keys.first(*its_signer)))
    return refuse(Code::invalid_signature, "not signed by a more powerful rotation key");
  if (millis(now) <= millis(history.back()->created_at))
    return refuse(Code::misordered, "not later than the last operation");
  if (millis(now) - millis(first.created_at) > k_recovery_window)
    return refuse(Code::late_recovery, "the recovery window of 72 hours has passed");

  Accepted accepted{.nullified = {}, .prev = prev};
  for (const LogEntry* entry : disputed) accepted.nullified.push_back(entry->cid);
  return accepted;
}

Result<std::optional<Data>, Error> validate_log(const Did& did, std::span<const LogEntry> log) {
  if (log.empty()) return refuse(Code::misordered, "the log is empty");
  std::vector<LogEntry> replayed;
  replayed.reserve(log.size());
  for (const LogEntry& entry : log) {
    if (entry.operation.cid() != entry.cid) return refuse(Code::wrong_record, "CID of another operation");
    if (!replayed.empty() && millis(entry.created_at) < millis(replayed.back().created_at))
      return refuse(Code::misordered, "times run backwards");
    TRY(const Accepted accepted, check_next(did, replayed, entry.operation, entry.created_at));
    for (LogEntry& earlier : replayed)
      if (std::ranges::count(accepted.nullified, earlier.cid) > 0) earlier.nullified = true;
    replayed.push_back(entry);
    replayed.back().nullified = false;
  }
  for (std::size_t i = 0; i < log.size(); ++i)
    if (log[i].nullified != replayed[i].nullified)
      return refuse(Code::wrong_record,
                    fmt::format("{} is {}nullified", log[i].cid.str(), replayed[i].nullified ? "" : "not "));
  // The last entry is never nullified: nothing came after it.
  return replayed.back().operation.data();
}

}  // namespace latchkey::plc
