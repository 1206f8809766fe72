#include "web/languages.h"

#include <algorithm>
#include <optional>

#include "web/http.h"

namespace latchkey::web {
namespace {

constexpr std::size_t k_max_header = 1000;
constexpr std::size_t k_max_tag = 35;  // RFC 5646 §4.4.1

std::string_view trim(std::string_view s) {
  const auto first = s.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

/// What precedes the next `separator`, trimmed; the rest stays.
std::string_view next(std::string_view& rest, char separator) {
  const auto end = rest.find(separator);
  const auto item = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return trim(item);
}

/// In thousandths. RFC 9110 §12.4.2: qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
std::optional<int> parse_qvalue(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  int out = (text[0] - '0') * 1000;
  if (text.size() > 1 && text[1] != '.') return std::nullopt;
  int place = 100;
  for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    out += (c - '0') * place;
    place /= 10;
  }
  return out > 1000 ? std::nullopt : std::optional(out);
}

/// RFC 4647 §2.1: subtags of 1 to 8 letters and digits, the first of letters. "" for anything else.
std::string parse_range(std::string_view text) {
  if (text.empty() || text.size() > k_max_tag) return {};
  std::string out;
  std::size_t length = 0;  // of the subtag so far
  bool first = true;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    out += c;
    if (c == '-') {
      if (length == 0) return {};
      length = 0;
      first = false;
      continue;
    }
    const bool belongs = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && !first);
    if (!belongs || ++length > 8) return {};
  }
  return length == 0 ? std::string() : out;
}

}  // namespace

LanguagePriority LanguagePriority::from_accept_language(std::string_view header) {
  struct Item {
    std::string range;
    int weight;
    std::size_t place;
  };
  std::vector<Item> items;
  for (auto rest = header.substr(0, k_max_header); !rest.empty();) {
    auto item = next(rest, ',');
    std::string range = parse_range(next(item, ';'));
    item = trim(item);
    std::optional<int> weight = 1000;
    if (!item.empty())
      weight = item.starts_with("q=") || item.starts_with("Q=") ? parse_qvalue(item.substr(2)) : std::nullopt;
    if (!range.empty() && weight) items.push_back({std::move(range), *weight, items.size()});
  }
  std::ranges::sort(items, {}, [](const Item& item) { return std::pair(-item.weight, item.place); });
  LanguagePriority out;
  for (auto& item : items) (item.weight > 0 ? out.wanted : out.refused).push_back(std::move(item.range));
  return out;
}

LanguagePriority LanguagePriority::from_list(std::string_view tags) {
  LanguagePriority out;
  for (auto rest = tags.substr(0, k_max_header); !rest.empty();)
    if (std::string range = parse_range(next(rest, ' ')); !range.empty())
      out.wanted.push_back(std::move(range));
  return out;
}

std::string_view lookup_language(const LanguagePriority& priority,
                                 const std::vector<std::string_view>& available) {
  for (std::string_view range : priority.wanted) {
    while (!range.empty()) {
      const auto found =
          std::ranges::find_if(available, [&](std::string_view tag) { return equal_no_case(tag, range); });
      // "de-CH, de;q=0" does not want what "de-CH" would fall back to.
      if (found != available.end() && std::ranges::find(priority.refused, range) == priority.refused.end())
        return *found;
      const auto cut = range.rfind('-');
      range = cut == std::string_view::npos ? std::string_view() : range.substr(0, cut);
      // A single letter introduces what was just cut off (RFC 4647 §3.4).
      if (range.size() > 2 && range[range.size() - 2] == '-') range.remove_suffix(2);
    }
  }
  return {};
}

}  // namespace latchkey::web
