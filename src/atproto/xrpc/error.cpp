#include "atproto/xrpc/error.h"

#include "base/json.h"

namespace latchkey::xrpc {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// "InvalidRequest" -> "Invalid Request", "XRPCNotSupported" -> "XRPC Not Supported", "invalid_token" ->
// "invalid token".
std::string words_of(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool after_lower = i > 0 && !is_upper(name[i - 1]);
    const bool before_lower = i + 1 < name.size() && !is_upper(name[i + 1]);
    if (i > 0 && is_upper(name[i]) && (after_lower || before_lower)) out += ' ';
    out += name[i] == '_' ? ' ' : name[i];
  }
  return out;
}

}  // namespace

std::string body(const Fault& fault) {
  const auto name = wire(fault.code).name;
  std::string out = R"({"error":)";
  json::append_string(out, name);
  out += R"(,"message":)";
  json::append_string(out, fault.message.empty() ? words_of(name) : fault.message);
  out += '}';
  return out;
}

}  // namespace latchkey::xrpc
