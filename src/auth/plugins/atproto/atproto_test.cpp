#include "auth/plugins/atproto/atproto.h"

#include <barrier>
#include <future>
#include <stdexcept>

#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/atproto/admission.h"
#include "auth/plugins/atproto/profile.h"
#include "auth/plugins/atproto/stores.h"
#include "auth/plugins/atproto/testing.h"
#include "auth/plugins/email_otp/plugin.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using json::Object;
using oauth::client::testing::header_of;
using oauth::client::testing::json_answer;

/// A browser that knows more than one host.
struct DevBrowser {
  Auth& auth;
  std::map<std::string, std::map<std::string, std::string>> jar = {};

  web::Response send(std::string method, const std::string& url, std::string body = {}) {
    const Url at = *Url::parse(url);
    web::Headers headers;
    std::string cookies;
    for (const auto& [name, value] : jar[at.host])
      cookies += (cookies.empty() ? "" : "; ") + name + "=" + value;
    if (!cookies.empty()) headers.add("cookie", cookies);
    if (method == "POST") {
      headers.add("content-type", "application/json");
      headers.add("origin", at.origin());
    }
    auto response = run(auth.handle(web::Request::make(method, url, std::move(body), headers)));
    for (const std::string& set : response.headers.all("set-cookie")) {
      const auto name = set.substr(0, set.find('=')), value = set.substr(name.size() + 1);
      jar[at.host][name] = value.substr(0, value.find(';'));
    }
    return response;
  }
};

class AtprotoSignIn : public AtprotoTest {};

Task<void> keep_code(std::string* code, OtpMail mail) {
  *code = mail.otp;
  co_return;
}

TEST_P(AtprotoSignIn, MakesAUserOfAnAccount) {
  Browser b(*app_);
  const auto started = start(b);
  EXPECT_EQ(started.body, R"({"url":")" + text_of(body_of(started), "url") + R"(","redirect":true})");
  EXPECT_TRUE(text_of(body_of(started), "url").starts_with("https://as.test/oauth/authorize?client_id="));
  const auto back = b.get(answer());
  EXPECT_EQ(back.status, 302);
  EXPECT_EQ(location(back), "/dash");
  EXPECT_EQ(user_text(b, "name"), "Alice");
  EXPECT_EQ(user_text(b, "image"), "https://cdn.test/a.png");
  EXPECT_EQ(user_text(b, "email"), "did_plc_ewvi7nxzyoun6zhxrhs64oiz@bsky.placeholder.invalid");
  EXPECT_FALSE(*b.session().find("user")->find("emailVerified")->boolean());
  EXPECT_EQ(user_text(b, "bskyDid"), k_alice);
  EXPECT_EQ(user_text(b, "bskyHandle"), "alice.test");
  EXPECT_EQ(user_text(b, "bskyBio"), "Hi\nthere");
  EXPECT_EQ(user_text(b, "bskyBanner"), "https://cdn.test/b.png");
  const auto accounts = accounts_of(user_id(b));
  ASSERT_EQ(accounts.size(), 1u);
  EXPECT_EQ(accounts[0].provider_id, "atproto");
  EXPECT_EQ(accounts[0].account_id, k_alice);
}

TEST_P(AtprotoSignIn, IsTheSameUserTheNextTime) {
  Browser b(*app_), again(*app_);
  sign_in(b);
  const auto id = user_id(b);
  view({{"did", k_alice}, {"displayName", "Alice B."}, {"description", "new"}});
  net_.account(k_alice, "b.test", k_pds);
  app_->clock.advance(1h);
  EXPECT_EQ(location(sign_in(again, "b.test", "")), "/");
  EXPECT_EQ(user_id(again), id);
  EXPECT_EQ(user_text(again, "name"), "Alice B.");
  EXPECT_EQ(user_text(again, "bskyHandle"), "b.test");
  EXPECT_EQ(user_text(again, "bskyBio"), "new");
  EXPECT_EQ(user_text(again, "bskyBanner"), "");
  EXPECT_EQ(accounts_of(id).size(), 1u);
}

TEST_P(AtprotoSignIn, AttackRace_TwoFirstSignInsAtOnceAreOneUser) {
  std::barrier both_have_looked(2);
  const auto arrive = [&](bool waits) {
    const Arrival arrival{.did = *Did::parse(k_alice), .name_of_new_user = "Alice"};
    return run(app_->db->write([&, waits](store::Tx& tx) mutable -> Result<Admitted, Fault> {
      const auto owner = owner_of(*app_->auth, tx, arrival.did);
      if (std::exchange(waits, false)) both_have_looked.arrive_and_wait();
      EXPECT_TRUE(owner);
      return admit(*app_->auth, tx, arrival, {}, app_->clock.now());
    }));
  };
  // SQLite writes one after the other: there is nothing to wait for.
  const bool waits = GetParam() == store::Engine::postgres;
  auto other = std::async(std::launch::async, [&] { return arrive(waits); });
  const auto one = arrive(waits), two = other.get();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->user.id, two->user.id);
  EXPECT_NE(one->kind, two->kind) << "created once, and known";
  EXPECT_EQ(accounts_of(one->user.id).size(), 1u);
}

TEST_P(AtprotoSignIn, TokensAndKeysAreSealedAtRest) {
  Browser b(*app_);
  start(b);
  constexpr store::Sql k_states{R"(SELECT "key", "state" FROM "bskyState")"};
  const auto rows = run(app_->db->read([&](store::Tx& tx) { return tx.query(k_states); }));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].text(0).find(state()), std::string::npos);
  EXPECT_EQ(rows[0].text(1).find("code_verifier"), std::string::npos);
  b.get(answer());
  EXPECT_EQ(states(), 0u);
  const auto text = stored();
  EXPECT_NE(text.find("\"version\":1"), std::string::npos) << text;
  for (const char* secret : {"access-1", "refresh-1", "dpop_key"})
    EXPECT_EQ(text.find(secret), std::string::npos);
}

TEST_P(AtprotoSignIn, AChangedSecretStillOpensWhatTheOldOneSealed) {
  Browser b(*app_);
  sign_in(b);
  const Secret<std::string> old("a-secret-of-tests-0123456789abcdef"),
      fresh("another-secret-0123456789abcdef-0");
  restart([&](AtprotoOptions&, Options& o) {
    o.secret = fresh;
    o.old_secrets = {old};
  });
  EXPECT_EQ(b.get("/bsky/session").status, 200);
  restart([&](AtprotoOptions&, Options& o) {
    o.secret = old;
    o.old_secrets = {};
  });
  EXPECT_EQ(b.get("/bsky/session").status, 200);
}

// Also while both have been opened a moment ago.
TEST_P(AtprotoSignIn, AttackSwappedRows_WhatIsSealedIsGoodInItsRowOnly) {
  Browser alice(*app_), bob(*app_);
  sign_in(alice, "alice.test");
  sign_in(bob, "bob.test");
  const auto expect_active = [&](bool active, const char* when) {
    for (Browser* b : {&alice, &bob}) {
      const auto body = body_of(b->post("/bsky/restore", Object{}));
      EXPECT_EQ(*body.find("active"), json::Value(active)) << when;
    }
  };
  const std::string of_alice = stored(k_alice), of_bob = stored(k_bob);
  constexpr store::Sql k_put{R"(UPDATE "bskySession" SET "session" = ?2 WHERE "did" = ?1)"};
  const auto put = [&](const std::string& at_alice, const std::string& at_bob) {
    run(app_->db->write([&](store::Tx& tx) {
      tx.exec(k_put, k_alice, at_alice);
      tx.exec(k_put, k_bob, at_bob);
    }));
  };
  expect_active(true, "as they were");
  put(of_bob, of_alice);
  expect_active(false, "swapped");
  put(of_alice, of_bob);
  expect_active(true, "back again");
}

TEST_P(AtprotoSignIn, ARowOfAnotherProgramIsNoSessionAndGivesWay) {
  Browser b(*app_);
  sign_in(b);
  EXPECT_EQ(b.get("/bsky/session").status, 200);
  constexpr store::Sql k_foreign{R"(UPDATE "bskySession" SET "session" = ?1)"};
  run(app_->db->write([&](store::Tx& tx) { return tx.exec(k_foreign, R"({"dpopJwk":{},"tokenSet":{}})"); }));
  EXPECT_EQ(b.get("/bsky/session").status, 404);
  EXPECT_EQ(body_of(b.post("/bsky/restore", Object{})), json::Value(Object{{"active", false}}));
  sign_in(b);
  EXPECT_EQ(b.get("/bsky/session").status, 200);
}

TEST_P(AtprotoSignIn, NeedsAnAccountThatIsThere) {
  Browser b(*app_);
  for (const char* handle :
       {"nobody.test", "", "not a handle", "alice@example.test", "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"}) {
    const auto r = start(b, handle);
    EXPECT_EQ(r.status, 400) << handle;
    EXPECT_EQ(code_of(r), "INVALID_HANDLE") << handle;
  }
  EXPECT_EQ(code_of(b.post("/bsky/sign-in", Object{})), "VALIDATION_ERROR");
  server_->par_answer = json_answer(400, {{"error", "invalid_client"}}, {{"dpop-nonce", server_->nonce}});
  EXPECT_EQ(code_of(start(b)), "AUTHORIZATION_FAILED");
  EXPECT_EQ(start(b).status, 500);
}

