#include "web/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "web/template_directory.h"

namespace latchkey::web {
namespace {

using ::testing::HasSubstr;

struct Source {
  std::string_view path, text;
};

std::string render(std::initializer_list<Source> sources, std::string_view name, const View& view,
                   const StaticFiles* assets = nullptr) {
  std::vector<EmbeddedFile> files;
  for (const auto& s : sources) files.push_back({s.path, as_bytes(s.text)});
  return Templates(files, assets).render(name, view);
}

std::string one(std::string_view text, const View& view) { return render({{"t.html", text}}, "t", view); }

TEST(Template, EscapesEverythingThatMattersInHtml) {  // attacks.md 18
  EXPECT_EQ(one("<a title='{{x}}'>", json::Object{{"x", "<script>\"'&"}}),
            "<a title='&lt;script&gt;&quot;&#39;&amp;'>");
}

TEST(Template, PlainTextIsNotEscaped) {
  EXPECT_EQ(render({{"m.txt", "Hi {{x}}"}}, "m.txt", json::Object{{"x", "<b> & 'c'"}}), "Hi <b> & 'c'");
}

struct Refused {
  std::string_view text, why;
};

class RefusedTemplate : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedTemplate, IsRefusedWhenLoading) {
  const EmbeddedFile file{"t.html", as_bytes(GetParam().text)};
  EXPECT_THROW(Templates({&file, 1}, nullptr), std::runtime_error) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    Html, RefusedTemplate,
    ::testing::Values(Refused{"{{{x}}}", "unescaped"}, Refused{"{{&x}}", "unescaped"},
                      Refused{"{{& x}}", "unescaped"}, Refused{"{{ & x }}", "unescaped"},
                      Refused{"{{=<% %>=}}", "delimiters"},
                      Refused{"<script>var x = '{{x}}'</script>", "inside script"},
                      Refused{"<STYLE>a{color:{{x}}}</STYLE>", "inside style"},
                      Refused{"<a href={{x}}>", "without quotes"}, Refused{"{{#x}}", "open section"},
                      Refused{"{{/x}}", "closed too often"}, Refused{"{{#x}}{{/y}}", "crossed"},
                      Refused{"{{x", "open tag"}, Refused{"{{}}", "empty tag"},
                      Refused{"{{x y}}", "not a name"}, Refused{"{{> nowhere}}", "unknown partial"},
                      Refused{"{{> t}}", "contains itself"}, Refused{"{{asset:a.css}}", "unknown asset"}));

TEST(Template, ErrorsNameFileAndLine) {
  const EmbeddedFile file{"page.html", as_bytes("one\ntwo {{{x}}}")};
  try {
    Templates({&file, 1}, nullptr);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("page.html:2"));
  }
}

