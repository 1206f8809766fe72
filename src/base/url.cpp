#include "base/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace latchkey {
namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}
std::uint16_t default_port(std::string_view scheme) {
  if (scheme == "https" || scheme == "wss") return 443;
  if (scheme == "http" || scheme == "ws") return 80;
  return 0;
}
bool valid_ipv6(std::string_view bracketed) {
  in6_addr addr;
  return ::inet_pton(AF_INET6, std::string(bracketed.substr(1, bracketed.size() - 2)).c_str(), &addr) == 1;
}
bool valid_reg_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  return std::all_of(host.begin(), host.end(), [](char c) { return is_unreserved(c); });
}

std::optional<std::string> decode(std::string_view in, bool plus_is_space) {
  std::string out;
  out.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] == '%') {
      if (in.size() - i < 3) return std::nullopt;
      const int high = hex_value(in[i + 1]), low = hex_value(in[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += plus_is_space && in[i] == '+' ? ' ' : in[i];
    }
  }
  return out;
}

}  // namespace

std::optional<Url> Url::parse(std::string_view text) {
  if (text.empty() || text.size() > 8192) return std::nullopt;
  // RFC 3986 §2: no spaces, controls or these delimiters; non-ASCII must be percent-encoded.
  for (char c : text)
    if (c <= 0x20 || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' ||
        c == '{' || c == '|' || c == '}')
      return std::nullopt;
  const auto colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  Url url;
  url.scheme = lower(text.substr(0, colon));
  if (url.scheme[0] < 'a' || url.scheme[0] > 'z') return std::nullopt;
  for (char c : url.scheme)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))
      return std::nullopt;
  std::string_view rest = text.substr(colon + 3);
  if (const auto hash = rest.find('#'); hash != std::string_view::npos) {
    url.fragment = std::string(rest.substr(hash + 1));
    if (url.fragment->find('#') != std::string::npos) return std::nullopt;
    rest = rest.substr(0, hash);
  }
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    url.query = std::string(rest.substr(mark + 1));
    rest = rest.substr(0, mark);
  }
  const auto slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = std::string(rest.substr(slash));
  if (const auto at = authority.find('@'); at != std::string_view::npos) {
    url.userinfo = std::string(authority.substr(0, at));
    authority = authority.substr(at + 1);
    if (url.userinfo.empty() || authority.find('@') != std::string_view::npos) return std::nullopt;
  }
  std::string_view host = authority, port;
  bool has_port = false;
  if (!authority.empty() && authority[0] == '[') {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = authority.substr(0, close + 1);
    if (!valid_ipv6(host)) return std::nullopt;
    const auto tail = authority.substr(close + 1);
    if (!tail.empty()) {
      if (tail[0] != ':') return std::nullopt;
      has_port = true;
      port = tail.substr(1);
    }
  } else {
    if (const auto c = authority.find(':'); c != std::string_view::npos) {
      host = authority.substr(0, c);
      port = authority.substr(c + 1);
      has_port = true;
    }
    if (!valid_reg_name(host)) return std::nullopt;
  }
  url.host = lower(host);
  if (has_port) {
    if (port.empty() || port.size() > 5 ||
        !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return std::nullopt;
    const int value = std::stoi(std::string(port));
    if (value < 1 || value > 65535) return std::nullopt;
    if (value != default_port(url.scheme)) url.port = static_cast<std::uint16_t>(value);
  }
  return url;
}

std::string Url::authority() const { return port ? host + ":" + std::to_string(*port) : host; }
std::string Url::origin() const { return scheme + "://" + authority(); }
std::string Url::str() const {
  std::string out = scheme + "://";
  if (!userinfo.empty()) out += userinfo + "@";
  out += authority() + path;
  if (query) out += "?" + *query;
  if (fragment) out += "#" + *fragment;
  return out;
}
std::uint16_t Url::effective_port() const { return port.value_or(default_port(scheme)); }
bool Url::host_is_ip() const {
  if (host.starts_with('[')) return true;
  // Anything a resolver could take for an IPv4 address: decimal, octal and hexadecimal forms too (inet_aton).
  in_addr addr;
  return ::inet_aton(host.c_str(), &addr) != 0;
}

std::string percent_encode(std::string_view in) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(in.size());
  for (char c : in) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      const auto b = static_cast<std::uint8_t>(c);
      out += '%';
      out += digits[b >> 4];
      out += digits[b & 15];
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view in) { return decode(in, false); }

std::optional<FormFields> parse_form(std::string_view in, std::size_t max_fields) {
  FormFields out;
  while (!in.empty()) {
    const auto amp = in.find('&');
    const std::string_view pair = in.substr(0, amp);
    in = amp == std::string_view::npos ? std::string_view() : in.substr(amp + 1);
    if (pair.empty()) continue;
    if (out.size() == max_fields) return std::nullopt;
    const auto eq = pair.find('=');
    auto name = decode(pair.substr(0, eq), true);
    auto value = decode(eq == std::string_view::npos ? std::string_view() : pair.substr(eq + 1), true);
    if (!name || !value || !is_valid_utf8(*name) || !is_valid_utf8(*value) ||
        name->find('\0') != std::string::npos || value->find('\0') != std::string::npos)
      return std::nullopt;
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

std::string encode_form(const FormFields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

std::optional<std::string> single(const FormFields& fields, std::string_view name) {
  std::optional<std::string> found;
  for (const auto& [n, v] : fields) {
    if (n != name) continue;
    if (found) return std::nullopt;
    found = v;
  }
  return found;
}

bool has_duplicates(const FormFields& fields) {
  std::set<std::string_view> seen;
  return std::any_of(fields.begin(), fields.end(),
                     [&](const auto& f) { return !seen.insert(f.first).second; });
}

bool is_valid_utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    if (s.size() - i >= 8) {  // most text is ASCII: eight bytes at a time
      std::uint64_t eight;
      std::memcpy(&eight, s.data() + i, 8);
      if ((eight & 0x8080808080808080) == 0) {
        i += 8;
        continue;
      }
    }
    const auto b = static_cast<std::uint8_t>(s[i]);
    if (b < 0x80) {
      ++i;
      continue;
    }
    std::size_t more;
    std::uint32_t code;
    if (b >= 0xc2 && b <= 0xdf) {
      more = 1;
      code = b & 0x1f;
    } else if (b >= 0xe0 && b <= 0xef) {
      more = 2;
      code = b & 0x0f;
    } else if (b >= 0xf0 && b <= 0xf4) {
      more = 3;
      code = b & 0x07;
    } else {
      return false;
    }
    if (s.size() - i <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      const auto c = static_cast<std::uint8_t>(s[i + k]);
      if ((c & 0xc0) != 0x80) return false;
      code = code << 6 | (c & 0x3f);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10ffff)) ||
        (code >= 0xd800 && code <= 0xdfff))
      return false;
    i += more + 1;
  }
  return true;
}

std::string utf8_prefix(std::string text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xc0) == 0x80) --max;
  text.resize(max);
  return text;
}

}  // namespace latchkey
