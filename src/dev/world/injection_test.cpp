// Text of strangers on its way through pushed requests, pages, redirects and mails stays text: group 18 of
// docs/threat-model.md. Names and addresses are in pages_test.cpp, headers of mails in src/mail.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {

constexpr const char* k_alice = "alice@example.com";
const std::string k_script = "<script>alert(1)</script>";
const std::string k_breaks = "x\r\nSet-Cookie: planted=1\r\n\r\n" + k_script;

// Markup that a page did not write itself, or a link that runs something.
bool is_harmed(const std::string& html) {
  for (const char* sign :
       {"<script>alert", "alert(1)</script>", "=\"javascript:", "='javascript:", "onerror=alert(1)>"})
    if (html.find(sign) != std::string::npos) return true;
  return false;
}

void expect_clean_headers(const Page& page, const std::string& why) {
  EXPECT_EQ(page.header("set-cookie").find("planted"), std::string::npos) << why;
  for (const auto& [name, value] : page.headers) {
    EXPECT_EQ(value.find_first_of(std::string("\r\n\0", 3)), std::string::npos) << why << name;
    EXPECT_EQ(value.find("<script"), std::string::npos) << why << name;
  }
}

json::Object changed(const json::Object& metadata, std::string_view field, json::Value value) {
  json::Object out = metadata;
  out.set(std::string(field), std::move(value));
  return out;
}

TEST(Injection, AttackInjection_HtmlAndScriptsInEveryFieldOfClientMetadata) {
  const std::string scripts[] = {k_script,
                                 "\"><img src=x onerror=alert(1)>",
                                 "javascript:alert(1)",
                                 "data:text/html," + k_script,
                                 "https://web.example/\"><script>alert(1)</script>",
                                 "https://web.example/'onmouseover='alert(1)",
                                 "https://web.example/\r\nX-Planted: 1",
                                 "{{csrf}}{{#app_name}}x{{/app_name}}"};
  int shown = 0;
  for (const char* field : {"client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts"})
    for (const auto& value : scripts) {
      const std::string why = fmt::format("{}: {}", field, value);
      World w;
      App app(w, App::Kind::web);
      const json::Value as_field =
          std::string_view(field) == "contacts" ? json::Value(json::Array{value}) : json::Value(value);
      w.network.document(app.client_id(), changed(app.metadata(), field, as_field));
      const Page pushed = app.post("/oauth/par", app.par_form());
      expect_clean_headers(pushed, why);
      if (pushed.status != 201) {
        EXPECT_EQ(pushed.status, 400) << why;
        EXPECT_TRUE(pushed.header("content-type").starts_with("application/json")) << why;
        continue;
      }
      ++shown;
      Browser b(w);
      const auto login = app.start();
      for (const Page& page : {b.get(app.authorize_url(login)), walk_to_consent(app, login, b, k_alice)}) {
        EXPECT_EQ(page.status, 200) << why;
        EXPECT_FALSE(is_harmed(page.body)) << why << page.body;
        EXPECT_FALSE(page.shows("{{csrf}}") && page.body.find("{{#") == std::string::npos) << why;
        expect_clean_headers(page, why);
      }
      for (const auto& mail : w.mails()) {
        EXPECT_FALSE(is_harmed(mail.html)) << why;
        EXPECT_EQ(mail.subject.find_first_of("\r\n"), std::string::npos) << why;
      }
    }
  EXPECT_GE(shown, 7) << "at least every name is shown";
}

TEST(Injection, AttackInjection_MarkupInRedirectUris) {
  for (const std::string& uri :
       {std::string("https://web.example/\"><script>alert(1)</script>"),
        "https://web.example/callback?x=" + k_script, std::string("javascript:alert(1)"),
        std::string("https://web.example/;script-src *"),
        std::string("https://web.example/callback'><img src=x onerror=alert(1)>")}) {
    World w;
    App app(w, App::Kind::web);
    w.network.document(app.client_id(), changed(app.metadata(), "redirect_uris", json::Array{uri}));
    const Page pushed = app.post("/oauth/par", with(app.par_form(), "redirect_uri", uri));
    if (pushed.status != 201) continue;
    Browser b(w);
    App::Login login{pushed.text("request_uri"), "", ""};
    const Page page = walk_to_consent(app, login, b, k_alice);
    EXPECT_FALSE(is_harmed(page.body)) << page.body;
    expect_clean_headers(page, uri);
    EXPECT_EQ(page.header("content-security-policy").find("script-src *"), std::string::npos);
    expect_clean_headers(b.submit(page, "/auth/consent", {{"action", "approve"}}), uri);
  }
}

