#pragma once
// Where a domain takes mail, beside TxtLookup of base/fetch.h.

#include <cstdint>
#include <string>
#include <vector>

#include "base/fetch.h"

namespace latchkey {

struct MxRecord {
  std::uint16_t preference;
  std::string host;  // "" : the root, a null MX (RFC 7505)
};

class MxLookup {
 public:
  virtual ~MxLookup() = default;
  /// The MX records of a name, in no order. No such name is an empty list.
  virtual Task<Result<std::vector<MxRecord>, FetchError>> mx(std::string name) = 0;
};

}  // namespace latchkey
