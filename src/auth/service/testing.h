#pragma once
// A Service in a test: its requests, its mails, and a browser's cookies.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "auth/service/service.h"
#include "base/rng.h"
#include "mail/trap.h"
#include "store/testing.h"

namespace latchkey::service {

/// Unreachable until it has an answer.
class TestNetwork final : public Fetch {
 public:
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    asked.push_back(std::move(request));
    if (answer) co_return *answer;
    co_return fail(FetchError{FetchError::Kind::unreachable, "no network in tests"});
  }
  std::optional<FetchResponse> answer;
  std::vector<FetchRequest> asked;
};

/// As far as pages and headers see the `atproto` plugin.
inline auth::Plugin stand_in_for_bluesky() {
  struct Start {
    static Task<auth::Answer> run(auth::Context& c) {
      if (c.text("handle") == "down.test")
        co_return fail(auth::Fault(502, "AUTHORIZATION_FAILED", "no answer"));
      if (c.text("handle") != "alice.test")
        co_return fail(auth::Fault(400, "INVALID_HANDLE", "no such handle"));
      co_return web::Response::json(json::Object{
          {"url", "https://pds.test/oauth/authorize?after=" + percent_encode(c.text("callbackURL"))},
          {"redirect", true}});
    }
  };
  return {.id = "atproto",
          .endpoints = {auth::post(
              "/bsky/sign-in", [](auth::Context& c) { return Start::run(c); },
              {.body = auth::Shape{{auth::text("handle"), auth::optional_text("callbackURL")}}})},
          .user_fields = {{.name = "bskyDid", .unique = true, .input = false},
                          {.name = "bskyHandle", .input = false}}};
}

struct TestService {
  using Change = std::function<void(ServiceOptions&)>;
  explicit TestService(Change change = {}, store::Engine engine = store::Engine::sqlite) : db(engine) {
    ServiceOptions o{.base_url = "https://app.test",
                     .app_name = "My App",
                     .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
                     .trusted_origins = {"https://other.test", "myapp://"}};
    o.rate_limit.enabled = false;
    o.email_and_password.enabled = true;
    o.bluesky = stand_in_for_bluesky();
    if (change) change(o);
    service.emplace(std::move(o), ServiceParts{*db, network, &mails, passwords, clock, rng});
    service->migrate();
    router = service->router();
  }

  web::Response send(web::Request request) {
    auto response = run(executor, router.handle(std::move(request)));
    run(executor, service->settled());
    return response;
  }
  /// Somebody with a password; their session cookie.
  std::string sign_up(const std::string& email, json::Object fields = {}, bool verified = false) {
    auto request = web::Request::make(
        "POST", "https://app.test/api/auth/sign-up/email",
        json::Value(json::Object{{"name", "N"}, {"email", email}, {"password", "password-1234"}}).dump(),
        {{"content-type", "application/json"}, {"origin", "https://app.test"}});
    const auto response = send(std::move(request));
    const auto user = json::parse(response.body).value();
    const std::string id = *user.object()->find("user")->string_at("id");
    auth::UserChanges change{.fields = std::move(fields)};
    if (verified) change.email_verified = true;
    auto& users = service->auth().users();
    run(executor, db->write([&](store::Tx& tx) {
      return users.update(tx, id, change, clock.now());
    })).value();
    const std::string cookie(response.headers.get("set-cookie"));
    return cookie.substr(0, cookie.find(';'));
  }

  InlineExecutor executor;
  FakeClock clock;
  SeededRng rng;
  store::TestDatabase db;
  TestNetwork network;
  mail::Trap mails{clock};
  ThreadPool passwords{1, 10};
  std::optional<Service> service;
  web::Router router;
};

/// Goes to pages and fills in forms.
struct TestBrowser {
  explicit TestBrowser(TestService& s) : service(s) {}

  web::Response get(const std::string& target, web::Headers headers = {}) {
    return send(web::Request::make("GET", "https://app.test" + target, {}, std::move(headers)));
  }
  web::Response post(const std::string& target, const FormFields& fields, web::Headers headers = {}) {
    headers.set("content-type", "application/x-www-form-urlencoded");
    if (!headers.has("origin")) headers.set("origin", "https://app.test");
    return send(
        web::Request::make("POST", "https://app.test" + target, encode_form(fields), std::move(headers)));
  }
  /// With the token of the page that was seen last.
  web::Response submit(const std::string& target, FormFields fields) {
    fields.emplace_back("csrf", csrf);
    return post(target, fields);
  }

  web::Response send(web::Request request) {
    std::string cookies;
    for (const auto& [name, value] : jar) cookies += (cookies.empty() ? "" : "; ") + name + "=" + value;
    if (!cookies.empty()) request.headers.set("cookie", cookies);
    auto response = service.send(std::move(request));
    for (const std::string& set : response.headers.all("set-cookie")) {
      const auto name = set.substr(0, set.find('=')), value = set.substr(name.size() + 1);
      if (set.find("Max-Age=0") != set.npos)
        jar.erase(name);
      else
        jar[name] = value.substr(0, value.find(';'));
    }
    constexpr std::string_view k_token = "name=\"csrf\" value=\"";
    if (const auto at = response.body.find(k_token); at != response.body.npos) {
      csrf = response.body.substr(at + k_token.size());
      csrf = csrf.substr(0, csrf.find('"'));
    }
    return response;
  }

  TestService& service;
  std::map<std::string, std::string> jar;
  std::string csrf;
};

}  // namespace latchkey::service
