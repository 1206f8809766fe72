#pragma once
// For the tests of the plugin: an Auth with two providers in a network in memory, and browsers.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "auth/plugins/social/generic_oauth.h"
#include "auth/plugins/social/oidc.h"
#include "auth/plugins/social/social.h"
#include "auth/plugins/social/testing.h"
#include "store/testing.h"

namespace latchkey::auth::testing {

using Match = SocialOptions::Match;

inline constexpr std::string_view k_base = "https://app.example.com";

/// A browser with its cookies.
struct Browser {
  Auth* auth;
  std::map<std::string, std::string> cookies = {};

  web::Response send(web::Request request) {
    std::string header;
    for (const auto& [name, value] : cookies) header += (header.empty() ? "" : "; ") + name + "=" + value;
    if (!header.empty()) request.headers.set("cookie", header);
    auto response = run(auth->handle(std::move(request)));
    for (const auto& cookie : response.headers.all("set-cookie")) {
      const auto equals = cookie.find('='), end = cookie.find(';');
      const std::string name = cookie.substr(0, equals), value = cookie.substr(equals + 1, end - equals - 1);
      if (value.empty())
        cookies.erase(name);
      else
        cookies[name] = value;
    }
    return response;
  }
  web::Response get(std::string path, web::Headers headers = {}) {
    return send(web::Request::make("GET", std::string(k_base) + "/api/auth" + path, {}, std::move(headers)));
  }
  web::Response post(std::string path, json::Object body) {
    return send(web::Request::make("POST", std::string(k_base) + "/api/auth" + path,
                                   json::Value(std::move(body)).dump(),
                                   {{"content-type", "application/json"}, {"origin", std::string(k_base)}}));
  }
};

inline std::string location(const web::Response& r) { return std::string(r.headers.get("location")); }
inline json::Value body_of(const web::Response& r) { return json::parse(r.body).value_or(json::Value()); }
inline std::string code_of(const web::Response& r) {
  const auto body = body_of(r);
  const auto* code = body.string_at("code");
  return code ? *code : std::to_string(r.status);
}

class SocialTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam());
    restart();
  }
  void restart() {
    SocialOptions options = social_;
    options.providers = {generic_oauth(acme_, net_, clock_), oidc(oidc_, net_, clock_)};
    auth_ = std::make_unique<Auth>(
        Options{.base_url = std::string(k_base),
                .secret = Secret<std::string>("test-secret-0123456789abcdef0123456789"),
                .database = **db_,
                .clock = clock_,
                .rng = rng_,
                .account = account_,
                .rate_limit = {.enabled = false},
                .plugins = {social(std::move(options))}});
    auth_->migrate();
  }
  Browser browser() { return {auth_.get()}; }

  /// Starts a sign-in; gives the URL at the provider.
  std::string begin(Browser& b, json::Object extra = {}, std::string path = "/sign-in/social") {
    json::Object body{{"provider", "acme"},
                      {"callbackURL", "/dash"},
                      {"newUserCallbackURL", "/welcome"},
                      {"errorCallbackURL", "/oops"}};
    for (const auto& m : extra) body.set(m.key, m.value);
    return location(b.post(std::move(path), std::move(body)));
  }
  static json::Object claims(std::string sub, std::string email, bool verified = true) {
    return {
        {"sub", std::move(sub)}, {"email", std::move(email)}, {"email_verified", verified}, {"name", "Ann"}};
  }
  /// Where the browser ends up when the provider says yes.
  std::string come_back(Browser& b, const std::string& url, const json::Object& who,
                        std::string provider = "acme") {
    return location(b.get("/callback/" + provider + "?code=" + ToyProvider::code_for(who) +
                          "&state=" + query_field(url, "state")));
  }
  std::string sign_in(Browser& b, const json::Object& who, json::Object extra = {}) {
    const auto url = begin(b, std::move(extra));
    return come_back(b, url, who);
  }
  std::string link(Browser& b, const json::Object& who) {
    const auto url = begin(b, {}, "/link-social");
    return come_back(b, url, who);
  }
  std::string oidc_sign_in(Browser& b, std::string extra_query = {}) {
    const auto url = begin(b, {{"provider", "oidc"}});
    return location(b.get("/callback/oidc?code=" + idp_.authorize(url) +
                          "&state=" + query_field(url, "state") + extra_query));
  }

  std::optional<User> user_of(Browser& b) {
    const auto request = web::Request::make("GET", k_base, {}, {{"cookie", all_cookies(b)}});
    const auto who = run(auth_->session_of(request));
    return who ? std::optional(who->user) : std::nullopt;
  }
  static std::string all_cookies(const Browser& b) {
    std::string header;
    for (const auto& [name, value] : b.cookies) header += (header.empty() ? "" : "; ") + name + "=" + value;
    return header;
  }
  web::Request request_of(const Browser& b) {
    return web::Request::make("GET", k_base, {}, {{"cookie", all_cookies(b)}});
  }
  User add_user(std::string email, bool verified) {
    return run((*db_)->write([&](store::Tx& tx) {
             return auth_->users().create(tx, {.email = email, .name = "Local", .email_verified = verified},
                                          clock_.now());
           }))
        .value();
  }
  /// Signed in by something else.
  Browser signed_in_as(const User& user) {
    const auto session =
        run((*db_)->write([&](store::Tx& tx) {
          return auth_->sessions().create(
              tx, {.user_id = user.id, .expires_at = clock_.now() + std::chrono::hours(24)}, clock_.now());
        })).value();
    Browser b = browser();
    const auto cookie =
        auth_->cookies().signed_cookie("session_token", session.token, std::chrono::hours(24));
    b.cookies[cookie.name] = cookie.value;
    return b;
  }
  std::vector<Account> accounts_of(const User& user) {
    return run((*db_)->read([&](store::Tx& tx) { return auth_->accounts().list(tx, user.id); }));
  }

  FakeClock clock_;
  SeededRng rng_;
  Network net_;
  ToyProvider toy_{net_, "https://idp.test"};
  OpenIdProvider idp_{net_, clock_, "https://oidc.test"};
  GenericOauthOptions acme_{.id = "acme",
                            .label = "Acme",
                            .credentials = {"acme-client", Secret<std::string>("acme-secret")},
                            .authorization_endpoint = "https://idp.test/authorize",
                            .token_endpoint = "https://idp.test/token",
                            .userinfo_endpoint = "https://idp.test/userinfo",
                            .scopes = {"openid", "email"}};
  OidcOptions oidc_{.id = "oidc",
                    .label = "OIDC",
                    .issuer = "https://oidc.test",
                    .credentials = {"client-1", Secret<std::string>("s3cret/+ &")},
                    .account_provider_id = "https://oidc.test"};
  SocialOptions social_;
  AccountOptions account_;
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<Auth> auth_;
};

}  // namespace latchkey::auth::testing
