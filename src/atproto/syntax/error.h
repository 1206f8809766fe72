#pragma once
// Why a text is not an identifier of its kind. The message is fit for a client ("handle: empty label").

#include <string>

namespace latchkey {

struct SyntaxError {
  std::string message;
};

}  // namespace latchkey
