#include "web/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "web/template.h"

namespace latchkey::web {
namespace {

using ::testing::HasSubstr;

struct Source {
  std::string path, members;
};

class Files {
 public:
  Files(std::initializer_list<Source> sources) : sources_(sources) {
    for (auto& s : sources_) {
      const char* dir = s.path == "ar.json" ? "rtl" : "ltr";
      s.members = R"({"language.name": ")" + s.path + R"(", "language.dir": ")" + dir + "\"" +
                  (s.members.empty() ? "" : ", ") + s.members + "}";
    }
    for (const auto& s : sources_) files_.push_back({s.path, as_bytes(s.members)});
  }
  operator EmbeddedFiles() const { return files_; }

 private:
  std::vector<Source> sources_;
  std::vector<EmbeddedFile> files_;
};

std::string refusal(const Files& files) {
  try {
    Messages{files};
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Messages, ValuesTakeTheirPlacesInTheOrderOfEachLanguage) {
  const Files files{{"en.json", R"("k": "{name} from {place}")"}, {"ja.json", R"("k": "{place}の{name}")"}};
  const Messages messages(files);
  EXPECT_EQ(messages.source().text("k", {{"name", "A"}, {"place", "B"}}), "A from B");
  EXPECT_EQ(messages.find("JA")->text("k", {{"name", "{place}"}, {"place", "B"}}), "Bの{place}");
  EXPECT_EQ(messages.find("fr"), nullptr);
}

TEST(Messages, WhatDoesNotFitIsABugOfTheCaller) {
  const Files files{{"en.json", R"("k": "{name}")"}};
  const Messages messages(files);
  EXPECT_THROW(messages.source().text("absent"), std::logic_error);
  EXPECT_THROW(messages.source().text("k"), std::logic_error);
  EXPECT_THROW(messages.source().text("k", {{"name", "A"}, {"other", "B"}}), std::logic_error);
}

TEST(Messages, EveryLanguageHasTheKeysAndPlaceholdersOfEnglish) {
  EXPECT_EQ(refusal({{"de.json", ""}}), "messages en.json: missing");
  EXPECT_EQ(refusal({}), "messages en.json: missing");
  EXPECT_EQ(refusal({{"en.json", R"("a": "x")"}, {"de.json", ""}}), "messages de.json: a is missing");
  EXPECT_EQ(refusal({{"en.json", ""}, {"de.json", R"("a": "x")"}}), "messages de.json: a is not in en.json");
  EXPECT_THAT(refusal({{"en.json", R"("a": "{x}")"}, {"de.json", R"("a": "{y}")"}}),
              HasSubstr("a has other placeholders"));
  EXPECT_EQ(refusal({{"en.json", R"("a": "{x} {x}")"}, {"de.json", R"("a": "{x}")"}}), "accepted");
}

TEST(Messages, TextIsTextAndBracesArePlaceholders) {
  for (const char* text : {"{", "}", "{}", "{ name }", "{Name}", "{{name}}", "{a.b}"})
    EXPECT_THAT(refusal({{"en.json", std::string(R"("a": ")") + text + "\""}}), HasSubstr("a: a brace"))
        << text;
  EXPECT_THAT(refusal({{"en.json", R"("a": "")"}}), HasSubstr("a is no text"));
  EXPECT_THAT(refusal({{"en.json", R"("a": ["x"])"}}), HasSubstr("a is no text"));
  EXPECT_THAT(refusal({{"en.json", R"("a": "x", "a": "y")"}}), HasSubstr("messages en.json"));
}

TEST(Messages, AreLookedUpByPriority) {
  const Files files{{"de.json", ""}, {"en.json", ""}, {"pt.json", ""}};
  const Messages messages(files);
  EXPECT_EQ(messages.all().front().lang(), "en");
  EXPECT_EQ(messages.lookup(LanguagePriority::from_accept_language("sv, pt-BR;q=0.5"))->lang(), "pt");
  EXPECT_EQ(messages.lookup(LanguagePriority::from_accept_language("sv")), nullptr);
}

class Translated : public ::testing::Test {
 protected:
  std::string render(std::string_view text, const View& view, std::string_view lang,
                     std::string_view path = "t.html") {
    const EmbeddedFile template_files[] = {{path, as_bytes(text)}, {"p.html", as_bytes("[{{t:plain}}]")}};
    const Messages messages(files_);
    const Templates templates(template_files, nullptr, &messages);
    return templates.render(path.ends_with(".txt") ? path : "t", view, lang);
  }
  std::string refusal(std::string_view text) {
    try {
      render(text, json::Object{}, "en");
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "accepted";
  }

  const Files files_{{"en.json", R"("plain": "a \"<b>\" & c", "hello": "Hello {name}, from {from}.")"},
                     {"ar.json", R"("plain": "x", "hello": "{from}: {name}")"}};
};

TEST_F(Translated, WordsAndTheirValuesAreEscaped) {
  const json::Object view{{"name", "<i>"}, {"from", "'F'"}};
  EXPECT_EQ(render("{{t:plain}}", view, "en"), "a &quot;&lt;b&gt;&quot; &amp; c");
  EXPECT_EQ(render("{{t:hello}}", view, "en"), "Hello &lt;i&gt;, from &#39;F&#39;.");
  EXPECT_EQ(render("{{t:hello}}", view, "ar"), "&#39;F&#39;: &lt;i&gt;");
  EXPECT_EQ(render("{{t:hello}} {{t:plain}}", view, "en", "t.txt"), "Hello <i>, from 'F'. a \"<b>\" & c");
}

TEST_F(Translated, StandInAttributesPartialsAndSections) {
  EXPECT_EQ(
      render(R"(<b title="{{t:plain}}">{{> p}}{{#x}}{{t:plain}}{{/x}}</b>)", json::Object{{"x", true}}, "ar"),
      R"(<b title="x">[x]x</b>)");
}

TEST_F(Translated, ABlockSurroundsItsPlaceholderWhereverThatStands) {
  constexpr std::string_view text =
      "{{#t:hello}}\n  {{$name}}<b>{{name}}</b>{{t:plain}}{{/name}}\n  "
      "{{$from}}{{#f}}{{.}}!{{/f}}{{/from}}\n{{/t:hello}}\n";
  const json::Object view{{"name", "N"}, {"f", "F"}};
  EXPECT_EQ(render(text, view, "en"), "Hello <b>N</b>a &quot;&lt;b&gt;&quot; &amp; c, from F!.");
  EXPECT_EQ(render(text, view, "ar"), "F!: <b>N</b>x");
}

TEST_F(Translated, ThePageKnowsItsLanguageAndDirection) {
  EXPECT_EQ(render("{{lang}} {{dir}}", json::Object{}, "ar"), "ar rtl");
  EXPECT_EQ(render("{{lang}} {{dir}}", json::Object{}, ""), "en ltr") << "the source language";
  EXPECT_THROW(render("x", json::Object{}, "fr"), std::logic_error);
}

TEST_F(Translated, MistakesAreRefusedWithFileAndLine) {
  EXPECT_EQ(refusal("one\n{{t:absent}}"), "template t.html:2: no such message: absent");
  EXPECT_EQ(refusal("{{#t:absent}}{{/t:absent}}"), "template t.html:1: no such message: absent");
  EXPECT_EQ(refusal("{{#t:hello}}{{$nam}}{{/nam}}{{/t:hello}}"),
            "template t.html:1: message hello has no {nam}");
  EXPECT_EQ(refusal("{{#t:hello}}words{{/t:hello}}"),
            "template t.html:1: only {{$placeholder}} blocks belong into a message");
  EXPECT_EQ(refusal("<a title={{t:plain}}>"), "template t.html:1: attribute value without quotes");
  EXPECT_EQ(refusal("<script>{{t:plain}}</script>"), "template t.html:1: text inside script or style");
  EXPECT_EQ(refusal("<script>{{#t:plain}}{{/t:plain}}</script>"),
            "template t.html:1: text inside script or style");
  const EmbeddedFile file{"t.html", as_bytes("{{t:plain}}")};
  EXPECT_THROW(Templates({&file, 1}, nullptr), std::runtime_error) << "there are no messages at all";
}

}  // namespace
}  // namespace latchkey::web
