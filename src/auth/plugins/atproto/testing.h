#pragma once
// For the tests of the plugin: an Auth beside a PDS in a network in memory, and browsers.

#include <gtest/gtest.h>

#include "auth/core/testing.h"
#include "auth/plugins/atproto/atproto.h"
#include "oauth/client/testing.h"
#include "oauth/jose/jwt.h"

namespace latchkey::auth::bsky {

using oauth::client::testing::Network;
using oauth::client::testing::Server;

inline constexpr const char* k_alice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
inline constexpr const char* k_bob = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
inline constexpr const char* k_pds = "https://pds.test";

// Keys of these tests: openssl ecparam -name prime256v1 -genkey -noout
inline constexpr const char* k_key =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIH+oz6+5VXBe2VENcWbKHAN1W9cSNfpA6w9gEELtK9A6oAoGCCqGSM49\n"
    "AwEHoUQDQgAEyUcNBkY53V9nrP/dI91bX+F6FHHlCT1mpXdO5w7/oZ2qFZK8Yyzp\n"
    "VlumcH7UpjkFshg61l3kRAwX7TRr8/x2iw==\n"
    "-----END EC PRIVATE KEY-----\n";
inline constexpr const char* k_other_key =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEICJfJ36Xut5PNotxVEs+2MhAtgD48YYAsGDVLqML9l2SoAoGCCqGSM49\n"
    "AwEHoUQDQgAEvS/mB2LkEqGWk8Lmyv1sq6wBlM0MgEyv7rqFWSfipQKZdsjcyIzw\n"
    "JSks4H+6SiE9dXWNFFRAwY1vppmoBpNSGQ==\n"
    "-----END EC PRIVATE KEY-----\n";
inline Secret<std::string> pem(const char* text) { return Secret<std::string>(text); }

inline std::string location(const web::Response& r) { return std::string(r.headers.get("location")); }
inline json::Value body_of(const web::Response& r) { return json::parse(r.body).value_or(json::Value()); }
inline std::string text_of(const json::Value& v, std::string_view name) {
  const auto* text = v.string_at(name);
  return text ? *text : "";
}

class AtprotoTest : public store::EngineTest {
 protected:
  using Change = std::function<void(AtprotoOptions&, Options&)>;

  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    app_.emplace(GetParam(), [](Options& o) { o.email_and_password.enabled = false; });
    server_.emplace(net_, app_->clock, "https://as.test", k_pds);
    resolver_.emplace(identity::ResolverOptions{.plc_url = "https://plc.test", .development = true}, net_,
                      nullptr, app_->clock);
    net_.account(k_alice, "alice.test", k_pds);
    net_.account(k_bob, "bob.test", k_pds);
    view({{"did", k_alice},
          {"handle", "evil.test"},
          {"displayName", "Alice"},
          {"description", "Hi\nthere"},
          {"avatar", "https://cdn.test/a.png"},
          {"banner", "https://cdn.test/b.png"}});
    restart();
  }
  /// A new process over the same data.
  void restart(Change change = {}) {
    app_->restart([&](Options& o) {
      AtprotoOptions options{.fetch = net_,
                             .resolver = *resolver_,
                             .private_keys = {pem(k_key)},
                             .client = {.client_name = "My App"}};
      o.user.delete_user.enabled = true;
      if (change) change(options, o);
      plugin_.emplace(std::move(options));
      o.plugins.push_back(plugin_->plugin());
    });
  }

  /// A page of the PDS, for whoever brings a good token and proof.
  void page(const std::string& nsid, Network::Page answer) {
    net_.pages[k_pds + ("/xrpc/" + nsid)] = [this, answer](const FetchRequest& r) {
      auto judged = server_->echo(r);
      if (judged.status != 200) return judged;
      auto out = answer(r);
      out.headers.emplace_back("dpop-nonce", server_->nonce);
      return out;
    };
  }
  void view(json::Object profile) {
    page("app.bsky.actor.getProfile",
         [profile](const FetchRequest&) { return oauth::client::testing::json_answer(200, profile); });
  }

  web::Response start(Browser& b, std::string handle = "alice.test", std::string callback = "/dash") {
    return b.post("/bsky/sign-in", json::Object{{"handle", handle}, {"callbackURL", callback}});
  }
  /// The `state` of the flow that began last, as it was pushed.
  std::string state() const {
    const auto pushed = net_.to("https://as.test/oauth/par");
    return *single(*parse_form(pushed.back()->body), "state");
  }
  std::string answer() const { return answer_for(state()); }
  std::string answer_for(const std::string& state) const {
    return "/bsky/callback?" +
           encode_form({{"iss", server_->issuer}, {"state", state}, {"code", server_->code}});
  }
  web::Response sign_in(Browser& b, const std::string& handle = "alice.test",
                        const std::string& callback = "/dash") {
    server_->sub = handle == "bob.test" ? k_bob : k_alice;
    const auto started = start(b, handle, callback);
    EXPECT_EQ(started.status, 200) << started.body;
    return b.get(answer());
  }

  std::string user_text(Browser& b, std::string_view name) {
    const auto session = b.session();
    const auto* user = session.find("user");
    return user ? text_of(*user, name) : "nobody";
  }
  std::string user_id(Browser& b) { return user_text(b, "id"); }
  std::vector<Account> accounts_of(const std::string& user_id) {
    return run(app_->db->read([&](store::Tx& tx) { return app_->auth->accounts().list(tx, user_id); }));
  }
  /// What stands in the column, "" for no row.
  std::string stored(const char* did = k_alice) {
    constexpr store::Sql k_find{R"(SELECT "session" FROM "bskySession" WHERE "did" = ?1)"};
    const auto row = run(app_->db->read([&](store::Tx& tx) { return tx.one(k_find, did); }));
    return row ? row->text(0) : "";
  }
  std::size_t states() {
    constexpr store::Sql k_all{R"(SELECT "key" FROM "bskyState")"};
    return run(app_->db->read([&](store::Tx& tx) { return tx.query(k_all).size(); }));
  }
  /// Signed in by a password.
  Browser other_user(const std::string& email = "eve@example.test") {
    Browser b(*app_);
    b.sign_up(email);
    EXPECT_EQ(user_text(b, "email"), email);
    return b;
  }

  Network net_;
  std::optional<TestAuth> app_;
  std::optional<Server> server_;
  std::optional<identity::Resolver> resolver_;
  std::optional<Atproto> plugin_;
};

}  // namespace latchkey::auth::bsky
