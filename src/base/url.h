#pragma once
// URLs, percent-encoding and application/x-www-form-urlencoded.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace latchkey {

/// An absolute URL with an authority, split per RFC 3986 and kept as written except that scheme and host are
/// lower-cased and a default port is dropped (RFC 3986 §6.2.2.1, §6.2.3). At most 8192 bytes of printable
/// ASCII. Hosts are a registered name, an IPv4 address or a bracketed IPv6 address.
struct Url {
  std::string scheme;                   // "https"
  std::string userinfo;                 // "" when absent
  std::string host;                     // "example.com", "[::1]"
  std::optional<std::uint16_t> port;    // only when not the scheme's default
  std::string path;                     // begins with '/', or is empty
  std::optional<std::string> query;     // without '?'
  std::optional<std::string> fragment;  // without '#'

  static std::optional<Url> parse(std::string_view text);
  std::string origin() const;     // scheme://host[:port]
  std::string authority() const;  // host[:port]
  std::string str() const;
  std::uint16_t effective_port() const;  // 443, 80 or the port given
  bool host_is_ip() const;
};

std::string percent_encode(std::string_view);  // all but RFC 3986 unreserved
/// std::nullopt on a broken escape. Bytes are returned as they are, also NUL and non-UTF-8.
std::optional<std::string> percent_decode(std::string_view);

/// Names and values in the order they came. std::nullopt on a broken escape, invalid UTF-8 or NUL, or more
/// than `max_fields` fields. '+' is a space.
using FormFields = std::vector<std::pair<std::string, std::string>>;
std::optional<FormFields> parse_form(std::string_view, std::size_t max_fields = 100);
std::string encode_form(const FormFields&);

/// The value of the only field of that name; std::nullopt when absent or given more than once.
std::optional<std::string> single(const FormFields&, std::string_view name);
/// True when some name occurs more than once (refused by RFC 6749 §3.1, §3.2).
bool has_duplicates(const FormFields&);

bool is_valid_utf8(std::string_view);
/// At most `max` bytes of UTF-8, cut between characters.
std::string utf8_prefix(std::string text, std::size_t max);

}  // namespace latchkey
