#pragma once
// E-mail addresses as this server takes them from people.

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace latchkey::mail {

enum class AddressProblem { missing, too_long, incomplete, invalid };

struct AddressError {
  AddressProblem problem;
  std::string message;  // English, for the person who typed it; never quotes the input
};

/// A mailbox address: a dot-atom, '@', a host name of two labels or more (RFC 5321 §4.1.2). ASCII only, so no
/// quoted local parts, no address literals and no SMTPUTF8. White space around it is dropped and all of it is
/// lower-cased: one address is one account, whatever the shift key said. At most 254 bytes (RFC 5321
/// §4.5.3.1.3 less the angle brackets), 64 before the '@'.
class EmailAddress {
 public:
  static Result<EmailAddress, AddressError> parse(std::string_view text);
  const std::string& str() const { return text_; }
  std::string_view local() const;
  std::string_view domain() const;
  /// al***@example.com: what pages show to somebody who has not proved the address is theirs.
  std::string masked() const;
  auto operator<=>(const EmailAddress&) const = default;

 private:
  explicit EmailAddress(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace latchkey::mail