TEST_P(AtprotoSignIn, StatesLiveTenMinutes) {
  for (const auto& [wait, end] :
       {std::pair(599s, "/dash"), std::pair(600s, "https://app.test/api/auth/error?error=state_mismatch")}) {
    Browser b(*app_);
    start(b);
    app_->clock.advance(wait);
    EXPECT_EQ(location(b.get(answer())), end);
  }
}

TEST_P(AtprotoSignIn, ExpiredStatesGoWhenOthersCome) {
  Browser b(*app_);
  for (int i = 0; i < 3; ++i) start(b);
  EXPECT_EQ(states(), 3u);
  app_->clock.advance(600s);
  start(b);
  EXPECT_EQ(states(), 1u);
}

TEST_P(AtprotoSignIn, TwoTabsOfABrowserBothEnd) {
  Browser b(*app_);
  start(b);
  const auto first = state();
  start(b, "alice.test", "/second");
  EXPECT_EQ(location(b.get(answer())), "/second");
  server_->code = "code-1";
  server_->challenge.clear();
  // The first tab's answer is not refused for its cookie: its code is what the server refuses.
  EXPECT_EQ(code_of(b.get(answer_for(first))), "CALLBACK_FAILED");
}

TEST_P(AtprotoSignIn, ErrorsOfThePdsAreShown) {
  Browser b(*app_);
  start(b);
  const auto r = b.get("/bsky/callback?" + encode_form({{"iss", server_->issuer},
                                                        {"state", state()},
                                                        {"error", "access_denied"},
                                                        {"error_description", "not today"}}));
  EXPECT_EQ(r.status, 302);
  EXPECT_EQ(location(r), "https://app.test/api/auth/error?error=access_denied&error_description=not+today");
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoSignIn, LongErrorsOfThePdsAreCutBetweenCharacters) {
  Browser b(*app_);
  start(b);
  const auto r = b.get("/bsky/callback?" + encode_form({{"iss", server_->issuer},
                                                        {"state", state()},
                                                        {"error", "access_denied"},
                                                        {"error_description", std::string(299, 'a') + "é"}}));
  EXPECT_EQ(location(r),
            "https://app.test/api/auth/error?error=access_denied&error_description=" + std::string(299, 'a'));
  EXPECT_EQ(b.get(location(r).substr(std::string("https://app.test/api/auth").size())).status, 302);
}

TEST_P(AtprotoSignIn, TokensThatCannotBeKeptAreGivenBack) {
  restart([](AtprotoOptions&, Options& o) {
    o.records.user.before_create = [](store::Tx&, User&) -> Result<void, Fault> {
      throw std::runtime_error("the disk is full");
    };
  });
  Browser b(*app_);
  EXPECT_EQ(sign_in(b).status, 500);
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoSignIn, WhatAStoppedProcessDidNotRevokeIsRevokedByTheNext) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  const Secret<std::string> secret("a-secret-of-tests-0123456789abcdef");
  const Vault vault({secret}, app_->rng);
  Sessions sessions(*app_->db, vault, app_->rng, app_->clock);
  run(app_->db->write([&](store::Tx& tx) { sessions.put_aside(tx, id, std::nullopt, app_->clock.now()); }));
  restart();
  EXPECT_TRUE(server_->revoked.empty());
  run(app_->auth->clean());
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_EQ(states(), 0u);
}

TEST_P(AtprotoSignIn, AProfileThatFailsFailsNoSignIn) {
  struct Row {
    Network::Page view, record;
    std::string name, image;
  };
  const auto status = [](int s) {
    return [s](const FetchRequest&) { return FetchResponse{s, {}, "<html>"}; };
  };
  const auto record = [](Object value) {
    return [value](const FetchRequest&) { return json_answer(200, {{"uri", "at://x"}, {"value", value}}); };
  };
  const Object blob{{"$type", "blob"},
                    {"ref", Object{{"$link", "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"}}},
                    {"mimeType", "image/png"},
                    {"size", 10}};
  const std::string url = std::string(k_pds) +
                          "/xrpc/com.atproto.sync.getBlob?did=did%3Aplc%3Aewvi7nxzyoun6zhxrhs64oiz&cid="
                          "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy";
  for (const Row& row :
       {Row{status(500), status(500), "@alice.test", ""}, Row{status(200), status(404), "@alice.test", ""},
        Row{status(501), record({{"displayName", "Rec"}, {"avatar", blob}}), "Rec", url},
        Row{status(403), record({{"displayName", 5}, {"avatar", "x"}}), "@alice.test", ""}}) {
    page("app.bsky.actor.getProfile", row.view);
    page("com.atproto.repo.getRecord", row.record);
    Browser b(*app_);
    EXPECT_EQ(location(sign_in(b)), "/dash");
    EXPECT_EQ(user_text(b, "name"), row.name);
    EXPECT_EQ(user_text(b, "image"), row.image);
    EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  }
}

TEST_P(AtprotoSignIn, NameAndPictureAreMappedByTheOperator) {
  restart([](AtprotoOptions& o, Options&) {
    o.map_profile_to_user = [](const AtprotoProfile& p) {
      return AtprotoUserFields{.name = "~" + p.handle->str() + "\n", .image = "javascript:alert(1)"};
    };
  });
  Browser b(*app_);
  sign_in(b);
  EXPECT_EQ(user_text(b, "name"), "~alice.test");
  EXPECT_EQ(user_text(b, "image"), "");
  restart([](AtprotoOptions& o, Options&) {
    o.map_profile_to_user = [](const AtprotoProfile&) -> AtprotoUserFields {
      throw std::runtime_error("oops");
    };
  });
  EXPECT_EQ(location(sign_in(b)), "/dash");
  EXPECT_EQ(user_text(b, "name"), "Alice");
}

TEST_P(AtprotoSignIn, ProfilesAreReadWhenTheOperatorSaysSo) {
  using Sync = AtprotoOptions::ProfileSync;
  const std::string url = "https://pds.test/xrpc/app.bsky.actor.getProfile";
  const auto asked = [&] {
    return std::ranges::count_if(net_.requests, [&](const auto& r) { return r.url.starts_with(url); });
  };
  restart([](AtprotoOptions& o, Options&) { o.profile_sync = Sync::off; });
  Browser b(*app_);
  sign_in(b);
  EXPECT_EQ(asked(), 0);
  EXPECT_EQ(user_text(b, "name"), "@alice.test");
  EXPECT_EQ(b.get("/bsky/session").status, 200);
  EXPECT_EQ(asked(), 0);
  restart([](AtprotoOptions& o, Options&) { o.profile_sync = Sync::at_sign_up; });
  sign_in(b);
  EXPECT_EQ(asked(), 0) << "this user is there";
  EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  sign_in(b);
  EXPECT_GT(asked(), 0);
  EXPECT_EQ(user_text(b, "name"), "Alice");
}

TEST_P(AtprotoSignIn, DisabledSignUpIsForUsersWhoAreThere) {
  Browser b(*app_), stranger(*app_);
  sign_in(b);
  restart([](AtprotoOptions& o, Options&) { o.disable_sign_up = true; });
  EXPECT_EQ(location(sign_in(b)), "/dash");
  const auto r = sign_in(stranger, "bob.test");
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(code_of(r), "SIGNUP_DISABLED");
  EXPECT_TRUE(stranger.session().is_null());
  EXPECT_EQ(stored(k_bob), "");
  EXPECT_EQ(server_->revoked.back(), server_->live_refresh) << "tokens nobody will use";
}

