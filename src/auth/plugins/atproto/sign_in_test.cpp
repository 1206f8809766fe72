#include <barrier>
#include <future>
#include <stdexcept>

#include "auth/plugins/atproto/admission.h"
#include "auth/plugins/atproto/stores.h"
#include "auth/plugins/atproto/testing.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using json::Object;
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

INSTANTIATE_TEST_SUITE_P(Store, AtprotoSignIn, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, AtprotoClient, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky
