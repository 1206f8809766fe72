// What ui/README.md promises of the words: every language is complete, and none is English by accident.

#include "web/messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ui/embedded.h"

namespace latchkey {
namespace {

using web::Message;

// What really is the same word in that language.
const std::set<std::pair<std::string_view, std::string_view>> k_same_as_english{
    {"de", "code.label"},     {"fr", "code.label"},     {"de", "consent.scopes"}, {"es", "consent.scopes"},
    {"fr", "consent.scopes"}, {"pt", "consent.scopes"}, {"ja", "date.minute"},
};

bool has_letters(const Message& message) {
  return std::ranges::any_of(message.pieces, [](const Message::Piece& piece) {
    return piece.kind == Message::Piece::Kind::text && std::ranges::any_of(piece.text, [](char c) {
             return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           });
  });
}

TEST(Words, AreInSixLanguages) {
  const web::Messages messages(ui::messages());  // throws when a key or a placeholder is missing
  std::vector<std::string> languages;
  for (const auto& words : messages.all()) languages.push_back(words.lang());
  EXPECT_EQ(languages, (std::vector<std::string>{"en", "de", "es", "fr", "ja", "pt"}));
}

TEST(Words, AreNotEnglishByAccident) {
  const web::Messages messages(ui::messages());
  auto unused = k_same_as_english;
  for (const auto& words : messages.all()) {
    if (&words == &messages.source()) continue;
    for (const auto& [key, message] : words.messages()) {
      if (key == "language.dir" || !has_letters(message)) continue;
      const bool same = message.pieces == messages.source().find(key)->pieces;
      EXPECT_TRUE(!same || k_same_as_english.contains({words.lang(), key})) << words.lang() << ": " << key;
      if (same) unused.erase({words.lang(), key});
    }
  }
  for (const auto& [lang, key] : unused) ADD_FAILURE() << "not the same, or gone: " << lang << ": " << key;
}

TEST(Words, AreTypographicallyClean) {
  const web::Messages messages(ui::messages());
  for (const auto& words : messages.all())
    for (const auto& [key, message] : words.messages())
      for (const auto& piece : message.pieces) {
        EXPECT_EQ(piece.text.find('"'), std::string::npos)
            << words.lang() << ": " << key << ": use real quotes";
        EXPECT_EQ(piece.text.find("  "), std::string::npos) << words.lang() << ": " << key;
        EXPECT_EQ(piece.text.find('<'), std::string::npos)
            << words.lang() << ": " << key << ": HTML is for templates";
      }
}

}  // namespace
}  // namespace latchkey
