#include "mail/message.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/url.h"

namespace latchkey::mail {

namespace {

std::size_t utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

bool is_space_in_header(std::string_view c) {
  if (c.size() == 1) return static_cast<unsigned char>(c[0]) <= 0x20 || c[0] == 0x7f;
  if (c.size() == 2) return c[0] == '\xc2' && static_cast<unsigned char>(c[1]) < 0xa0;  // C1 controls
  // U+2028, U+2029 separate lines; U+200E-F, U+202A-E and U+2066-9 turn the reading direction of what
  // follows.
  if (c.size() != 3 || c[0] != '\xe2') return false;
  const auto low = static_cast<unsigned char>(c[2]);
  if (c[1] == '\x80') return low == 0x8e || low == 0x8f || (low >= 0xa8 && low <= 0xae);
  return c[1] == '\x81' && low >= 0xa6 && low <= 0xa9;
}

bool is_ascii(std::string_view s) {
  return std::ranges::all_of(s, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// RFC 2047 §2, §5: words of at most 75 characters, each of whole characters, one per line so that no line
// passes 76 after a field name of up to 12.
std::string encoded_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t take = 0;
    while (take < text.size()) {
      const auto next = take + utf8_length(static_cast<unsigned char>(text[take]));
      if (next > 36) break;
      take = next;
    }
    if (!out.empty()) out += "\r\n ";
    out += "=?utf-8?B?" + base64(as_bytes(text.substr(0, take))) + "?=";
    text.remove_prefix(take);
  }
  return out;
}

std::string unstructured(std::string_view text) {
  if (is_ascii(text) && text.size() <= 64 && text.find("=?") == std::string_view::npos)
    return std::string(text);
  return encoded_words(text);
}

// RFC 5322 §3.4: name-addr, the name as a quoted string or as encoded words.
std::string mailbox(std::string_view name, const EmailAddress& address) {
  if (name.empty()) return address.str();
  std::string shown = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') shown += '\\';
    shown += c;
  }
  shown += '"';
  if (!is_ascii(name) || shown.size() > 70 || name.find("=?") != std::string_view::npos)
    shown = encoded_words(name);
  return shown + "\r\n <" + address.str() + ">";
}

// RFC 2045 §6.7. Any of CRLF, CR, LF in the text ends a line.
std::string quoted_printable(std::string_view text) {
  constexpr char k_hex[] = "0123456789ABCDEF";
  std::string out;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' || c == '\n') {
      if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
      out += "\r\n";
      column = 0;
      continue;
    }
    const bool ends_line = i + 1 == text.size() || text[i + 1] == '\r' || text[i + 1] == '\n';
    const bool plain = c == ' ' || c == '\t' ? !ends_line : c > 0x20 && c < 0x7f && c != '=';
    const std::size_t width = plain ? 1 : 3;
    if (column + width > 75) {  // the 76th is for the soft break's '='
      out += "=\r\n";
      column = 0;
    }
    if (plain) {
      out += c;
    } else {
      const auto b = static_cast<unsigned char>(c);
      out += {'=', k_hex[b >> 4], k_hex[b & 15]};
    }
    column += width;
  }
  if (column > 0) out += "\r\n";
  return out;
}

std::string part(std::string_view type, std::string_view body) {
  return fmt::format(
      "Content-Type: {}; charset=utf-8\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
      type, quoted_printable(body));
}

}  // namespace

std::string header_safe(std::string_view text, std::size_t max_bytes) {
  std::string ascii;
  if (!is_valid_utf8(text)) {
    ascii = text;
    for (char& c : ascii)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    text = ascii;
  }
  std::string out;
  bool space = false;
  while (!text.empty()) {
    const auto c = text.substr(0, utf8_length(static_cast<unsigned char>(text[0])));
    text.remove_prefix(c.size());
    if (is_space_in_header(c)) {
      space = !out.empty();
      continue;
    }
    if (out.size() + c.size() + (space ? 1 : 0) > max_bytes) break;
    if (std::exchange(space, false)) out += ' ';
    out += c;
  }
  return out;
}

std::string render(const Message& message, const From& from, Time now, Rng& rng) {
  const EmailAddress& sender = message.from ? *message.from : from.address;
  const std::string name = header_safe(message.from_name.empty() ? from.name : message.from_name, 120);
  std::string date = http_date(message.date.value_or(now));
  date.replace(date.size() - 3, 3, "+0000");  // RFC 5322 §3.3: GMT is its obsolete form

  std::string out = fmt::format(
      "Date: {}\r\n"
      "From: {}\r\n"
      "To: {}\r\n"
      "Subject: {}\r\n"
      "Message-ID: <{}@{}>\r\n"
      "Auto-Submitted: auto-generated\r\n"
      "MIME-Version: 1.0\r\n",
      date, mailbox(name, sender), message.to.str(), unstructured(header_safe(message.subject)),
      message.id.empty() ? rng.token(16) : message.id, sender.domain());
  if (message.html.empty()) return out + part("text/plain", message.text);

  // "=_" cannot occur in quoted-printable text (RFC 2045 §6.7), so no body can end its part early.
  const std::string boundary = "=_" + rng.token(18);
  out += fmt::format("Content-Type: multipart/alternative;\r\n boundary=\"{}\"\r\n\r\n", boundary);
  // RFC 2046 §5.1.4: the best form last.
  out += fmt::format("--{0}\r\n{1}\r\n--{0}\r\n{2}\r\n--{0}--\r\n", boundary,
                     part("text/plain", message.text), part("text/html", message.html));
  return out;
}

}  // namespace latchkey::mail
