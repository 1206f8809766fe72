#include "atproto/car/error.h"

#include <cstdlib>

namespace latchkey::car {

std::string_view CarError::message() const {
  switch (code) {
    case Code::varint:
      return "malformed length";
    case Code::header:
      return "malformed CAR header";
    case Code::header_size:
      return "CAR header too large";
    case Code::block_size:
      return "block too large or too small";
    case Code::total_size:
      return "CAR too large";
    case Code::block_count:
      return "too many blocks";
    case Code::bad_cid:
      return "CID of an unknown kind";
    case Code::hash_mismatch:
      return "block does not match its CID";
    case Code::truncated:
      return "CAR ends too early";
  }
  std::abort();
}

}  // namespace latchkey::car
