#pragma once
// For tests of the account pages and of signing in: people with accounts, and where else they may sign in.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/plugins/passkey/testing.h"
#include "auth/plugins/social/github.h"
#include "auth/plugins/social/oidc.h"
#include "auth/plugins/social/testing.h"
#include "dev/world/world.h"
#include "signin/audit.h"

namespace latchkey::dev::world {

using namespace std::chrono_literals;
using auth::webauthn::testing::SoftAuthenticator;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

inline constexpr const char* k_alice = "alice@example.com";
inline constexpr const char* k_bob = "bob@example.com";
inline constexpr const char* k_mallory = "mallory@example.com";

class AccountWorld : public ::testing::Test {
 protected:
  AccountWorld() : AccountWorld(WorldOptions{}) {}
  explicit AccountWorld(WorldOptions options) : w(with_providers(std::move(options))), app(w) {}

  std::string url(std::string_view path) const { return w.options.auth + std::string(path); }

  /// Makes the account, by signing in to an app.
  Tokens account(const std::string& email) {
    Browser b(w, "198.51.100.1");
    return sign_in(app, b, email);
  }
  /// Signs in to the pages; the page of the account.
  Page enter(Browser& b, const std::string& email) {
    Page page = b.get(url("/account/login?add=1"));
    page = b.follow_all(b.submit(page, "/account/send-otp", {{"email", email}, {"stay", "yes"}}));
    return b.follow_all(b.submit(page, "/account/verify-otp", {{"code", w.code(email)}}));
  }
  bool signed_in(Browser& b) { return b.get(url("/account")).status == 200; }
  /// A form of this page's account to any path, whether or not the page offers it.
  Page act(Browser& b, const Page& page, std::string_view path, FormFields fields = {}) {
    FormFields form = page.form("/account/logout").fields;
    for (auto& field : fields) form = with(std::move(form), field.first, field.second);
    return b.post(url(path), std::move(form));
  }
  bool works(const Tokens& tokens) {
    return app.call("GET", "/xrpc/com.atproto.server.getSession", tokens).status == 200;
  }
  std::string handle(const std::string& email) { return w.account(email)->handle_text(); }

  /// "event detail", the newest first.
  std::vector<std::string> events(const std::string& did) {
    std::vector<std::string> out;
    for (const auto& entry : w.read([&](store::Tx& tx) { return signin::audit::newest(tx, did, 100); }))
      out.push_back(entry.detail.empty() ? entry.event : entry.event + " " + entry.detail);
    return out;
  }
  /// The newest mail tells of this, leads to the settings and holds none of the secrets.
  void expect_notice(const std::string& to, std::string_view subject,
                     const std::vector<std::string>& secrets = {}) {
    const auto mails = w.mails(to);
    ASSERT_FALSE(mails.empty());
    const auto& mail = mails.back();
    EXPECT_THAT(mail.subject, HasSubstr(std::string(subject)));
    EXPECT_THAT(mail.text, HasSubstr(url("/account")));
    EXPECT_THAT(mail.html, HasSubstr(url("/account")));
    for (const auto& secret : secrets) {
      EXPECT_THAT(mail.subject, Not(HasSubstr(secret)));
      EXPECT_THAT(mail.text, Not(HasSubstr(secret)));
      EXPECT_THAT(mail.html, Not(HasSubstr(secret)));
    }
  }
  std::int64_t count(const store::Sql& sql) {
    return w.read([&](store::Tx& tx) { return tx.one(sql)->int64(0); });
  }
  std::int64_t accounts() {
    static constexpr store::Sql k_accounts{"SELECT count(*) FROM account"};
    return count(k_accounts);
  }
  std::int64_t links() {
    static constexpr store::Sql k_links{"SELECT count(*) FROM auth_identity"};
    return count(k_links);
  }
  /// The value of the nth button of this name; "" when there is none.
  static std::string button(const Page& page, std::string_view name, std::size_t nth = 0) {
    const std::string before = fmt::format("name=\"{}\" value=\"", name);
    std::size_t at = page.body.find(before);
    for (std::size_t i = 0; i < nth && at != std::string::npos; ++i) at = page.body.find(before, at + 1);
    if (at == std::string::npos) return {};
    at += before.size();
    return page.body.substr(at, page.body.find('"', at) - at);
  }
  /// Where a link of the page that begins this way leads; "" when there is none.
  static std::string link(const Page& page, std::string_view begin) {
    const auto at = page.body.find(fmt::format("href=\"{}", begin));
    if (at == std::string::npos) return {};
    std::string out = page.body.substr(at + 6, page.body.find('"', at + 6) - at - 6);
    for (auto amp = out.find("&amp;"); amp != std::string::npos; amp = out.find("&amp;"))
      out.replace(amp, 5, "&");
    return out;
  }

  // --- /api/auth, as a script of the pages calls it