TEST_P(AtprotoSignIn, LimitsStartsAndCallbacks) {
  restart([](AtprotoOptions&, Options& o) { o.rate_limit.enabled = true; });
  Browser b(*app_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(start(b).status, 200) << i;
  const auto start_limited = start(b);
  EXPECT_EQ(start_limited.status, 429);
  EXPECT_EQ(start_limited.headers.get("x-retry-after"), "60");
  EXPECT_EQ(start_limited.body, R"({"message":"Too many requests. Please try again later."})");
  EXPECT_EQ(b.post("/sign-in/atproto", Object{{"handle", "alice.test"}}).status, 429)
      << "another name of the same route";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(b.get("/bsky/callback?state=x").status, 302) << i;
  EXPECT_EQ(b.get("/bsky/callback?state=x").status, 429);
  EXPECT_EQ(b.get("/atproto/callback?state=x").status, 429);
  for (const char* path : {"/bsky/jwks.json", "/bsky/client-metadata.json", "/.well-known/jwks.json",
                           "/oauth-client-metadata.json"})
    for (int i = 0; i <= 100; ++i) ASSERT_EQ(b.get(path).status, 200) << path << i << ", for all servers";
  app_->clock.advance(60s);
  EXPECT_EQ(start(b).status, 200);
  EXPECT_EQ(b.get("/bsky/callback?state=x").status, 302);
}

TEST_P(AtprotoSignIn, FindsTheTablesOfABetterAuthProgramComplete) {
  // As its generator writes them (contract, section 12).
  const bool postgres = GetParam() == store::Engine::postgres;
  const std::string date = postgres ? "TIMESTAMPTZ" : "DATE", boolean = postgres ? "BOOLEAN" : "INTEGER";
  store::TestDatabase db(GetParam());
  store::migrate(*db, [&](store::Tx& tx) {
    tx.script(
        R"(CREATE TABLE "user" ("id" TEXT NOT NULL PRIMARY KEY, "name" TEXT NOT NULL, "email" TEXT NOT NULL UNIQUE,
      "emailVerified" )" +
        boolean + R"( NOT NULL, "image" TEXT, "createdAt" )" + date + R"( NOT NULL, "updatedAt" )" + date +
        R"( NOT NULL, "bskyDid" TEXT UNIQUE, "bskyHandle" TEXT, "bskyBio" TEXT, "bskyBanner" TEXT);
      CREATE TABLE "bskyState" ("id" TEXT NOT NULL PRIMARY KEY, "key" TEXT NOT NULL UNIQUE, "state" TEXT NOT NULL,
      "expiresAt" )" +
        date + R"( NOT NULL);
      CREATE TABLE "bskySession" ("id" TEXT NOT NULL PRIMARY KEY, "did" TEXT NOT NULL UNIQUE, "session" TEXT NOT NULL,
      "userId" TEXT NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE, "updatedAt" )" +
        date + " NOT NULL);");
  });
  const auto columns = [&] {
    std::vector<std::vector<std::string>> all;
    store::migrate(*db, [&](store::Tx& tx) {
      for (const char* table : {"user", "bskyState", "bskySession"})
        all.push_back(store::columns_of(tx, db->engine(), table));
    });
    return all;
  };
  const auto before = columns();
  Atproto plugin({.fetch = net_, .resolver = *resolver_, .private_keys = {pem(k_key)}});
  Auth auth({.base_url = TestAuth::base,
             .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
             .database = *db,
             .clock = app_->clock,
             .rng = app_->rng,
             .plugins = {plugin.plugin()}});
  auth.migrate();
  EXPECT_EQ(columns(), before);
  EXPECT_EQ(before[2], (std::vector<std::string>{"id", "did", "session", "userId", "updatedAt"}));
  // And a user of that program, known by the column alone.
  run(db->write([&](store::Tx& tx) {
    return auth.users().create(tx, {.email = "a@example.test", .name = "A", .fields = {{"bskyDid", k_alice}}},
                               app_->clock.now());
  })).value();
  DevBrowser b{auth};
  ASSERT_EQ(b.send("POST", "https://app.test/api/auth/bsky/sign-in", R"({"handle":"alice.test"})").status,
            200);
  EXPECT_EQ(location(b.send("GET", "https://app.test/api/auth" + answer())), "/");
  const auto session = body_of(b.send("GET", "https://app.test/api/auth/get-session"));
  EXPECT_EQ(text_of(*session.find("user"), "email"), "a@example.test");
  EXPECT_EQ(b.send("GET", "https://app.test/api/auth/bsky/session").status, 200);
}

// --- who the client is

class AtprotoClient : public AtprotoTest {};

TEST_P(AtprotoClient, PublishesItsMetadataAndKeys) {
  restart([](AtprotoOptions& o, Options&) { o.private_keys = {pem(k_other_key), pem(k_key)}; });
  Browser b(*app_);
  const auto document = body_of(b.get("/bsky/client-metadata.json"));
  EXPECT_EQ(document,
            json::Value(Object{{"client_id", "https://app.test/api/auth/bsky/client-metadata.json"},
                               {"application_type", "web"},
                               {"grant_types", json::Array{"authorization_code", "refresh_token"}},
                               {"response_types", json::Array{"code"}},
                               {"scope", "atproto transition:generic"},
                               {"redirect_uris", json::Array{"https://app.test/api/auth/bsky/callback"}},
                               {"dpop_bound_access_tokens", true},
                               {"token_endpoint_auth_method", "private_key_jwt"},
                               {"token_endpoint_auth_signing_alg", "ES256"},
                               {"jwks_uri", "https://app.test/api/auth/bsky/jwks.json"},
                               {"client_name", "My App"}}));
  const auto keys = body_of(b.get("/bsky/jwks.json"));
  ASSERT_EQ(keys.find("keys")->array()->size(), 2u);
  for (const auto& key : *keys.find("keys")->array()) EXPECT_FALSE(key.find("d"));
  EXPECT_EQ(body_of(b.get("/oauth-client-metadata.json")), document);
  EXPECT_EQ(body_of(b.get("/.well-known/jwks.json")), keys);
  // The first key signs, under the name it is published with.
  start(b);
  const auto form = *parse_form(net_.to("https://as.test/oauth/par").back()->body);
  const auto assertion = oauth::parse_compact(*single(form, "client_assertion"));
  EXPECT_EQ(*assertion->header.find("kid")->string(), text_of(keys.find("keys")->array()->front(), "kid"));
}

TEST_P(AtprotoClient, NeedsAnAddressAndAKeyThatCanWork) {
  const auto with = [&](std::string base_url, std::vector<Secret<std::string>> keys) {
    Atproto plugin({.fetch = net_, .resolver = *resolver_, .private_keys = std::move(keys)});
    Auth auth({.base_url = std::move(base_url),
               .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
               .database = *app_->db,
               .clock = app_->clock,
               .rng = app_->rng,
               .plugins = {plugin.plugin()}});
  };
  EXPECT_NO_THROW(with("https://app.test", {pem(k_key)}));
  EXPECT_THROW(with("https://app.test", {}), std::invalid_argument) << "no key";
  EXPECT_THROW(with("https://app.test", {pem(k_key), pem(k_key)}), std::invalid_argument) << "one key twice";
  EXPECT_THROW(with("https://app.test:8443", {pem(k_key)}), std::invalid_argument) << "client_id with a port";
  EXPECT_THROW(with("http://app.test", {pem(k_key)}), std::invalid_argument);
  EXPECT_THROW(with("http://192.168.1.2:3000", {}), std::invalid_argument);
  EXPECT_THROW(with("http://localhost.evil.test:3000", {}), std::invalid_argument);
  for (const char* base : {"http://localhost:3000", "http://127.0.0.1:3000", "http://localhost"})
    EXPECT_NO_THROW(with(base, {})) << base;
  EXPECT_THROW(Atproto({.fetch = net_, .resolver = *resolver_, .private_keys = {pem("no key")}}),
               std::invalid_argument);
  const Plugin again = plugin_->plugin();
  EXPECT_THROW(again.attach(*app_->auth), std::invalid_argument) << "it has one already";
}

TEST_P(AtprotoClient, OfALocalAppIsOneOfDevelopment) {
  for (const char* base : {"http://localhost:3000", "http://127.0.0.1:3000"}) {
    restart([&](AtprotoOptions& o, Options& options) {
      options.base_url = base;
      o.private_keys = {};
    });
    DevBrowser b{*app_->auth};
    const std::string below = std::string(base) + "/api/auth";
    const auto document = body_of(b.send("GET", below + "/bsky/client-metadata.json"));
    EXPECT_EQ(text_of(document, "client_id"),
              "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A3000%2Fapi%2Fauth%2Fbsky%2Fcallback"
              "&scope=atproto%20transition%3Ageneric");
    EXPECT_EQ(body_of(b.send("GET", below + "/bsky/jwks.json")),
              json::Value(Object{{"keys", json::Array{}}}));
    ASSERT_EQ(
        b.send("POST", below + "/bsky/sign-in", R"({"handle":"alice.test","callbackURL":"/dash"})").status,
        200);
    // The PDS knows one redirect URI.
    auto back = b.send("GET", "http://127.0.0.1:3000/api/auth" + answer());
    if (base == std::string("http://localhost:3000")) {
      EXPECT_EQ(location(back), below + answer()) << "to where the cookies are";
      EXPECT_TRUE(back.headers.all("set-cookie").empty());
      back = b.send("GET", location(back));
    }
    EXPECT_EQ(location(back), "/dash");
    const std::string host = Url::parse(base)->host;
    EXPECT_TRUE(b.jar[host].contains("better-auth.session_token")) << base;
    EXPECT_EQ(b.jar.contains("127.0.0.1") && b.jar["127.0.0.1"].contains("better-auth.session_token"),
              host == "127.0.0.1");
  }
}

