#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class PushedRequests : public ServerTest {
 protected:
  // By hand, so that a name can stand there twice.
  web::Response post_json(const FormFields& form) {
    std::string text;
    for (const auto& [name, value] : form)
      text += (text.empty() ? "{" : ",") + json::Value(name).dump() + ":" + json::Value(value).dump();
    return send(
        web::Request::make("POST", std::string(k_issuer) + "/oauth/par", text + "}",
                           {{"content-type", "application/json"}, {"DPoP", proof("/oauth/par", key_)}}));
  }
};

TEST_P(PushedRequests, ParRefusesWhatItMust) {
  const struct {
    FormFields form;
    const char* error;
    const char* why;
  } rows[] = {
      {without(par_form(), "client_id"), "invalid_request", "no client_id"},
      {without(par_form(), "state"), "invalid_request", "no state"},
      {without(par_form(), "code_challenge"), "invalid_request", "no PKCE"},
      {with(par_form(), "code_challenge", std::string(42, 'a')), "invalid_request", "challenge too short"},
      {with(par_form(), "code_challenge_method", "plain"), "invalid_request", "plain PKCE"},
      {without(par_form(), "code_challenge_method"), "invalid_request", "a missing method means plain"},
      {with(par_form(), "response_type", "token"), "unsupported_response_type", "implicit"},
      {without(par_form(), "response_type"), "invalid_request", "no response_type"},
      {without(par_form(), "redirect_uri"), "invalid_request", "no redirect_uri"},
      {with(par_form(), "redirect_uri", "https://evil.example/callback"), "invalid_request",
       "unregistered redirect_uri"},
      {with(par_form(), "redirect_uri", "http://127.0.0.1:4321/other"), "invalid_request", "another path"},
      {with(par_form(), "scope", "transition:generic"), "invalid_scope", "no atproto"},
      {with(par_form(), "scope", "atproto openid"), "invalid_scope", "openid"},
      {with(par_form(), "scope", "atproto transition:email"), "invalid_scope", "not declared"},
      {with(par_form(), "login_hint", "alice@example.com"), "invalid_request",
       "an e-mail does not belong here"},
      {with(par_form(), "request_uri", "urn:x"), "invalid_request", "a pushed request points nowhere"},
      {with(par_form(), "request", "eyJ"), "invalid_request", "request objects"},
      {with(par_form(), "prompt", "sometimes"), "invalid_request", "unknown prompt"},
      {with(par_form(), "response_mode", "web_message"), "invalid_request", "not supported"},
      {with(par_form(), "client_secret", "x"), "invalid_client", "shared secrets"},
      {with(par_form(), "client_id", "https://nobody.example/x"), "invalid_client_metadata",
       "unreachable document"},
      {with(par_form(), "state", std::string(2049, 's')), "invalid_request", "state too long"},
  };
  for (const auto& row : rows) EXPECT_EQ(error(post("/oauth/par", row.form)), row.error) << row.why;
  auto doubled = par_form();
  doubled.emplace_back("redirect_uri", "https://evil.example/");
  EXPECT_EQ(error(post("/oauth/par", doubled)), "invalid_request") << "a parameter twice";
  EXPECT_EQ(post("/oauth/par", with(par_form(), "state", std::string(2048, 's'))).status, 201);
  EXPECT_EQ(post("/oauth/par", with(par_form(), "login_hint", "alice.test")).status, 201);
  EXPECT_EQ(post("/oauth/par", with(par_form(), "login_hint", k_did)).status, 201);
  const auto hint = post("/oauth/par", with(par_form(), "login_hint", "alice@example.com"));
  EXPECT_EQ(text(body(hint), "error_description"), "Invalid login_hint");
}

TEST_P(PushedRequests, ParIsPostOnly) {
  EXPECT_EQ(send(web::Request::make("GET", std::string(k_issuer) + "/oauth/par")).status, 405);
}

TEST_P(PushedRequests, ParTakesJsonToo) {
  json::Object in;
  for (const auto& [name, value] : par_form()) in.append(name, value);
  auto request =
      web::Request::make("POST", std::string(k_issuer) + "/oauth/par", json::Value(in).dump(),
                         {{"content-type", "application/json"}, {"DPoP", proof("/oauth/par", key_)}});
  EXPECT_EQ(send(std::move(request)).status, 201);
}

TEST_P(PushedRequests, AttackPkce_AChallengeIsAcceptedOnceADay) {
  const auto form = par_form();
  EXPECT_EQ(post("/oauth/par", form).status, 201);
  EXPECT_EQ(error(post("/oauth/par", form)), "invalid_request");
  clock_.advance(25h);
  run(server_->clean());
  EXPECT_EQ(post("/oauth/par", form).status, 201);
}

