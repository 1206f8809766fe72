#pragma once
// The words of pages and mails, one catalogue a language (ui/messages; ui/README.md, "Words").
//
//   {"signin.title": "Sign in to {app_name}", …}
//
// Catalogues are flat: key to text. {name} stands for a value that the template or the caller has. Text is
// plain text, never HTML: what surrounds or emphasises a value is in the template.

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "web/embedded.h"
#include "web/languages.h"

namespace latchkey::web {

/// A text, split at its placeholders.
struct Message {
  struct Piece {
    enum class Kind { text, placeholder };
    Kind kind;
    std::string text;  // or the placeholder's name
    bool operator==(const Piece&) const = default;
  };
  std::vector<Piece> pieces;

  bool has(std::string_view placeholder) const;
};

/// One language.
class Catalogue {
 public:
  using Values = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  const std::string& lang() const { return lang_; }  // BCP 47: "de"
  const std::string& name() const { return name_; }  // in itself: "Deutsch"
  const std::string& dir() const { return dir_; }    // "ltr" or "rtl"
  /// Throws std::logic_error for an unknown key, a placeholder without value and a value without placeholder.
  std::string text(std::string_view key, Values values = {}) const;
  const Message* find(std::string_view key) const;
  const std::map<std::string, Message, std::less<>>& messages() const { return messages_; }

 private:
  friend class Messages;
  explicit Catalogue(const EmbeddedFile& file);
  std::string lang_, name_, dir_;
  std::map<std::string, Message, std::less<>> messages_;
};

/// All languages. English is the source: every other catalogue has its keys and placeholders, no more and no
/// fewer.
class Messages {
 public:
  /// Files are "<language tag>.json", "en.json" among them. Throws std::runtime_error naming file and key.
  explicit Messages(EmbeddedFiles files);

  const Catalogue& source() const { return all_.front(); }
  /// The source first, the others by their tags. Addresses are those of this object as long as it lives.
  const std::vector<Catalogue>& all() const { return all_; }
  /// nullptr when there is no such language; the tag is compared without case and in full.
  const Catalogue* find(std::string_view tag) const;
  /// RFC 4647 §3.4; nullptr when none fits.
  const Catalogue* lookup(const LanguagePriority& priority) const;

 private:
  std::vector<Catalogue> all_;
};

}  // namespace latchkey::web