  Page json_post(Browser& b, std::string_view path, json::Object body) {
    auto request = b.request("POST", url(fmt::format("/api/auth{}", path)));
    request.headers.set("content-type", "application/json");
    request.body = json::Value(std::move(body)).dump();
    return b.send(std::move(request));
  }
  /// The whole JSON sign-in by code.
  Page json_sign_in(Browser& b, const std::string& email) {
    json_post(b, "/email-otp/send-verification-otp", {{"email", email}, {"type", "sign-in"}});
    return json_post(b, "/sign-in/email-otp", {{"email", email}, {"otp", w.code(email)}});
  }
  bool has_json_session(Browser& b) { return b.get(url("/api/auth/get-session")).body.size() > 10; }

  static SoftAuthenticator authenticator(std::uint8_t tag = 1) {
    SoftAuthenticator a(auth::webauthn::Algorithm::ES256, tag);
    a.rp_id = "auth.pds.test";
    a.origin = "https://auth.pds.test";
    return a;
  }
  static Bytes challenge_in(const Page& options) {
    const auto value = options.json();
    const std::string* text = value.string_at("challenge");
    return text ? from_base64url(*text).value_or(Bytes()) : Bytes();
  }
  Page register_passkey(Browser& b, SoftAuthenticator& a, const std::string& name) {
    const Page options = b.get(url("/api/auth/passkey/generate-register-options"));
    if (options.status != 200) return options;
    const auto value = options.json();
    a.user_handle = from_base64url(*value.find("user")->string_at("id"));
    return json_post(
        b, "/passkey/verify-registration",
        {{"response", SoftAuthenticator::to_json(a.create(challenge_in(options)))}, {"name", name}});
  }
  /// From the account page to the page behind it.
  Page add_passkey(Browser& b, SoftAuthenticator& a, const std::string& name) {
    const Page page = b.follow(b.submit(b.get(url("/account")), "/account/passkey/add"));
    EXPECT_TRUE(page.shows("data-passkey=\"register\"")) << page.status << page.body;
    EXPECT_EQ(register_passkey(b, a, name).status, 200);
    return b.get(url("/account?success=passkey_added"));
  }
  Page use_passkey(Browser& b, const SoftAuthenticator& a) {
    const Page options = b.get(url("/api/auth/passkey/generate-authenticate-options"));
    return json_post(b, "/passkey/verify-authentication",
                     {{"response", SoftAuthenticator::to_json(a.get(challenge_in(options)))}});
  }

  // --- Providers: "oidc" and "github"

  /// The person says yes at the provider this answer leads to; where the browser is sent then.
  Page say_yes(Browser& b, const Page& leads_there) {
    const std::string target =
        leads_there.location().empty() ? leads_there.refresh() : leads_there.location();
    const bool openid = target.starts_with("https://oidc.test/");
    if (!openid) github.challenge = auth::testing::query_field(target, "code_challenge");
    const std::string code = openid ? idp.authorize(target) : "good";
    return b.get(url(fmt::format("/api/auth/callback/{}?", openid ? "oidc" : "github") +
                     encode_form({{"code", code}, {"state", auth::testing::query_field(target, "state")}})));
  }
  /// Presses the button of the page, says yes, and comes back.
  Page by_provider(Browser& b, const Page& page, std::string_view provider = "oidc") {
    const std::string path = link(page, fmt::format("/api/auth/sign-in/social?provider={}", provider));
    EXPECT_FALSE(path.empty()) << page.body;
    return say_yes(b, b.get(url(path)));
  }
  /// Every redirect of ours, of any kind.
  Page land(Browser& b, Page page) {
    for (int i = 0; i < 10 && (page.status == 302 || page.status == 303); ++i) {
      const std::string to = page.location();
      if (!to.starts_with('/') && !to.starts_with(w.options.auth)) return page;
      page = b.get(to.starts_with('/') ? url(to) : to);
    }
    return page;
  }
  /// From the account page to the page behind it.
  Page link_provider(Browser& b, const std::string& provider = "oidc") {
    const Page page = b.get(url("/account"));
    return land(b, say_yes(b, b.submit(page, "/account/provider/link", {{"provider", provider}})));
  }
  void person_at_provider(const std::string& sub, const std::string& email, bool verified = true) {
    idp.claims_changes = {{"sub", sub}, {"email", email}, {"email_verified", verified}};
    idp.userinfo = idp.claims_changes;
  }

  auth::testing::Network net;
  World w;
  App app;
  auth::testing::OpenIdProvider idp{net, w.clock, "https://oidc.test"};
  auth::testing::GithubServer github{net};

 private:
  WorldOptions with_providers(WorldOptions options) {
    options.providers = [this](const Clock& clock) {
      return std::vector{
          auth::oidc({.id = "oidc",
                      .label = "Example ID",
                      .issuer = "https://oidc.test",
                      .credentials = {"client-1", Secret<std::string>("s3cret/+ &")},
                      .account_provider_id = "https://oidc.test"},
                     net, clock),
          auth::github({.credentials = {"gh-client", Secret<std::string>("gh-secret")}}, net, clock)};
    };
    return options;
  }
};

}  // namespace latchkey::dev::world