TEST_P(PushedRequests, EveryLimitHasTwoSides) {
  // A client whose registered redirect_uri is as long as one may be, and one longer.
  const std::string base = callback_of(k_public) + "?x=";
  const auto long_callback = [&](std::size_t size) { return base + std::string(size - base.size(), 'x'); };
  auto doc = document_of(k_public);
  doc.set("redirect_uris", json::Array{long_callback(2048), long_callback(2049)});
  serve(k_public, doc);
  const struct {
    FormFields form;
    bool accepted;
    const char* what;
  } rows[] = {
      {with(par_form(), "state", std::string(2048, 's')), true, "state"},
      {with(par_form(), "state", std::string(2049, 's')), false, "state"},
      {with(par_form(k_public), "redirect_uri", long_callback(2048)), true, "redirect_uri"},
      {with(par_form(k_public), "redirect_uri", long_callback(2049)), false, "redirect_uri"},
      {with(par_form(), "unknown", std::string(8192, 'u')), true, "a parameter nobody knows"},
      {with(par_form(), "unknown", std::string(8193, 'u')), false, "a parameter nobody knows"},
      {with(par_form(), "code_challenge", std::string(44, 'a')), false, "challenge too long"},
  };
  for (const auto& row : rows) {
    const auto r = post("/oauth/par", row.form);
    EXPECT_EQ(r.status, row.accepted ? 201 : 400) << row.what << r.body;
    if (!row.accepted) EXPECT_EQ(error(r), "invalid_request") << row.what;
  }
  for (const bool json : {false, true})
    for (const std::size_t count : {100u, 101u}) {
      auto form = par_form();
      while (form.size() < count) form.emplace_back(fmt::format("p{}", form.size()), "x");
      EXPECT_EQ(json ? post_json(form).status : post("/oauth/par", form).status, count == 100 ? 201 : 400)
          << count;
    }
}

TEST_P(PushedRequests, AttackDuplicateParameters_InFormAndJson) {
  for (const char* name : {"client_id", "redirect_uri", "scope", "state", "code_challenge", "unknown"}) {
    auto form = with(par_form(), "unknown", "1");
    form.emplace_back(name, "again");
    EXPECT_EQ(error(post("/oauth/par", form)), "invalid_request") << name;
    EXPECT_EQ(error(post_json(form)), "invalid_request") << name;
  }
}

TEST_P(PushedRequests, JsonHoldsStringsOnly) {
  const auto send_body = [&](std::string text) {
    return send(
        web::Request::make("POST", std::string(k_issuer) + "/oauth/par", std::move(text),
                           {{"content-type", "application/json"}, {"DPoP", proof("/oauth/par", key_)}}));
  };
  for (const char* bad :
       {"[]", "\"x\"", "{", "", "{\"client_id\":1}", "{\"client_id\":{}}", "{\"client_id\":[\"x\"]}"})
    EXPECT_EQ(error(send_body(bad)), "invalid_request") << bad;
  auto form = par_form();
  json::Object in;
  for (const auto& [name, value] : form) in.append(name, value);
  in.append("prompt", nullptr);
  EXPECT_EQ(send_body(json::Value(in).dump()).status, 201) << "null is absent";
  EXPECT_EQ(
      error(send(web::Request::make("POST", std::string(k_issuer) + "/oauth/par", encode_form(par_form()),
                                    {{"content-type", "text/plain"}, {"DPoP", proof("/oauth/par", key_)}}))),
      "invalid_request");
}

TEST_P(PushedRequests, OtherVerbsAreToldWhichOne) {
  for (const char* path : {"/oauth/par", "/oauth/token", "/oauth/revoke", "/oauth/introspect"})
    for (const char* verb : {"GET", "HEAD", "PUT", "DELETE", "PATCH"}) {
      const auto r = send(web::Request::make(verb, std::string(k_issuer) + path));
      EXPECT_EQ(r.status, 405) << verb << path;
      EXPECT_NE(r.headers.get("allow").find("POST"), std::string_view::npos);
    }
  const auto preflight = send(web::Request::make("OPTIONS", std::string(k_issuer) + "/oauth/par", "",
                                                 {{"origin", "https://app.example"},
                                                  {"access-control-request-method", "POST"},
                                                  {"access-control-request-headers", "content-type,dpop"}}));
  EXPECT_EQ(preflight.status, 200);
  EXPECT_EQ(preflight.headers.get("access-control-allow-headers"), "content-type,dpop");
}

