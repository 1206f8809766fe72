#include "base/fetch.h"

namespace latchkey {

std::string FetchResponse::header(std::string_view name) const {
  for (const auto& [n, v] : headers)
    if (n == name) return v;
  return {};
}

}  // namespace latchkey
