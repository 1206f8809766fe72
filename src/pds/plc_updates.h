#pragma once
// Signed PLC operations on their way to the directory. Statements: plc_updates_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "base/result.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

struct PlcUpdate {
  std::int64_t account_id;
  Did did;
  std::string operation;         // signed, JSON
  std::optional<Handle> handle;  // what the account is called when the directory has it
};

namespace plc_updates {

enum class Taken {
  handle,  // somebody holds it or is about to
  busy,    // another operation of this account is under way
  gone,    // there is no such account
};
/// Writes down what is about to be handed in, and reserves the handle.
Result<void, Taken> begin(store::Tx&, const PlcUpdate&, Time now);
std::optional<PlcUpdate> get(store::Tx&, std::int64_t account_id);
/// Those begun at or before `until`.
std::vector<PlcUpdate> unfinished(store::Tx&, Time until);
/// True for the one caller that took it away; its handle is free again.
bool remove(store::Tx&, const PlcUpdate&);
void remove_all(store::Tx&, std::int64_t account_id);
bool reserves(store::Tx&, const Handle&);

}  // namespace plc_updates
}  // namespace latchkey::pds
