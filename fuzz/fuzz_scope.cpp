// Scope strings from clients and their metadata.
#include <cstdlib>

#include "oauth/scopes/scopes.h"

using namespace latchkey;

namespace {
void require(bool ok) {
  if (!ok) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto set = oauth::ScopeSet::parse(text);
  if (!set) return 0;
  require(!set->empty());
  const auto again = oauth::ScopeSet::parse(set->str());
  require(again && *again == *set && again->str() == set->str());
  require(set->intersect(*set) == *set && set->includes(set->known()) &&
          set->known().known() == set->known());
  for (const auto& token : set->tokens()) require(set->has(token));
  if (oauth::check_atproto_scopes(*set)) require(set->has(oauth::k_scope_atproto));
  return 0;
}