TEST_P(AtprotoClient, AttackPlantedCallback_TheHandOverOfALocalAppChecksTheBrowserToo) {
  restart([&](AtprotoOptions& o, Options& options) {
    options.base_url = "http://localhost:3000";
    o.private_keys = {};
  });
  DevBrowser attacker{*app_->auth}, victim{*app_->auth};
  attacker.send("POST", "http://localhost:3000/api/auth/bsky/sign-in", R"({"handle":"alice.test"})");
  const auto handed =
      location(victim.send("GET", "http://127.0.0.1:3000/api/auth" + answer() + "&x=//evil.test"));
  EXPECT_TRUE(handed.starts_with("http://localhost:3000/api/auth/bsky/callback?")) << handed;
  EXPECT_EQ(location(victim.send("GET", handed)),
            "http://localhost:3000/api/auth/error?error=state_mismatch");
  EXPECT_FALSE(victim.jar["localhost"].contains("better-auth.session_token"));
  // Another host name than these two leads nowhere.
  const auto other = victim.send("GET", "http://evil.test:3000/api/auth" + answer());
  EXPECT_EQ(location(other), "http://localhost:3000/api/auth/error?error=state_mismatch");
}

// --- linking

class AtprotoLinking : public AtprotoTest {};

TEST_P(AtprotoLinking, AddsAnAccountToTheUserWhoIsSignedIn) {
  Browser eve = other_user();
  const auto id = user_id(eve);
  EXPECT_EQ(location(sign_in(eve)), "/dash");
  EXPECT_EQ(user_id(eve), id);
  EXPECT_EQ(user_text(eve, "bskyDid"), k_alice);
  EXPECT_EQ(user_text(eve, "name"), "n") << "a user with an address keeps the name";
  EXPECT_EQ(accounts_of(id).size(), 2u);
  // From then on it is a way in.
  Browser later(*app_);
  sign_in(later);
  EXPECT_EQ(user_id(later), id);
  EXPECT_EQ(user_text(later, "name"), "n");
}

TEST_P(AtprotoLinking, MayTakeNameAndPictureOver) {
  restart([](AtprotoOptions&, Options& o) { o.account.linking.update_user_info_on_link = true; });
  Browser eve = other_user();
  sign_in(eve);
  EXPECT_EQ(user_text(eve, "name"), "Alice");
}

TEST_P(AtprotoLinking, IsRefusedWhereLinkingIsOff) {
  restart([](AtprotoOptions&, Options& o) { o.account.linking.enabled = false; });
  Browser eve = other_user();
  const auto r = sign_in(eve);
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(r.body, R"({"message":"Account linking is not enabled","code":"ACCOUNT_LINKING_DISABLED"})");
  EXPECT_EQ(user_text(eve, "bskyDid"), "");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked.size(), 1u);
  // Signing in with an account of one's own links nothing.
  Browser alice(*app_);
  EXPECT_EQ(location(sign_in(alice)), "/dash");
  EXPECT_EQ(location(sign_in(alice)), "/dash");
}

TEST_P(AtprotoLinking, AUserMayHaveSeveralAccounts) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  EXPECT_EQ(location(sign_in(b, "bob.test")), "/dash");
  EXPECT_EQ(user_id(b), id);
  EXPECT_EQ(user_text(b, "bskyDid"), k_bob) << "the one used last";
  EXPECT_EQ(user_text(b, "bskyBio"), "") << "nothing of the other account stays";
  EXPECT_EQ(accounts_of(id).size(), 2u);
  const auto dids = run(plugin_->accounts_of(id));
  EXPECT_EQ(dids.size(), 2u);
  EXPECT_EQ(run(plugin_->session_of(id))->did().str(), k_bob);
  EXPECT_EQ(run(plugin_->session_of(id, *Did::parse(k_alice)))->did().str(), k_alice);
  Browser alice(*app_), bob(*app_);
  sign_in(alice);
  sign_in(bob, "bob.test");
  EXPECT_EQ(user_id(alice), id);
  EXPECT_EQ(user_id(bob), id);
}

TEST_P(AtprotoLinking, AttackAccountSwitch_AnAccountOfAnotherUserIsRefused) {
  Browser alice(*app_);
  sign_in(alice);
  Browser eve = other_user();
  const auto id = user_id(eve);
  const auto r = sign_in(eve);
  EXPECT_EQ(r.status, 409);
  EXPECT_EQ(code_of(r), "SOCIAL_ACCOUNT_ALREADY_LINKED");
  EXPECT_EQ(user_id(eve), id) << "nobody is switched";
  EXPECT_EQ(user_text(alice, "bskyDid"), k_alice);
  EXPECT_NE(stored(), "");
}

