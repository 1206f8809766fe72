// Whatever a client or a person writes into an address, a name, a subject or a body: one mail comes out, with
// one header block of known names.

#include <cstdlib>

#include "mail/message.h"
#include "mail/smtp.h"

using namespace latchkey;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (const auto address = mail::EmailAddress::parse(input)) {
    const auto again = mail::EmailAddress::parse(address->str());
    if (!again || *again != *address || address->str().size() > 254) std::abort();
  }
  (void)mail::parse_smtp_url(input);

  SeededRng rng;
  const auto self = *mail::EmailAddress::parse("noreply@example.com");
  const std::string out =
      mail::render({.to = self, .subject = input, .text = input, .html = input, .from_name = input},
                   {self, ""}, Time(), rng);
  std::size_t at = 0, headers = 0;
  bool in_head = true;
  while (at < out.size()) {
    const auto end = out.find("\r\n", at);
    if (end == std::string::npos || end - at > 76) std::abort();
    const std::string_view line(out.data() + at, end - at);
    for (const char c : line)
      if (c != '\t' && (c < 0x20 || c > 0x7e)) std::abort();
    if (line.empty()) in_head = false;
    if (in_head && line[0] != ' ') ++headers;
    at = end + 2;
  }
  // A mail without HTML is no multipart, so its transfer encoding stands here, too.
  if (headers != (input.empty() ? 9u : 8u)) std::abort();
  return 0;
}
