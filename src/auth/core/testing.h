#pragma once
// For tests of the framework and its plugins: an Auth over a fresh database, and a browser for it.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/core/auth.h"
#include "base/rng.h"
#include "base/time.h"
#include "store/testing.h"

namespace latchkey::auth {

/// Restart with other options keeps database and clock.
struct TestAuth {
  explicit TestAuth(store::Engine engine = store::Engine::sqlite, std::function<void(Options&)> change = {})
      : db(engine) {
    restart(std::move(change));
  }

  void restart(std::function<void(Options&)> change = {}) {
    Options o{.base_url = base,
              .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
              .database = *db,
              .clock = clock,
              .rng = rng,
              .email_and_password = {.enabled = true}};
    o.email_and_password.send_reset_password = mailer("reset");
    o.email_verification.send_verification_email = mailer("verify");
    o.rate_limit.enabled = false;
    if (change) change(o);
    auth.reset();
    auth = std::make_unique<Auth>(std::move(o));
    auth->migrate();
  }

  struct Sent {
    std::string kind;
    LinkMail mail;
  };
  SendLink mailer(std::string kind) {
    return [this, kind = std::move(kind)](LinkMail mail) { return keep(this, kind, std::move(mail)); };
  }
  static Task<void> keep(TestAuth* self, std::string kind, LinkMail mail) {
    self->mails.push_back({std::move(kind), std::move(mail)});
    co_return;
  }

  static constexpr const char* base = "https://app.test";
  FakeClock clock;
  SeededRng rng;
  store::TestDatabase db;
  std::vector<Sent> mails;
  std::unique_ptr<Auth> auth;
};

/// Sends its cookies and an Origin, as a browser on a page of the app does.
struct Browser {
  explicit Browser(TestAuth& a) : app(a) {}

  web::Response send(std::string method, const std::string& path, std::string body = {},
                     web::Headers headers = {}) {
    auto request =
        web::Request::make(method, TestAuth::base + ("/api/auth" + path), std::move(body), headers);
    request.remote_ip = ip;
    if (!headers.has("origin") && method != "GET") request.headers.add("origin", TestAuth::base);
    std::string cookies;
    for (const auto& [name, value] : jar) cookies += (cookies.empty() ? "" : "; ") + name + "=" + value;
    if (!cookies.empty()) request.headers.add("cookie", cookies);
    auto response = run(app.auth->handle(std::move(request)));
    for (const std::string& set : response.headers.all("set-cookie")) {
      const auto name = set.substr(0, set.find('=')), value = set.substr(name.size() + 1);
      if (set.find("Max-Age=0") != set.npos)
        jar.erase(name);
      else
        jar[name] = value.substr(0, value.find(';'));
    }
    return response;
  }
  web::Response get(const std::string& path, web::Headers headers = {}) {
    return send("GET", path, {}, std::move(headers));
  }
  web::Response post(const std::string& path, const json::Value& body, web::Headers headers = {}) {
    headers.set("content-type", "application/json");
    return send("POST", path, body.dump(), std::move(headers));
  }
  /// Sign-up with a password; the answer.
  json::Value sign_up(const std::string& email, const std::string& password = "password-1234") {
    return json::parse(
               post("/sign-up/email", json::Object{{"name", "n"}, {"email", email}, {"password", password}})
                   .body)
        .value();
  }
  /// null, or {"session", "user"}.
  json::Value session() { return json::parse(get("/get-session").body).value(); }

  TestAuth& app;
  std::map<std::string, std::string> jar;
  std::string ip = "203.0.113.7";
};

/// The `code` of an error, "" when it has none.
inline std::string code_of(const web::Response& response) {
  const auto body = json::parse(response.body);
  const std::string* code = body ? body->string_at("code") : nullptr;
  return code ? *code : "";
}

}  // namespace latchkey::auth