std::string complaint(std::initializer_list<Source> sources, std::string_view override_name,
                      std::string_view text) {
  std::vector<EmbeddedFile> files;
  for (const auto& s : sources) files.push_back({s.path, as_bytes(s.text)});
  const std::string origin = "/etc/templates/" + std::string(override_name);
  const EmbeddedFile ours{override_name, as_bytes(text), origin};
  try {
    Templates(files, nullptr, nullptr, {&ours, 1});
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

TEST(TemplateOverride, TakesThePlaceOfOneOfOurs) {
  const EmbeddedFile files[] = {{"a.html", as_bytes("{{> b}} {{x}}")}, {"b.html", as_bytes("ours")}};
  const EmbeddedFile theirs{"b.html", as_bytes("theirs {{x}}"), "/etc/b.html"};
  EXPECT_EQ(Templates(files, nullptr, nullptr, {&theirs, 1}).render("a", json::Object{{"x", "<"}}),
            "theirs &lt; &lt;");
}

TEST(TemplateOverride, MistakesAreNamedByFileAndLine) {
  const auto a = Source{"a.html", "{{#list}}{{x}}{{/list}}"};
  EXPECT_EQ(complaint({a}, "a.html", "one\n{{{x}}}"), "template /etc/templates/a.html:2: unescaped output");
  EXPECT_EQ(complaint({a}, "a.html", "one\n\n{{y}}"),
            "template /etc/templates/a.html:3: no template is given a value y");
  EXPECT_EQ(complaint({a}, "a.html", "\n{{#y}}\n{{/y}}"),
            "template /etc/templates/a.html:2: no template is given a value y");
  EXPECT_EQ(complaint({a}, "a.html", "\n {{> b}}"), "template /etc/templates/a.html:2: no partial b");
  EXPECT_EQ(complaint({a}, "a.html", "\n{{> a}}"), "template /etc/templates/a.html:2: a contains itself");
  EXPECT_EQ(complaint({a}, "b.html", "x"),
            "template /etc/templates/b.html:1: there is no template of this name");
  EXPECT_EQ(complaint({a}, "a.html", "{{x}}"), "");
}

TEST(TemplateOverride, KeepsWhatItCannotDoWithout) {
  const auto mail = Source{"mail.txt", "{{code}} for {{name}}"};
  EXPECT_EQ(complaint({mail}, "mail.txt", "for {{name}}"),
            "template /etc/templates/mail.txt:1: {{code}} is missing");
  EXPECT_EQ(complaint({mail}, "mail.txt", "{{code}}"), "");
  const auto form = Source{"form.html", "{{> token}}"}, token = Source{"token.html", "{{csrf}}"};
  EXPECT_EQ(complaint({form, token}, "form.html", "{{> token}} more"), "") << "a partial may hold it";
  EXPECT_EQ(complaint({form, token}, "form.html", "none"),
            "template /etc/templates/form.html:1: {{csrf}} is missing");
}

TEST(TemplateOverride, AFolderGivesItsTemplatesAndNothingElse) {
  char folder[] = "/tmp/latchkey-templates-XXXXXX";
  const std::filesystem::path dir = ::mkdtemp(folder);
  std::ofstream(dir / "a.html") << "theirs";
  std::ofstream(dir / ".b.html.swp.html") << "{{{";
  std::ofstream(dir / "README") << "{{{";
  const TemplateDirectory given(dir.string());
  ASSERT_EQ(given.files().size(), 1u);
  EXPECT_EQ(given.files()[0].path, "a.html");
  EXPECT_EQ(as_text(given.files()[0].bytes), "theirs");
  EXPECT_EQ(given.files()[0].origin, (dir / "a.html").string());

  std::ofstream(dir / "a.html") << std::string(256 << 10, 'x');
  EXPECT_NO_THROW(TemplateDirectory(dir.string()));
  std::ofstream(dir / "a.html") << std::string((256 << 10) + 1, 'x');
  EXPECT_THROW(TemplateDirectory(dir.string()), std::runtime_error);
  std::filesystem::remove_all(dir);
  EXPECT_THROW(TemplateDirectory(dir.string()), std::runtime_error);
  EXPECT_TRUE(TemplateDirectory("").files().empty());
}

TEST(Template, AttributesOfScriptAndWhatFollowsItAreOrdinary) {
  EXPECT_EQ(one("<script src=\"{{x}}/a.js\"></script>{{x}}", json::Object{{"x", "/s"}}),
            "<script src=\"/s/a.js\"></script>/s");
}

TEST(Template, Sections) {
  const View view = json::Object{{"yes", true},
                                 {"no", false},
                                 {"empty", ""},
                                 {"text", "t"},
                                 {"zero", 0},
                                 {"list", json::Array{json::Object{{"n", 1}}, json::Object{{"n", 2}}}},
                                 {"names", json::Array{"a", "b"}},
                                 {"none", json::Array{}},
                                 {"o", json::Object{{"p", json::Object{{"q", "deep"}}}}}};
  EXPECT_EQ(one("{{#yes}}a{{/yes}}{{^yes}}b{{/yes}}", view), "a");
  EXPECT_EQ(one("{{#no}}a{{/no}}{{^no}}b{{/no}}", view), "b");
  EXPECT_EQ(one("{{#empty}}a{{/empty}}{{^zero}}z{{/zero}}{{^absent}}n{{/absent}}", view), "zn");
  EXPECT_EQ(one("{{#list}}[{{n}}{{text}}]{{/list}}{{^none}}-{{/none}}", view), "[1t][2t]-");
  EXPECT_EQ(one("{{#names}}{{.}},{{/names}}", view), "a,b,");
  EXPECT_EQ(one("{{o.p.q}}{{#o}}{{p.q}}{{/o}}{{o.absent.q}}{{absent}}{{list}}", view), "deepdeep");
  EXPECT_EQ(one("{{#text}}<{{.}}>{{/text}}", view), "<t>");
}

TEST(Template, StandaloneTagsTakeTheirLine) {  // mustache spec, sections and comments
  EXPECT_EQ(one("a\n  {{#x}}\nb\n{{/x}}\nc {{! note }}\n{{! alone }}\nd", json::Object{{"x", true}}),
            "a\nb\nc \nd");
  EXPECT_EQ(one("{{#x}}\n{{/x}}", json::Object{{"x", true}}), "");
  EXPECT_EQ(one("  {{x}}\n", json::Object{{"x", "v"}}), "  v\n");
}

TEST(Template, PartialsSeeTheContext) {
  EXPECT_EQ(render({{"p.html", "<{{x}}>"}, {"t.html", "{{#l}}{{> p}}{{/l}}"}}, "t",
                   json::Object{{"l", json::Array{json::Object{{"x", "&"}}, json::Object{{"x", "b"}}}}}),
            "<&amp;><b>");
}

TEST(Template, APartialIsNeverTakenFromTheView) {  // template injection
  const EmbeddedFile file{"t.html", as_bytes("{{> x}}")};
  EXPECT_THROW(Templates({&file, 1}, nullptr), std::runtime_error);
  EXPECT_EQ(one("{{x}}", json::Object{{"x", "{{secret}}"}, {"secret", "s"}}), "{{secret}}");
}

TEST(Template, LayoutsByInheritance) {
  EXPECT_EQ(render({{"layout.html", "<title>{{$title}}Latchkey{{/title}}</title>{{$body}}{{/body}}"},
                    {"a.html", "{{<layout}}{{$body}}<p>{{x}}</p>{{/body}}ignored{{/layout}}"},
                    {"b.html", "{{<a}}{{$title}}B{{/title}}{{/a}}"}},
                   "b", json::Object{{"x", "1"}}),
            "<title>B</title><p>1</p>");
}

TEST(Template, ATextTemplateDoesNotBorrowFromHtml) {
  const EmbeddedFile files[] = {{"p.html", as_bytes("x")}, {"t.txt", as_bytes("{{> p}}")}};
  EXPECT_THROW(Templates(files, nullptr), std::runtime_error);
}

TEST(Template, UnknownNameIsAMistake) { EXPECT_THROW(render({}, "x", json::Object{}), std::logic_error); }

const EmbeddedFile k_files[] = {{"app.css", as_bytes("body{}")}, {"img/a.svg", as_bytes("<svg/>")}};

TEST(StaticFiles, AddressesCarryTheHash) {
  const StaticFiles files(k_files);
  EXPECT_EQ(files.base().size(), std::string("/static/").size() + 16);
  EXPECT_EQ(render({{"t.html", "{{asset:app.css}} {{static}}/x"}}, "t", json::Object{}, &files),
            files.url("app.css") + " " + files.base() + "/x");
  const EmbeddedFile changed[] = {{"app.css", as_bytes("body{ }")}, {"img/a.svg", as_bytes("<svg/>")}};
  EXPECT_NE(StaticFiles(changed).base(), files.base());
}

TEST(StaticFiles, AreServedWithTypeCacheAndEtag) {
  const StaticFiles files(k_files);
  const auto r = files.serve(Request::make("GET", files.url("app.css")));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(as_text(*r.shared_body), "body{}");
  EXPECT_EQ(r.headers.get("content-type"), "text/css; charset=utf-8");
  EXPECT_THAT(std::string(r.headers.get("cache-control")), HasSubstr("immutable"));
  EXPECT_EQ(r.headers.get("x-content-type-options"), "nosniff");
  const std::string etag(r.headers.get("etag"));
  EXPECT_EQ(
      files.serve(Request::make("GET", files.url("app.css"), "", {{"If-None-Match", "W/" + etag}})).status,
      304);
  EXPECT_EQ(
      files.serve(Request::make("GET", files.url("app.css"), "", {{"If-None-Match", "\"other\""}})).status,
      200);
  EXPECT_THAT(
      std::string(files.serve(Request::make("GET", "/static/img/a.svg")).headers.get("cache-control")),
      HasSubstr("max-age=300"));
}

TEST(StaticFiles, OnlyWhatWasCompiledIn) {
  const StaticFiles files(k_files);
  for (const auto* path : {"/static/", "/static/../etc/passwd", "/static/%2e%2e/x", "/static/app.css/",
                           "/app.css", "/static//app.css", "/static/0123456789abcdef/"})
    EXPECT_EQ(files.serve(Request::make("GET", path)).status, 404) << path;
}

}  // namespace
}  // namespace latchkey::web
