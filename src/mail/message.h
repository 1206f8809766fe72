#pragma once
// A mail and its form on the wire: RFC 5322 headers, MIME multipart/alternative (RFC 2045, 2046).

#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "base/time.h"
#include "mail/address.h"

namespace latchkey::mail {

struct Message {
  EmailAddress to;
  std::string subject;  // UTF-8; what cannot stand in a header line becomes a space
  std::string text;     // UTF-8, any line ends
  std::string html;     // "" sends the text alone
  std::optional<EmailAddress> from = std::nullopt;  // absent: the sender's own
  std::string from_name = {};                       // "" : the sender's own
  std::optional<Time> deadline = std::nullopt;      // worth nothing after it, so it is not sent any more
  // What a second attempt to hand over the same mail repeats, so that its receiver knows it again.
  std::string id = {};                      // left of '@' in Message-ID, safe characters; "" : a fresh one
  std::optional<Time> date = std::nullopt;  // absent: when it is rendered
};

/// Who a mail comes from when it does not say.
struct From {
  EmailAddress address;
  std::string name;
};

/// UTF-8 for one header line: control characters, line and paragraph separators become single spaces, bytes
/// that are not UTF-8 become '?', and it ends after `max_bytes` at a character's border. Header injection
/// ends here.
std::string header_safe(std::string_view text, std::size_t max_bytes = 250);

/// The whole mail with CRLF line ends, lines of at most 76 characters, pure ASCII. Always carries Date,
/// Message-ID (below the domain of From) and `Auto-Submitted: auto-generated` (RFC 3834 §5).
std::string render(const Message& message, const From& from, Time now, Rng& rng);

}  // namespace latchkey::mail