TEST_P(AtprotoLinking, AttackForcedLinking_APlantedCallbackLinksNothing) {
  Browser attacker(*app_);
  Browser victim = other_user("victim@example.test");
  server_->sub = k_bob;
  start(attacker, "bob.test");
  const auto r = victim.get(answer());
  EXPECT_EQ(location(r), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
  EXPECT_EQ(accounts_of(user_id(victim)).size(), 1u);
  // Not with a flow of the victim's own on the way either.
  start(victim, "alice.test");
  start(attacker, "bob.test");
  EXPECT_EQ(location(victim.get(answer())), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
}

TEST_P(AtprotoLinking, AttackForcedLinking_AFlowLinksForTheUserWhoBeganItOnly) {
  // Begun signed out, ended signed in.
  Browser b(*app_);
  start(b);
  const auto url = answer();
  b.sign_up("eve@example.test");
  auto r = b.get(url);
  EXPECT_EQ(r.status, 403);
  EXPECT_EQ(code_of(r), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(user_text(b, "bskyDid"), "");
  // Begun as one user, ended as another, or as nobody.
  start(b);
  const auto second = answer();
  b.post("/sign-out", Object{});
  Browser other = b;
  other.sign_up("mallory@example.test");
  EXPECT_EQ(code_of(other.get(second)), "SIGNED_IN_USER_CHANGED");
  start(other);
  const auto third = answer();
  other.post("/sign-out", Object{});
  EXPECT_EQ(code_of(other.get(third)), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked.size(), 3u);
}

TEST_P(AtprotoLinking, AttackRevokedSession_WhoWasSignedOutMeanwhileLinksNothing) {
  const auto sign_out_everywhere = [&](const std::string& id) {
    run(app_->db->write([&](store::Tx& tx) { return app_->auth->sessions().remove_all(tx, id); })).value();
  };
  // While the profile is read, and after it.
  Browser eve = other_user();
  const auto id = user_id(eve);
  page("app.bsky.actor.getProfile", [&](const FetchRequest&) {
    sign_out_everywhere(id);
    return json_answer(200, {{"did", k_alice}});
  });
  EXPECT_EQ(code_of(sign_in(eve)), "SIGNED_IN_USER_CHANGED");
  restart([&](AtprotoOptions& o, Options&) {
    o.profile_sync = AtprotoOptions::ProfileSync::off;
    o.map_profile_to_user = [&](const AtprotoProfile&) {
      sign_out_everywhere(id);
      return AtprotoUserFields{};
    };
  });
  eve.post("/sign-in/email", Object{{"email", "eve@example.test"}, {"password", "password-1234"}});
  EXPECT_EQ(user_id(eve), id);
  EXPECT_EQ(code_of(sign_in(eve)), "SIGNED_IN_USER_CHANGED");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(accounts_of(id).size(), 1u);
}

TEST_P(AtprotoLinking, AttackAccountSwitch_ASignInThatEndsAsAnotherUserSwitchesNobody) {
  Browser alice(*app_), b(*app_);
  sign_in(alice);
  start(b);
  const auto url = answer();
  b.sign_up("eve@example.test");
  const auto id = user_id(b);
  EXPECT_EQ(b.get(url).status, 409);
  EXPECT_EQ(user_id(b), id);
}

TEST_P(AtprotoLinking, AttackColumns_ClientsDoNotSetTheirDid) {
  Browser eve = other_user();
  const auto r = eve.post("/update-user", Object{{"bskyDid", k_alice}});
  EXPECT_EQ(r.status, 400);
  EXPECT_EQ(code_of(r), "FIELD_NOT_ALLOWED");
  Browser alice(*app_);
  sign_in(alice);
  EXPECT_NE(user_id(alice), user_id(eve));
}

TEST_P(AtprotoLinking, AnAnonymousUserIsReplacedAndNotLinkedTo) {
  restart([](AtprotoOptions&, Options& o) { o.plugins.push_back(anonymous()); });
  const auto anonymous_user = [&](Browser& b) {
    EXPECT_EQ(b.post("/sign-in/anonymous", Object{}).status, 200);
    return user_id(b);
  };
  const auto exists = [&](const std::string& id) {
    return run(app_->db->read([&](store::Tx& tx) { return app_->auth->users().find(tx, id); })).has_value();
  };
  Browser b(*app_), phone(*app_);
  const auto before = anonymous_user(b);
  EXPECT_EQ(location(sign_in(b)), "/dash");
  const auto alice = user_id(b);
  EXPECT_NE(alice, before);
  EXPECT_FALSE(exists(before));
  EXPECT_EQ(code_of(b.post("/delete-anonymous-user", Object{})), "USER_IS_NOT_ANONYMOUS");
  const auto on_the_phone = anonymous_user(phone);
  EXPECT_EQ(location(sign_in(phone)), "/dash") << "somebody known, too";
  EXPECT_EQ(user_id(phone), alice);
  EXPECT_FALSE(exists(on_the_phone));
}

TEST_P(AtprotoLinking, AttackPreHijacking_WhoProvesTheMailboxIsRidOfTheAccountLinkedBefore) {
  std::string code;
  restart([&](AtprotoOptions&, Options& o) {
    o.plugins.push_back(email_otp({.send = [&](OtpMail mail) { return keep_code(&code, std::move(mail)); }}));
  });
  Browser attacker = other_user("victim@example.test"), victim(*app_);
  EXPECT_EQ(location(sign_in(attacker)), "/dash");
  EXPECT_EQ(user_text(attacker, "bskyDid"), k_alice);
  victim.post("/email-otp/send-verification-otp",
              Object{{"email", "victim@example.test"}, {"type", "sign-in"}});
  EXPECT_EQ(victim.post("/sign-in/email-otp", Object{{"email", "victim@example.test"}, {"otp", code}}).status,
            200);
  EXPECT_EQ(user_text(victim, "bskyDid"), "");
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_TRUE(attacker.session().is_null());
  sign_in(attacker);
  EXPECT_NE(user_id(attacker), user_id(victim));
}

TEST_P(AtprotoLinking, AnAccountUnderTheNameOfAnotherPluginStaysItsUsers) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  constexpr store::Sql k_rename{R"(UPDATE "account" SET "providerId" = 'bsky' WHERE "accountId" = ?1)"};
  run(app_->db->write([&](store::Tx& tx) { tx.exec(k_rename, k_alice); }));
  sign_in(b);
  sign_in(b, "bob.test");
  Browser again(*app_);
  EXPECT_EQ(location(sign_in(again)), "/dash");
  EXPECT_EQ(user_id(again), id);
}

TEST_P(AtprotoLinking, AttackSquatting_APlaceholderThatWasSignedUpKeepsNobodyOut) {
  Browser squatter = other_user("did_plc_ewvi7nxzyoun6zhxrhs64oiz@bsky.placeholder.invalid");
  Browser alice(*app_);
  EXPECT_EQ(location(sign_in(alice)), "/dash");
  EXPECT_NE(user_id(alice), user_id(squatter));
  EXPECT_TRUE(
      user_text(alice, "email").ends_with(".did_plc_ewvi7nxzyoun6zhxrhs64oiz@bsky.placeholder.invalid"));
}

TEST_P(AtprotoLinking, UnlinkingTakesTheSessionWithIt) {
  Browser eve = other_user();
  sign_in(eve);
  const auto accounts = accounts_of(user_id(eve));
  const auto it = std::ranges::find(accounts, "atproto", &Account::provider_id);
  EXPECT_EQ(eve.post("/unlink-account", Object{{"accountId", it->id}}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(states(), 0u);
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  for (const char* name : {"bskyDid", "bskyHandle", "bskyBio", "bskyBanner"})
    EXPECT_EQ(user_text(eve, name), "");
  Browser alice(*app_);
  sign_in(alice);
  EXPECT_NE(user_id(alice), user_id(eve)) << "the account is nobody's again";
}

TEST_P(AtprotoLinking, UnlinkingOneOfTwoLeavesTheOther) {
  Browser b(*app_);
  sign_in(b);
  sign_in(b, "bob.test");
  const auto id = user_id(b);
  for (const auto& account : accounts_of(id))
    if (account.account_id == k_bob) {
      EXPECT_EQ(b.post("/unlink-account", Object{{"accountId", account.id}}).status, 200);
    }
  EXPECT_EQ(user_text(b, "bskyDid"), k_alice);
  EXPECT_EQ(run(plugin_->accounts_of(id)).size(), 1u);
  EXPECT_TRUE(run(plugin_->session_of(id)));
}

TEST_P(AtprotoLinking, AUserWhoIsDeletedTakesTheirSessionsAlong) {
  Browser b(*app_);
  sign_in(b);
  EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
}

TEST_P(AtprotoLinking, AServerThatCannotBeReachedKeepsNobody) {
  Browser b(*app_);
  sign_in(b);
  net_.pages["https://as.test/oauth/revoke"] = [](const FetchRequest&) { return FetchResponse{503, {}, ""}; };
  EXPECT_EQ(b.post("/delete-user", Object{}).status, 200);
  EXPECT_EQ(stored(), "");
  EXPECT_EQ(states(), 0u);
}

// --- attacks on the callback

class AtprotoCallback : public AtprotoTest {};

TEST_P(AtprotoCallback, AttackReplay_AStateIsGoodOnce) {
  Browser b(*app_);
  start(b);
  const auto url = answer();
  EXPECT_EQ(location(b.get(url)), "/dash");
  b.post("/sign-out", Object{});
  server_->code = "code-1";
  EXPECT_EQ(location(b.get(url)), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoCallback, AttackOtherBrowser_BelongsToTheBrowserThatBegan) {
  Browser b(*app_), other(*app_);
  start(b);
  const auto url = answer();
  EXPECT_EQ(location(other.get(url)), "https://app.test/api/auth/error?error=state_mismatch");
  EXPECT_TRUE(other.session().is_null());
  // With a cookie of its own, or one that is not ours.
  start(b);
  const auto second = answer();
  start(other, "bob.test");
  EXPECT_EQ(location(other.get(second)), "https://app.test/api/auth/error?error=state_mismatch");
  start(b);
  for (auto& [name, value] : b.jar) value = "forged." + value;
  EXPECT_EQ(location(b.get(answer())), "https://app.test/api/auth/error?error=state_mismatch");
}

TEST_P(AtprotoCallback, AttackMixUp_IssIsTheServerTheFlowWentTo) {  // RFC 9207
  for (const FormFields& iss : {FormFields{}, FormFields{{"iss", "https://evil.test"}}}) {
    Browser b(*app_);
    start(b);
    FormFields answer{{"state", state()}, {"code", server_->code}};
    answer.insert(answer.end(), iss.begin(), iss.end());
    EXPECT_EQ(location(b.get("/bsky/callback?" + encode_form(answer))),
              "https://app.test/api/auth/error?error=issuer_mismatch");
    EXPECT_TRUE(b.session().is_null());
  }
  Browser b(*app_);
  start(b);
  EXPECT_EQ(location(b.get(answer() + "&iss=https%3A%2F%2Fevil.test")),
            "https://app.test/api/auth/error?error=invalid_callback")
      << "one parameter twice";
}

TEST_P(AtprotoCallback, AttackWrongSub_AnotherAccountThanTheOneAskedForSignsNobodyIn) {
  Browser b(*app_);
  start(b, "alice.test");
  server_->sub = k_bob;
  const auto r = b.get(answer());
  EXPECT_EQ(r.status, 500);
  EXPECT_EQ(code_of(r), "CALLBACK_FAILED");
  EXPECT_TRUE(b.session().is_null());
  EXPECT_EQ(server_->revoked.size(), 1u);
}

TEST_P(AtprotoCallback, AttackWrongSub_AServerSpeaksForItsOwnAccountsOnly) {
  Server other(net_, app_->clock, "https://other-as.test", "https://other-pds.test");
  net_.account(k_bob, "bob.test", "https://other-pds.test");
  Browser b(*app_);
  start(b, "https://pds.test");
  server_->sub = k_bob;
  EXPECT_EQ(code_of(b.get(answer())), "CALLBACK_FAILED");
  EXPECT_TRUE(b.session().is_null());
}

TEST_P(AtprotoCallback, AttackFalseHandle_AHandleThatDoesNotPointBackIsNotShown) {
  // mallory.test points at alice, whose document does not claim it.
  net_.pages["https://mallory.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "text/plain"}}, k_alice};
  };
  Browser b(*app_);
  EXPECT_EQ(code_of(start(b, "mallory.test")), "INVALID_HANDLE");
  // bob's document claims a handle that points elsewhere; so does the profile.
  net_.pages["https://bob.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "text/plain"}}, k_alice};
  };
  view({{"did", k_bob}, {"handle", "bob.test"}, {"displayName", "Bob"}});
  server_->sub = k_bob;
  ASSERT_EQ(start(b, k_bob).status, 200);
  EXPECT_EQ(location(b.get(answer())), "/dash");
  EXPECT_EQ(user_text(b, "bskyDid"), k_bob);
  EXPECT_EQ(user_text(b, "bskyHandle"), "");
  EXPECT_EQ(text_of(body_of(b.get("/bsky/session")), "handle"), "handle.invalid");
}

TEST_P(AtprotoCallback, AttackOpenRedirect_ReturnUrlsStayInTheApp) {
  Browser b(*app_);
  for (const char* url : {"https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test",
                          "/%2Fevil.test", "/%5Cevil.test", "/a\tb", "/\n/evil.test", "javascript:alert(1)",
                          "dash", "https://app.test@evil.test/", "/.//evil.test"}) {
    const auto r = start(b, "alice.test", url);
    EXPECT_EQ(r.status, 403) << url;
    EXPECT_EQ(code_of(r), "INVALID_CALLBACK_URL") << url;
  }
  for (const char* url : {"/dash?x=%2F%2Fevil.test#f", "/", "https://app.test/x"})
    EXPECT_EQ(location(sign_in(b, "alice.test", url)), url);
  // Nor one that was in the app when the flow began, and is not any more.
  restart([](AtprotoOptions&, Options& o) { o.trusted_origins = {"https://friend.test"}; });
  start(b, "alice.test", "https://friend.test/x");
  restart();
  EXPECT_EQ(location(b.get(answer())), "/");
}

// --- what a stored session is good for

class AtprotoSessions : public AtprotoTest {};

TEST_P(AtprotoSessions, NeedsSomebodySignedIn) {
  Browser b(*app_);
  for (const char* path :
       {"/bsky/session", "/bsky/get-session", "/bsky/restore", "/atproto/session", "/bsky/xrpc/a.b.c"})
    EXPECT_EQ(b.get(path).status, 401) << path;
  for (const char* path :
       {"/bsky/restore", "/bsky/sign-out", "/atproto/restore", "/atproto/sign-out", "/bsky/xrpc/a.b.c"})
    EXPECT_EQ(b.post(path, Object{}).status, 401) << path;
  Browser eve = other_user();
  EXPECT_EQ(eve.get("/bsky/session").status, 404);
  EXPECT_EQ(code_of(eve.get("/bsky/session")), "SESSION_NOT_FOUND");
  EXPECT_EQ(eve.send("POST", "/bsky/restore").body, R"({"active":false})");
  EXPECT_EQ(eve.post("/bsky/sign-out", Object{}).body, R"({"success":true})");
}

TEST_P(AtprotoSessions, TellsItsStateAndAFreshProfile) {
  Browser b(*app_);
  sign_in(b);
  view({{"did", k_alice}, {"handle", "evil.test"}, {"displayName", "Fresh"}, {"avatar", "ftp://x/"}});
  const json::Value expected =
      Object{{"active", true},        {"did", k_alice},        {"handle", "alice.test"},
             {"pdsUrl", k_pds},       {"atprotoDid", k_alice}, {"atprotoHandle", "alice.test"},
             {"displayName", "Fresh"}};
  for (const char* path : {"/bsky/session", "/bsky/get-session", "/atproto/session"})
    EXPECT_EQ(body_of(b.get(path)), expected) << path;
  const json::Value light = Object{{"active", true}, {"did", k_alice}, {"handle", "alice.test"}};
  EXPECT_EQ(body_of(b.send("POST", "/bsky/restore")), light) << "without a body, as the client sends it";
  EXPECT_EQ(body_of(b.get("/bsky/restore")), light);
  EXPECT_EQ(body_of(b.post("/atproto/restore", Object{})), light);
}

TEST_P(AtprotoSessions, OutlivesARestartAndItsAccessToken) {
  Browser b(*app_);
  sign_in(b);
  restart();
  EXPECT_EQ(b.get("/bsky/session").status, 200);
  app_->clock.advance(899s);
  EXPECT_EQ(text_of(body_of(b.send("POST", "/bsky/restore")), "did"), k_alice);
  EXPECT_EQ(server_->issued, 1);
  app_->clock.advance(1s);
  EXPECT_EQ(text_of(body_of(b.send("POST", "/bsky/restore")), "did"), k_alice);
  EXPECT_EQ(server_->issued, 2) << "expired: refreshed";
  EXPECT_NE(stored().find("\"version\":2"), std::string::npos);
  EXPECT_EQ(stored().find("lease"), std::string::npos) << "given back";
}

TEST_P(AtprotoSessions, EndsWithItsServersWord) {
  Browser b(*app_);
  sign_in(b);
  server_->live_refresh = "revoked";
  app_->clock.advance(900s);
  EXPECT_EQ(b.send("POST", "/bsky/restore").body, R"({"active":false})");
  EXPECT_EQ(b.get("/bsky/session").status, 404);
  EXPECT_EQ(stored(), "");
  EXPECT_FALSE(b.session().is_null()) << "the app's own session goes on";
}

TEST_P(AtprotoSessions, EndsWithTheWordOfAServerWithoutAnAppView) {
  Browser b(*app_);
  sign_in(b);
  const auto open_to_all = [](int status, Object answer) {
    return [status, answer](const FetchRequest&) { return json_answer(status, answer); };
  };
  const std::string xrpc = std::string(k_pds) + "/xrpc/";
  net_.pages[xrpc + "app.bsky.actor.getProfile"] = open_to_all(501, {{"error", "MethodNotImplemented"}});
  net_.pages[xrpc + "com.atproto.repo.getRecord"] =
      open_to_all(200, {{"uri", "at://x"}, {"value", Object{{"displayName", "Rec"}}}});
  page("com.atproto.server.getSession", open_to_all(200, {{"did", k_alice}}));
  EXPECT_EQ(text_of(body_of(b.get("/bsky/session")), "displayName"), "Rec");
  server_->live_access.clear();
  server_->live_refresh = "revoked";
  EXPECT_EQ(code_of(b.get("/bsky/session")), "SESSION_NOT_FOUND");
  EXPECT_EQ(stored(), "");
}

TEST_P(AtprotoSessions, AServerThatDoesNotAnswerEndsNothing) {
  Browser b(*app_);
  sign_in(b);
  server_->token_answer = json_answer(503, {});
  app_->clock.advance(900s);
  EXPECT_EQ(text_of(body_of(b.send("POST", "/bsky/restore")), "did"), k_alice);
  const auto r = body_of(b.get("/bsky/session"));
  EXPECT_EQ(text_of(r, "displayName"), "Alice") << "as it was";
  EXPECT_EQ(text_of(r, "description"), "Hi\nthere");
}

TEST_P(AtprotoSessions, SignOutRevokesAndForgets) {
  for (const char* path : {"/bsky/sign-out", "/atproto/sign-out"}) {
    Browser b(*app_);
    sign_in(b);
    const auto token = server_->live_refresh;
    EXPECT_EQ(b.send("POST", path).body, R"({"success":true})");
    EXPECT_EQ(server_->revoked.back(), token);
    EXPECT_EQ(stored(), "");
    EXPECT_EQ(b.get("/bsky/session").status, 404);
    EXPECT_FALSE(b.session().is_null());
  }
}

TEST_P(AtprotoSessions, ANewSignInReplacesAndRevokesTheOneBefore) {
  Browser b(*app_), phone(*app_);
  sign_in(b);
  auto before = *run(plugin_->session_of(user_id(b)));
  sign_in(phone);
  EXPECT_EQ(server_->revoked, std::vector<std::string>{"refresh-1"});
  EXPECT_EQ(states(), 0u);
  EXPECT_EQ(b.get("/bsky/session").status, 200) << "one session for all devices";
  server_->jkt.clear();  // whose proofs it takes
  const auto late = run(before.call("GET", "com.example.echo", {}));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, oauth::client::Error::session_ended);
}

TEST_P(AtprotoSessions, AttackRemovedKey_ASessionEndsWithTheKeyItBeganWith) {
  Browser b(*app_);
  sign_in(b);
  restart([](AtprotoOptions& o, Options&) { o.private_keys = {pem(k_other_key), pem(k_key)}; });
  app_->clock.advance(900s);
  EXPECT_EQ(text_of(body_of(b.send("POST", "/bsky/restore")), "did"), k_alice)
      << "the old key is still there";
  const auto old =
      *single(*parse_form(net_.to("https://as.test/oauth/token").back()->body), "client_assertion");
  EXPECT_EQ(*oauth::parse_compact(old)->header.find("kid")->string(),
            text_of(body_of(b.get("/bsky/jwks.json")).find("keys")->array()->back(), "kid"));
  restart([](AtprotoOptions& o, Options&) {
    o.private_keys = {pem(k_other_key)};
    o.allowed_calls = {{"com.example.echo"}};
  });
  app_->clock.advance(900s);
  const auto issued = server_->issued;
  EXPECT_EQ(b.send("POST", "/bsky/restore").body, R"({"active":false})");
  EXPECT_EQ(code_of(b.get("/bsky/xrpc/com.example.echo")), "BSKY_SESSION_ENDED");
  EXPECT_EQ(server_->issued, issued);
  EXPECT_EQ(location(sign_in(b)), "/dash") << "with the new key";
  EXPECT_EQ(b.get("/bsky/xrpc/com.example.echo").status, 200);
}

Task<void> refresh_into(oauth::client::Session session,
                        std::vector<Result<void, oauth::client::Fault>>* out) {
  out->push_back(co_await session.refresh());
}

TEST_P(AtprotoSessions, AttackRefreshRace_TwoProcessesRefreshOnce) {
  Browser b(*app_);
  sign_in(b);
  const auto id = user_id(b);
  Atproto other({.fetch = net_, .resolver = *resolver_, .private_keys = {pem(k_key)}});
  Auth second({.base_url = TestAuth::base,
               .secret = Secret<std::string>("a-secret-of-tests-0123456789abcdef"),
               .database = *app_->db,
               .clock = app_->clock,
               .rng = app_->rng,
               .plugins = {other.plugin()}});
  const auto mine = *run(plugin_->session_of(id)), theirs = *run(other.session_of(id));
  Completion<bool> gate;
  net_.held.emplace("https://as.test/oauth/token", gate);
  std::vector<Result<void, oauth::client::Fault>> results;
  InlineExecutor executor;
  executor.post([&] {
    spawn(refresh_into(mine, &results));
    spawn(refresh_into(theirs, &results));
  });
  executor.post_after(1s, [&] {
    net_.held.clear();
    gate.deliver(true);
  });
  executor.run_until([&] { return results.size() == 2; });
  for (const auto& r : results) EXPECT_TRUE(r) << r.error().detail;
  EXPECT_EQ(server_->issued, 2) << "sign-in and one refresh";
  EXPECT_NE(stored().find("\"version\":2"), std::string::npos) << stored();
}

// --- calls on behalf of the user

class AtprotoCalls : public AtprotoTest {
 protected:
  static constexpr const char* k_view = "did:web:api.bsky.app#bsky_appview";
  void SetUp() override {
    AtprotoTest::SetUp();
    if (IsSkipped()) return;
    restart([](AtprotoOptions& o, Options& options) {
      o.allowed_calls = {{"com.example.echo"}, {"com.example.pages.*"}, {"com.example.echo", k_view}};
      o.max_call_body = 100;
      options.trusted_origins = {"https://front.test"};
    });
    b_.emplace(*app_);
    sign_in(*b_);
    net_.requests.clear();
  }
  web::Response get(const std::string& path, web::Headers headers = {}) {
    return b_->get("/bsky/xrpc/" + path, std::move(headers));
  }
  web::Response post(const std::string& path, std::string body,
                     web::Headers headers = {{"content-type", "application/json"}}) {
    return b_->send("POST", "/bsky/xrpc/" + path, std::move(body), std::move(headers));
  }
  std::optional<Browser> b_;
};

TEST_P(AtprotoCalls, AreSignedWithTheUsersSession) {
  const auto r = get("com.example.echo?a=1&a=2&b=x%20%26y");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(text_of(body_of(r), "url"), "https://pds.test/xrpc/com.example.echo?a=1&a=2&b=x%20%26y");
  EXPECT_EQ(r.headers.get("content-type"), "application/json");
  const auto sent = post("com.example.echo", R"({"text":"hi"})");
  EXPECT_EQ(sent.status, 200);
  EXPECT_EQ(text_of(body_of(sent), "body"), R"({"text":"hi"})");
  EXPECT_EQ(text_of(body_of(sent), "type"), "application/json");
  const auto blob = post("com.example.echo", "\x89PNG", {{"content-type", "image/png"}});
  EXPECT_EQ(text_of(body_of(blob), "type"), "image/png");
  EXPECT_EQ(post("com.example.echo", "", {}).status, 200) << "a procedure without input";
}

TEST_P(AtprotoCalls, AreThoseTheOperatorAllowed) {
  page("com.example.pages.a", [](const FetchRequest&) { return json_answer(200, {}); });
  page("com.example.pagesX", [](const FetchRequest&) { return json_answer(200, {}); });
  EXPECT_EQ(get("com.example.pages.a").status, 200);
  for (const char* nsid :
       {"com.example.pagesX", "com.example.pages", "com.example.Echo", "com.example.echo2",
        "com.atproto.repo.createRecord", "com.example.pages.", "com.example.pages.a%2F..%2Fx",
        "com.example.pages.a%3Fx=1", "com.example.pages.a%00"}) {
    const auto r = get(nsid);
    EXPECT_TRUE(code_of(r) == "CALL_NOT_ALLOWED" || r.status == 404) << nsid << r.status << r.body;
  }
  EXPECT_EQ(code_of(get("com.example.pagesX")), "CALL_NOT_ALLOWED");
  EXPECT_EQ(code_of(get("com.example.pages.a%2F..%2Fx")), "CALL_NOT_ALLOWED");
  for (const auto& request : net_.requests)
    EXPECT_TRUE(request.url.ends_with("/com.example.pages.a") ||
                request.url.find("/xrpc/") == std::string::npos)
        << request.url;
  // Nothing by default.
  restart();
  EXPECT_EQ(code_of(get("com.example.echo")), "CALL_NOT_ALLOWED");
}

TEST_P(AtprotoCalls, AttackAudience_GoToTheServicesTheOperatorAllowed) {
  EXPECT_EQ(get("com.example.echo", {{"atproto-proxy", k_view}}).status, 200);
  EXPECT_EQ(header_of(net_.requests.back(), "atproto-proxy"), k_view);
  for (const char* audience :
       {"did:web:evil.test#bsky_appview", "did:web:api.bsky.app#other", "did:web:api.bsky.app"})
    EXPECT_EQ(code_of(get("com.example.echo", {{"atproto-proxy", audience}})), "CALL_NOT_ALLOWED")
        << audience;
  EXPECT_EQ(code_of(get("com.example.pages.a", {{"atproto-proxy", k_view}})), "CALL_NOT_ALLOWED");
  EXPECT_EQ(
      code_of(get("com.example.echo", {{"atproto-proxy", k_view}, {"atproto-proxy", "did:web:evil.test#x"}})),
      "CALL_NOT_ALLOWED");
}

TEST_P(AtprotoCalls, AttackCsrf_ComeFromTheAppsOwnPages) {
  const std::string json = R"({"a":1})";
  EXPECT_EQ(code_of(post("com.example.echo", json,
                         {{"content-type", "application/json"}, {"origin", "https://evil.test"}})),
            "INVALID_ORIGIN");
  EXPECT_EQ(
      code_of(post("com.example.echo", json, {{"content-type", "application/json"}, {"origin", "null"}})),
      "MISSING_OR_NULL_ORIGIN");
  EXPECT_EQ(
      post("com.example.echo", json, {{"content-type", "application/json"}, {"origin", "https://front.test"}})
          .status,
      200);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=x", "TEXT/PLAIN;charset=utf-8", ""}) {
    web::Headers headers;
    if (*type) headers.set("content-type", type);
    EXPECT_EQ(post("com.example.echo", json, headers).status, 415) << type;
  }
  EXPECT_EQ(code_of(get("com.example.echo", {{"sec-fetch-site", "cross-site"}})), "CROSS_SITE_CALL_BLOCKED");
  EXPECT_EQ(
      code_of(get("com.example.echo", {{"sec-fetch-site", "cross-site"}, {"origin", "https://evil.test"}})),
      "CROSS_SITE_CALL_BLOCKED");
  EXPECT_EQ(
      get("com.example.echo", {{"sec-fetch-site", "cross-site"}, {"origin", "https://front.test"}}).status,
      200);
  EXPECT_EQ(get("com.example.echo", {{"sec-fetch-site", "same-origin"}}).status, 200);
}

TEST_P(AtprotoCalls, AttackSsrf_APdsAtAnAddressOfOursIsNotReachedAndNotTold) {
  net_.broken[k_pds + std::string("/xrpc/com.example.echo")] = FetchError::Kind::refused_by_guard;
  const auto r = get("com.example.echo");
  EXPECT_EQ(r.status, 502);
  EXPECT_EQ(code_of(r), "PDS_UNREACHABLE");
  EXPECT_EQ(r.body.find("pds.test"), std::string::npos) << r.body;
}

TEST_P(AtprotoCalls, AreBoundedInBothDirections) {
  EXPECT_EQ(
      post("com.example.echo", std::string(100, ' '), {{"content-type", "application/octet-stream"}}).status,
      200);
  const auto long_body =
      post("com.example.echo", std::string(101, ' '), {{"content-type", "application/octet-stream"}});
  EXPECT_EQ(long_body.status, 413);
  EXPECT_EQ(code_of(long_body), "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(net_.requests.back().max_body, 5u << 20);
}

TEST_P(AtprotoCalls, AttackHeaders_PassAsListedAndNothingElse) {
  page("com.example.pages.a", [](const FetchRequest&) {
    return FetchResponse{200,
                         {{"content-type", "text/html"},
                          {"set-cookie", "a=b"},
                          {"connection", "x-hop"},
                          {"x-hop", "1"},
                          {"transfer-encoding", "chunked"},
                          {"location", "https://evil.test"},
                          {"access-control-allow-origin", "*"},
                          {"content-security-policy", "default-src *"},
                          {"clear-site-data", "*"},
                          {"www-authenticate", "Basic"},
                          {"atproto-repo-rev", "3k"},
                          {"ratelimit-remaining", "7"},
                          {"retry-after", "a\rb"}},
                         "<script>alert(1)</script>"};
  });
  const auto r = get("com.example.pages.a", {{"authorization-x", "1"},
                                             {"x-forwarded-for", "10.0.0.1"},
                                             {"connection", "keep-alive"},
                                             {"accept-language", "de"},
                                             {"atproto-accept-labelers", "did:plc:x"}});
  EXPECT_EQ(r.status, 200);
  std::map<std::string, std::string> got;
  for (const auto& [name, value] : r.headers) got[name] = value;
  EXPECT_EQ(got,
            (std::map<std::string, std::string>{{"content-type", "application/octet-stream"},
                                                {"content-disposition", "attachment"},
                                                {"atproto-repo-rev", "3k"},
                                                {"ratelimit-remaining", "7"},
                                                {"content-security-policy", "default-src 'none'; sandbox"},
                                                {"x-frame-options", "DENY"},
                                                {"x-content-type-options", "nosniff"},
                                                {"referrer-policy", "no-referrer"},
                                                {"cross-origin-resource-policy", "same-origin"},
                                                {"strict-transport-security", "max-age=31536000"},
                                                {"cache-control", "no-store"}}));
  std::vector<std::string> names;
  for (const auto& [name, value] : net_.requests.back().headers) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"accept-language", "atproto-accept-labelers", "Authorization",
                                             "DPoP"}));
}

TEST_P(AtprotoCalls, MayBeMadeByScriptsOfAnAppOnAnotherOrigin) {  // Fetch, "CORS protocol"
  restart([](AtprotoOptions& o, Options& options) {
    o.allowed_calls = {{"com.example.echo", k_view}};
    options.trusted_origins = {"https://front.test"};
    options.cors = Cors::trusted_origins;
  });
  const auto preflight =
      b_->send("OPTIONS", "/bsky/xrpc/com.example.echo", {},
               {{"origin", "https://front.test"}, {"access-control-request-method", "GET"}});
  EXPECT_EQ(preflight.headers.get("access-control-allow-headers"),
            "content-type, authorization, accept-language, atproto-accept-labelers, atproto-proxy");
  const auto r =
      get("com.example.echo",
          {{"origin", "https://front.test"}, {"sec-fetch-site", "cross-site"}, {"atproto-proxy", k_view}});
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.get("access-control-allow-origin"), "https://front.test");
  EXPECT_NE(r.headers.get("access-control-expose-headers").find("atproto-repo-rev"), std::string_view::npos);
}

