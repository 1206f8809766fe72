// Any text as an operation of did:plc, and as an audit log.
#include <cstdlib>

#include "atproto/plc/operation.h"

using namespace latchkey;

namespace {
void require(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value = json::parse(as_text({data, size}));
  if (!value) return 0;
  if (const auto op = plc::Operation::from_json(*value)) {
    require(json::Value(op->to_json()) == *value);
    const auto again = plc::Operation::from_json(op->to_json());
    require(again && *again == *op && again->cid() == op->cid());
    (void)plc::check_incoming(*op);
    const Did did = plc::did_of(*op);
    (void)plc::check_next(did, {}, *op, from_unix_seconds(0));
    if (const auto state = op->data()) (void)plc::did_document(did, *state);
  }
  static const Did k_did = *Did::parse("did:plc:yk4dd2qkboz2yv6tpubpc6co");
  if (const auto log = plc::audit_log_from_json(k_did, *value)) (void)plc::validate_log(k_did, *log);
  return 0;
}
