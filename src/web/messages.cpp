#include "web/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/json.h"
#include "web/http.h"

namespace latchkey::web {
namespace {

using Kind = Message::Piece::Kind;

constexpr std::string_view k_source = "en";

[[noreturn]] void refuse(std::string_view file, std::string_view why) {
  throw std::runtime_error(fmt::format("messages {}: {}", file, why));
}

bool is_placeholder(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Message split(std::string_view text, std::string_view file, std::string_view key) {
  Message out;
  while (!text.empty()) {
    const auto brace = text.find_first_of("{}");
    if (brace > 0) out.pieces.push_back({Kind::text, std::string(text.substr(0, brace))});
    if (brace == std::string_view::npos) break;
    const auto end = text.find('}', brace);
    if (text[brace] == '}' || end == std::string_view::npos ||
        !is_placeholder(text.substr(brace + 1, end - brace - 1)))
      refuse(file, fmt::format("{}: a brace that belongs to no {{placeholder}}", key));
    out.pieces.push_back({Kind::placeholder, std::string(text.substr(brace + 1, end - brace - 1))});
    text.remove_prefix(end + 1);
  }
  return out;
}

std::set<std::string_view> placeholders(const Message& message) {
  std::set<std::string_view> out;
  for (const auto& piece : message.pieces)
    if (piece.kind == Kind::placeholder) out.insert(piece.text);
  return out;
}

void check_against(const Catalogue& source, const Catalogue& other, std::string_view file) {
  for (const auto& [key, message] : source.messages()) {
    const auto* its = other.find(key);
    if (!its) refuse(file, fmt::format("{} is missing", key));
    if (placeholders(message) != placeholders(*its))
      refuse(file, fmt::format("{} has other placeholders than {}.json", key, k_source));
  }
  for (const auto& [key, _] : other.messages())
    if (!source.find(key)) refuse(file, fmt::format("{} is not in {}.json", key, k_source));
}

}  // namespace

bool Message::has(std::string_view placeholder) const {
  return std::ranges::any_of(pieces, [&](const Piece& piece) {
    return piece.kind == Piece::Kind::placeholder && piece.text == placeholder;
  });
}

Catalogue::Catalogue(const EmbeddedFile& file) {
  lang_ = file.path.substr(0, file.path.find('.'));
  const auto document = json::parse(as_text(file.bytes));
  if (!document) refuse(file.path, document.error().message);
  if (!document->object()) refuse(file.path, "not an object");
  for (const auto& [key, value] : *document->object()) {
    const auto* text = value.string();
    if (!text || text->empty()) refuse(file.path, fmt::format("{} is no text", key));
    messages_.emplace(key, split(*text, file.path, key));
  }
  for (const char* key : {"language.name", "language.dir"})
    if (!find(key)) refuse(file.path, fmt::format("{} is missing", key));
  name_ = text("language.name");
  dir_ = text("language.dir");
  if (dir_ != "ltr" && dir_ != "rtl") refuse(file.path, "language.dir is neither ltr nor rtl");
}

const Message* Catalogue::find(std::string_view key) const {
  const auto it = messages_.find(key);
  return it == messages_.end() ? nullptr : &it->second;
}

std::string Catalogue::text(std::string_view key, Values values) const {
  const auto* message = find(key);
  if (!message) throw std::logic_error(fmt::format("no message {}", key));
  for (const auto& [name, _] : values)
    if (!message->has(name)) throw std::logic_error(fmt::format("message {} has no place for {}", key, name));
  std::string out;
  for (const auto& piece : message->pieces) {
    if (piece.kind == Kind::text) {
      out += piece.text;
      continue;
    }
    const auto value =
        std::ranges::find(values, piece.text, &std::pair<std::string_view, std::string_view>::first);
    if (value == values.end()) throw std::logic_error(fmt::format("message {} needs {}", key, piece.text));
    out += value->second;
  }
  return out;
}

Messages::Messages(EmbeddedFiles files) {
  std::vector<EmbeddedFile> sorted(files.begin(), files.end());
  std::ranges::sort(sorted, {}, [](const EmbeddedFile& file) {
    return std::pair(!file.path.starts_with(std::string(k_source) + "."), file.path);
  });
  for (const auto& file : sorted) {
    if (!file.path.ends_with(".json")) refuse(file.path, "not .json");
    all_.push_back(Catalogue(file));
    if (source().lang() != k_source) throw std::runtime_error("messages en.json: missing");
    check_against(source(), all_.back(), file.path);
  }
  if (all_.empty()) throw std::runtime_error("messages en.json: missing");
}

const Catalogue* Messages::find(std::string_view tag) const {
  const auto it =
      std::ranges::find_if(all_, [&](const Catalogue& one) { return equal_no_case(one.lang(), tag); });
  return it == all_.end() ? nullptr : &*it;
}

const Catalogue* Messages::lookup(const LanguagePriority& priority) const {
  std::vector<std::string_view> tags;
  for (const auto& one : all_) tags.push_back(one.lang());
  const auto tag = lookup_language(priority, tags);
  return tag.empty() ? nullptr : find(tag);
}

}  // namespace latchkey::web