TEST_P(AtprotoCalls, AnswersPassAsTheyAre) {
  page("com.example.pages.a", [](const FetchRequest&) {
    return json_answer(400, {{"error", "InvalidRequest"}, {"message", "no"}});
  });
  const auto refused = get("com.example.pages.a");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"error":"InvalidRequest","message":"no"})");
  page("com.example.pages.a", [](const FetchRequest&) {
    return FetchResponse{200, {{"content-type", "image/PNG; x=y"}}, "\x89PNG"};
  });
  EXPECT_EQ(get("com.example.pages.a").headers.get("content-type"), "image/png");
  for (const int status : {302, 101, 700}) {
    page("com.example.pages.a", [status](const FetchRequest&) { return FetchResponse{status, {}, ""}; });
    EXPECT_EQ(get("com.example.pages.a").status, 502) << status;
  }
  net_.lost["https://pds.test/xrpc/com.example.pages.a"] = 1;
  EXPECT_EQ(code_of(get("com.example.pages.a")), "PDS_UNREACHABLE");
}

TEST_P(AtprotoCalls, ASessionThatEndedIsSaidSo) {
  server_->live_access = {"none"};
  EXPECT_EQ(get("com.example.echo").status, 200) << "refreshed";
  server_->live_access = {"none"};
  server_->live_refresh = "none";
  for (int i = 0; i < 2; ++i) {
    const auto r = get("com.example.echo");
    EXPECT_EQ(r.status, 401);
    EXPECT_EQ(code_of(r), "BSKY_SESSION_ENDED");
  }
  EXPECT_FALSE(b_->session().is_null());
}