TEST_P(PushedRequests, EveryResponseModeReachesTheResponse) {
  for (const char* mode : {"query", "fragment", "form_post"}) {
    const auto open = opened(pushed(with(par_form(), "response_mode", mode)));
    EXPECT_EQ(run(server_->refuse(open, Error::access_denied, "no"))->response_mode, mode);
  }
  EXPECT_EQ(opened(pushed(par_form())).request.response_mode, "query");
}

TEST_P(PushedRequests, EveryPromptAndNoOther) {
  for (const char* prompt : {"none", "login", "consent", "select_account", "create"})
    EXPECT_EQ(opened(pushed(with(par_form(), "prompt", prompt))).request.prompt, prompt);
  for (const char* prompt : {"None", "login consent", "x"})
    EXPECT_EQ(error(post("/oauth/par", with(par_form(), "prompt", prompt))), "invalid_request") << prompt;
}

TEST_P(PushedRequests, AttackRedirectUri_AnythingButTheRegisteredOne) {
  serve(k_public, document_of(k_public));
  for (const char* uri :
       {"https://browser.example/callback/", "https://browser.example/callback/x",
        "https://browser.example/callback?x=1", "https://browser.example/callback#x",
        "https://browser.example@evil.example/callback", "https://user@browser.example/callback",
        "https://browser.example:444/callback", "https://browser.example:443/callback",
        "https://BROWSER.example/callback", "https://browser.example./callback",
        "https://browser.example/x/../callback", "https://browser.example/%63allback",
        "http://browser.example/callback", "https://xn--brwser-iua.example/callback",
        "https://localhost/callback", "http://127.0.0.1/callback", "example.browser:/callback",
        "https://browser.example"})
    EXPECT_EQ(error(post("/oauth/par", with(par_form(k_public), "redirect_uri", uri))), "invalid_request")
        << uri;
  EXPECT_EQ(post("/oauth/par", par_form(k_public)).status, 201);
  for (const char* uri :
       {"http://localhost:4321/callback", "http://127.0.0.1:4321/callback?x=1",
        "http://127.0.0.2:4321/callback", "http://[::1]:4321/callback", "https://127.0.0.1:4321/callback",
        "http://user@127.0.0.1:4321/callback", "http://127.0.0.1:4321/callback#x"})
    EXPECT_EQ(error(post("/oauth/par", with(par_form(), "redirect_uri", uri))), "invalid_request") << uri;
}

TEST_P(PushedRequests, AttackStorage_RequestsAreBounded) {
  max_requests_ = 20;
  restart();
  for (int i = 0; i < 20; ++i) ASSERT_EQ(post("/oauth/par", par_form()).status, 201) << i;
  const auto full = post("/oauth/par", par_form());
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(error(full), "temporarily_unavailable");
  restart();
  EXPECT_EQ(error(post("/oauth/par", par_form())), "temporarily_unavailable") << "counted, not remembered";
  clock_.advance(k_request_lifetime_active);
  EXPECT_EQ(post("/oauth/par", par_form()).status, 201) << "they are over";
}

TEST_P(PushedRequests, AttackStorage_OfAnExpiredRequestOnlyTheChallengeStays) {
  constexpr store::Sql k_rows{"SELECT COUNT(*) FROM oauth_request"},
      k_challenges{"SELECT COUNT(*) FROM oauth_challenge"};
  const auto count = [&](const store::Sql& sql) {
    return run((*db_)->read([&](store::Tx& tx) { return tx.one(sql)->int64(0); }));
  };
  const auto form = par_form();
  pushed(form);
  clock_.advance(k_request_lifetime - 1s);
  run(server_->clean());
  EXPECT_EQ(count(k_rows), 1);
  clock_.advance(1s);
  run(server_->clean());
  EXPECT_EQ(count(k_rows), 0);
  EXPECT_EQ(count(k_challenges), 1);
  EXPECT_EQ(error(post("/oauth/par", form)), "invalid_request") << "and is refused";
  code_for(pushed(par_form()));
  EXPECT_EQ(count(k_rows), 0) << "a finished one goes at once";
  clock_.advance(k_challenge_memory);
  run(server_->clean());
  EXPECT_EQ(count(k_challenges), 0);
}

TEST_P(PushedRequests, AttackScope_AnIncludeNobodyCanResolve) {
  serve(k_public, document_of(k_public, "atproto include:app.test.basic"));
  const auto form = [&] { return with(par_form(k_public), "scope", "atproto include:app.test.basic"); };
  EXPECT_EQ(error(post("/oauth/par", form())), "invalid_scope");
  lexicons_.known["app.test.basic"] = set_lexicon("app.test.basic", "app.test.post");
  clock_.advance(2min);  // past the memory of the failure
  EXPECT_EQ(post("/oauth/par", form()).status, 201);
}

INSTANTIATE_TEST_SUITE_P(Store, PushedRequests, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
