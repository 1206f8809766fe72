// Cookie headers: every pair that is read could be set again.
#include <cstdlib>

#include "web/cookie.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace latchkey;
  const auto cookies = web::parse_cookies(as_text({data, size}));
  if (cookies.size() > 64) std::abort();
  for (const auto& [name, value] : cookies) {
    auto bare = value;
    if (bare.size() >= 2 && bare.front() == '"') bare = bare.substr(1, bare.size() - 2);
    if (name.starts_with("__")) continue;  // a prefix asks for more than a pair
    static_cast<void>(web::SetCookie{.name = name, .value = bare}.str());
  }
  return 0;
}