TEST_P(AtprotoCalls, FindTheSessionOfASignInMeanwhile) {
  // Between the call's start and its answer somebody signs in on another device.
  bool once = true;
  page("com.example.pages.a", [](const FetchRequest&) { return json_answer(200, {}); });
  const auto inner = net_.pages["https://pds.test/xrpc/com.example.pages.a"];
  net_.pages["https://pds.test/xrpc/com.example.pages.a"] = [&, inner](const FetchRequest& r) {
    if (std::exchange(once, false)) {
      Browser phone(*app_);
      sign_in(phone);
    }
    server_->jkt.clear();  // both sessions' proofs are good, the tokens decide
    return inner(r);
  };
  EXPECT_EQ(get("com.example.pages.a").status, 200);
}

TEST_P(AtprotoCalls, AttackPatterns_AreMethodsGroupsAndServices) {
  const auto with = [&](AllowedCall call) {
    Atproto({.fetch = net_,
             .resolver = *resolver_,
             .private_keys = {pem(k_key)},
             .allowed_calls = {std::move(call)}});
  };
  for (const char* good : {"app.bsky.feed.getTimeline", "app.bsky.feed.*", "app.bsky.*"})
    EXPECT_NO_THROW(with({good})) << good;
  for (const char* bad :
       {"*", "app.*", "app.bsky*", ".*", "", "app.bsky.feed.get*", "app.bsky.*.x", "app..bsky.*"})
    EXPECT_THROW(with({bad}), std::invalid_argument) << bad;
  for (const char* bad : {"did:web:api.bsky.app", "api.bsky.app#x", "#x", "did:web:a.test#",
                          "did:web:a.test#a b", "did:web:a.test#a#b"})
    EXPECT_THROW(with({"app.bsky.feed.getTimeline", bad}), std::invalid_argument) << bad;
}

