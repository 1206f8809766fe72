#include "mail/dkim.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::mail {

namespace {

// What a mail of ours carries and a reader sees, or a reader's program acts on. From stands one time more
// than a mail may have it.
constexpr std::string_view k_signed[] = {
    "From", "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted"};

constexpr std::string_view k_end = "\r\n";

bool is_wsp(char c) { return c == ' ' || c == '\t'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

struct Field {
  std::string name;  // lower-case
  std::string text;  // relaxed, with its line end
};

// §3.4.2
Field relaxed(std::string_view raw) {
  const auto colon = raw.find(':');
  Field out;
  for (const char c : raw.substr(0, colon))
    if (!is_wsp(c)) out.name += lower(c);
  out.text = out.name + ":";
  bool space = false;
  const std::size_t value_at = out.text.size();
  for (const char c : raw.substr(std::min(colon, raw.size() - 1) + 1)) {
    if (c == '\r' || c == '\n') continue;  // unfolding takes the line end and leaves the space after it
    if (is_wsp(c)) {
      space = out.text.size() > value_at;
      continue;
    }
    if (std::exchange(space, false)) out.text += ' ';
    out.text += c;
  }
  out.text += k_end;
  return out;
}

std::vector<Field> fields(std::string_view header) {
  std::vector<Field> out;
  std::size_t begin = 0;
  for (std::size_t at = header.find(k_end); begin < header.size(); at = header.find(k_end, at + 2)) {
    if (at == std::string_view::npos) at = header.size();
    if (at + 2 < header.size() && is_wsp(header[at + 2])) continue;  // folded
    out.push_back(relaxed(header.substr(begin, at - begin)));
    if (at + 2 >= header.size()) break;
    begin = at + 2;
  }
  return out;
}

// Folded base64: §3.5 lets white space stand anywhere in b= and bh=.
std::string folded(std::string_view base64_text) {
  std::string out;
  for (std::size_t at = 0; at < base64_text.size(); at += 72)
    out += fmt::format("{}{}", at == 0 ? "" : "\r\n ", base64_text.substr(at, 72));
  return out;
}

}  // namespace

std::string Dkim::record() const {
  return fmt::format("v=DKIM1; k={}; p={}", key.type() == crypto::DkimKey::Type::rsa ? "rsa" : "ed25519",
                     base64(key.public_key()));
}

bool is_selector(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '.' || text.back() == '.' ||
      text.find("..") != std::string_view::npos)
    return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

std::string relaxed_body(std::string_view body) {
  std::string out;
  std::size_t empty_lines = 0;  // written only when a line with text follows
  while (!body.empty()) {
    const auto end = std::min(body.find(k_end), body.size());
    std::string line;
    bool space = false;
    for (const char c : body.substr(0, end)) {
      if (is_wsp(c)) {
        space = true;
        continue;
      }
      if (std::exchange(space, false)) line += ' ';
      line += c;
    }
    body.remove_prefix(std::min(end + 2, body.size()));
    if (line.empty()) {
      ++empty_lines;
      continue;
    }
    for (; empty_lines > 0; --empty_lines) out += k_end;
    out += line;
    out += k_end;
  }
  return out;
}

std::string signed_text(std::string_view header, std::span<const std::string_view> names,
                        std::string_view signature_field) {
  const std::vector<Field> all = fields(header);
  std::map<std::string, std::size_t> used;  // of each name, from the bottom (§5.4.2)
  std::string out;
  for (const auto& wanted : names) {
    std::string name(wanted);
    std::ranges::transform(name, name.begin(), lower);
    std::size_t skip = used[name]++;
    for (auto field = all.rbegin(); field != all.rend(); ++field) {
      if (field->name != name || skip-- > 0) continue;
      out += field->text;
      break;
    }
  }
  std::string own = relaxed(signature_field).text;
  own.resize(own.size() - k_end.size());
  return out + own;
}

std::string dkim_signature(const Dkim& dkim, std::string_view mail, Time now) {
  const auto blank = mail.find("\r\n\r\n");
  const auto header = mail.substr(0, blank == std::string_view::npos ? mail.size() : blank + 2);
  const auto body = mail.substr(std::min(header.size() + 2, mail.size()));
  const std::string body_hash = relaxed_body(body);
  const std::string field = fmt::format(
      "DKIM-Signature: v=1; a={}-sha256; c=relaxed/relaxed;\r\n"
      " d={}; s={}; t={};\r\n"
      " h={}:\r\n"
      "  {};\r\n"
      " bh={};\r\n"
      " b=",
      dkim.key.type() == crypto::DkimKey::Type::rsa ? "rsa" : "ed25519", dkim.domain, dkim.selector,
      unix_seconds(now), fmt::join(std::span(k_signed).first(6), ":"),
      fmt::join(std::span(k_signed).subspan(6), ":"), base64(crypto::sha256(as_bytes(body_hash))));
  const std::string signature = base64(dkim.key.sign(as_bytes(signed_text(header, k_signed, field))));
  return field + folded(signature) + "\r\n";
}

}  // namespace latchkey::mail