TEST(Injection, AttackInjection_LineBreaksAndMarkupInState) {
  for (const char* mode : {"query", "fragment"})
    for (const char* action : {"approve", "deny"}) {
      World w;
      App app(w, App::Kind::web);
      Browser b(w);
      const Page pushed =
          app.post("/oauth/par", with(with(app.par_form(), "state", k_breaks), "response_mode", mode));
      if (pushed.status != 201) {
        EXPECT_EQ(pushed.error(), "invalid_request");
        continue;
      }
      const Page asked = walk_to_consent(app, {pushed.text("request_uri"), k_breaks, ""}, b, k_alice);
      const Page back = b.submit(asked, "/auth/consent", {{"action", action}});
      expect_clean_headers(back, mode);
      EXPECT_EQ(back.parameter("state"), k_breaks) << "what the app gave it gets back, encoded";
      EXPECT_EQ(back.headers.count("location"), 1u);
    }
}

TEST(Injection, AttackInjection_ParametersOfThePagesAreNotShown) {
  World w;
  Browser b(w);
  App app(w);
  const std::string odd = percent_encode(k_breaks);
  const std::string client = percent_encode(app.client_id());
  for (const std::string& path :
       {"/oauth/authorize?client_id=" + odd + "&request_uri=" + odd,
        "/oauth/authorize?client_id=" + client + "&request_uri=" + odd,
        "/oauth/authorize?error=" + odd + "&error_description=" + odd, "/auth/step?flow_id=" + odd,
        "/auth/step?flow_id=x&sent=" + odd, "/auth/complete?flow_id=" + odd, "/auth/consent?flow_id=" + odd,
        "/auth/" + odd, "/" + odd, std::string("/static/") + odd}) {
    const Page page = b.get(w.options.auth + path);
    EXPECT_GE(page.status, 400) << path;
    EXPECT_FALSE(is_harmed(page.body)) << path << page.body;
    expect_clean_headers(page, path);
  }
}

TEST(Injection, AttackInjection_AHintOnTheUrl) {
  World w;
  App app(w);
  Browser b(w);
  for (const std::string& hint :
       {k_script, k_breaks, std::string("\"><script>alert(1)</script>@example.com"), "@" + k_script}) {
    const Page page = b.get(app.authorize_url(app.start(), hint));
    EXPECT_EQ(page.status, 200);
    EXPECT_FALSE(is_harmed(page.body)) << hint;
    expect_clean_headers(page, hint);
  }
}

TEST(Injection, AttackInjection_PushedParametersAreNotEchoedAsMarkup) {
  World w;
  App app(w);
  for (const char* name :
       {"client_id", "redirect_uri", "scope", "response_type", "response_mode", "login_hint", "prompt",
        "code_challenge", "code_challenge_method", "client_assertion_type"}) {
    const Page page = app.post("/oauth/par", with(app.par_form(), name, k_breaks));
    EXPECT_GE(page.status, 400) << name;
    EXPECT_TRUE(page.header("content-type").starts_with("application/json")) << name;
    EXPECT_EQ(page.header("x-content-type-options"), "nosniff") << name;
    expect_clean_headers(page, name);
  }
}

TEST(Injection, AttackInjection_AddressesWithLineBreaksMakeNoAccountAndNoMail) {
  World w;
  for (const std::string& email :
       {std::string("a@example.com\r\nBcc: all@example.com"), std::string("a@example.com\nX: y"),
        std::string("a\r\n@example.com"), std::string("a@example.com\0b", 15), std::string("a@exam\tple.com"),
        std::string("\"a\r\nBcc: b\"@example.com"), std::string("a@example.com>, <b@example.com"),
        "a@" + std::string(250, 'e') + ".com", std::string("a\xe2\x80\xae@example.com")}) {
    const json::Object input{{"handle", "alice.pds.test"}, {"email", email}, {"password", "correct horse"}};
    const Page page =
        w.send(web::Request::make("POST", w.options.pds + "/xrpc/com.atproto.server.createAccount",
                                  json::Value(input).dump(), {{"content-type", "application/json"}}));
    EXPECT_EQ(page.status, 400) << email;
    expect_clean_headers(page, email);
  }
  EXPECT_TRUE(w.mails().empty());
}

}  // namespace
}  // namespace latchkey::dev::world