TEST_P(AtprotoCalls, ProgramsHaveTheSession) {
  auto session = run(plugin_->session_of(user_id(*b_)));
  ASSERT_TRUE(session);
  EXPECT_EQ(run(session->call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_EQ(run(plugin_->session_of("nobody")).error().code, oauth::client::Error::session_ended);
  EXPECT_EQ(run(plugin_->session_of(user_id(*b_), *Did::parse(k_bob))).error().code,
            oauth::client::Error::session_ended);
  EXPECT_EQ(run(plugin_->accounts_of(user_id(*b_))), std::vector<Did>{*Did::parse(k_alice)});
}

// --- profiles

TEST(AtprotoProfiles, AreMadeSafeToKeep) {
  const Did did = *Did::parse(k_alice);
  const auto view = [&](Object more) {
    more.set("did", k_alice);
    return *profile_of_view(more, did);
  };
  EXPECT_EQ(view({{"displayName", std::string(640, 'x')}}).display_name.size(), 640u);
  EXPECT_EQ(view({{"displayName", std::string(641, 'x')}}).display_name.size(), 640u);
  EXPECT_EQ(view({{"displayName", std::string(639, 'x') + "é"}}).display_name, std::string(639, 'x'))
      << "cut at a character";
  EXPECT_EQ(view({{"description", std::string(2561, 'x')}}).description.size(), 2560u);
  EXPECT_EQ(view({{"displayName", "a\nb\x01\x7f"}, {"description", "a\nb\x01"}}).display_name, "ab");
  EXPECT_EQ(view({{"description", "a\nb\x01"}}).description, "a\nb");
  const std::string start = "https://cdn.test/";
  EXPECT_EQ(view({{"avatar", start + std::string(2048 - start.size(), 'a')}}).avatar.size(), 2048u);
  EXPECT_EQ(view({{"avatar", start + std::string(2049 - start.size(), 'a')}}).avatar, "");
  for (const char* url : {"javascript:alert(1)", "data:image/png;base64,x", "ftp://x.test/", "//x.test", "x",
                          " https://x.test"})
    EXPECT_EQ(view({{"avatar", url}, {"banner", url}}).banner, "") << url;
  EXPECT_EQ(view({{"avatar", "http://x.test/a"}}).avatar, "http://x.test/a");
  EXPECT_FALSE(profile_of_view(Object{{"did", k_bob}, {"displayName", "Bob"}}, did)) << "of somebody else";
}

TEST(AtprotoProfiles, ArePicturesOfThePdsWhereThereIsNoAppView) {
  const Did did = *Did::parse(k_alice);
  const auto avatar = [&](json::Value blob) {
    return profile_of_record(Object{{"value", Object{{"avatar", std::move(blob)}}}}, did, k_pds).avatar;
  };
  const std::string cid = "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy";
  EXPECT_TRUE(
      avatar(Object{{"ref", Object{{"$link", cid}}}, {"mimeType", "image/jpeg"}}).ends_with("&cid=" + cid));
  EXPECT_TRUE(avatar(Object{{"cid", cid}, {"mimeType", "image/jpeg"}}).ends_with("&cid=" + cid)) << "of old";
  EXPECT_EQ(avatar(Object{{"ref", Object{{"$link", cid}}}, {"mimeType", "text/html"}}), "");
  EXPECT_EQ(avatar(Object{{"ref", Object{{"$link", "x&y=/../"}}}, {"mimeType", "image/png"}}), "");
  EXPECT_EQ(avatar("https://x.test"), "");
  EXPECT_EQ(profile_of_record(json::Value(), did, k_pds).display_name, "");
}

INSTANTIATE_TEST_SUITE_P(Store, AtprotoSignIn, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoClient, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoLinking, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoCallback, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoSessions, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoCalls, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky
