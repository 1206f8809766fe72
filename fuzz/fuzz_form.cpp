// Form bodies: what is read can be written and read again, and the limits hold.
#include <cstdlib>

#include "web/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace latchkey;
  const auto request = web::Request::make("POST", "/", to_string(BytesView(data, size)),
                                          {{"content-type", "application/x-www-form-urlencoded"}});
  const auto fields = request.form();
  if (!fields) return 0;
  if (fields->size() > 100) std::abort();
  for (const auto& [name, value] : *fields)
    if (!is_valid_utf8(name) || !is_valid_utf8(value) || value.find('\0') != std::string::npos) std::abort();
  const auto again = parse_form(encode_form(*fields));
  if (!again || *again != *fields) std::abort();
  return 0;
}
