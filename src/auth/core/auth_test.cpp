#include "auth/core/auth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "auth/core/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

Task<Answer> fine(Context&) { co_return json_answer(true); }

class AuthTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (!IsSkipped()) app_ = std::make_unique<TestAuth>(GetParam());
  }
  std::unique_ptr<TestAuth> app_;
};
INSTANTIATE_TEST_SUITE_P(Store, AuthTest, store::engines(), store::engine_name);

// --- Starting ---

/// What starting with these plugins throws.
std::string conflict_of(std::vector<Plugin> plugins) {
  try {
    TestAuth app(store::Engine::sqlite, [&](Options& o) { o.plugins = plugins; });
  } catch (const Conflict& e) {
    return e.what();
  }
  return "";
}

TEST(AuthStart, AConflictNamesBothSides) {
  const auto both = [](Plugin a, Plugin b) {
    a.id = "one";
    b.id = "two";
    return conflict_of({a, b});
  };
  EXPECT_EQ(conflict_of({{.id = "one", .endpoints = {post("/sign-in/email", &fine)}}}),
            "the core and plugin one both have route POST /sign-in/email");
  EXPECT_EQ(both({.endpoints = {get("/x/:id", &fine)}}, {.endpoints = {get("/x/:other", &fine)}}),
            "plugin one and plugin two both have route GET /x/:");
  EXPECT_EQ(both({.tables = {{"things", {}}}}, {.tables = {{"things", {}}}}),
            "plugin one and plugin two both have a table things");
  EXPECT_EQ(conflict_of({{.id = "one", .tables = {{"session", {}}}}}),
            "the core and plugin one both have a table session");
  EXPECT_EQ(both({.user_fields = {{.name = "did"}}}, {.user_fields = {{.name = "did"}}}),
            "plugin one and plugin two both have a field user.did");
  EXPECT_EQ(conflict_of({{.id = "one", .user_fields = {{.name = "email"}}}}),
            "the core and plugin one both have a field user.email");
  EXPECT_EQ(both({.cookies = {"state"}}, {.cookies = {"state"}}),
            "plugin one and plugin two both have cookie state");
  EXPECT_EQ(both({.errors = {{400, "ODD", "one"}}}, {.errors = {{400, "ODD", "other"}}}),
            "plugin one and plugin two give the code ODD two meanings");
  EXPECT_EQ(conflict_of({{.id = "one"}, {.id = "one"}}), "plugin one and plugin one both have id one");
}

TEST(AuthStart, SharingAPathWithAnotherMethodOrACodeWithTheSameMeaningIsFine) {
  EXPECT_EQ(conflict_of({{.id = "one", .endpoints = {get("/x", &fine)}, .errors = {{400, "E", "same"}}},
                         {.id = "two", .endpoints = {post("/x", &fine)}, .errors = {{403, "E", "same"}}}}),
            "");
}

TEST(AuthStart, WeakSecretsAndImpossibleOptionsAreRefused) {
  const auto starts = [](std::function<void(Options&)> change) {
    try {
      TestAuth app(store::Engine::sqlite, change);
      return true;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  EXPECT_TRUE(starts([](Options& o) { o.secret = Secret(std::string(32, 'x')); }));
  EXPECT_FALSE(starts([](Options& o) { o.secret = Secret(std::string(31, 'x')); }));
  EXPECT_FALSE(starts([](Options& o) { o.old_secrets = {Secret<std::string>("short")}; }));
  EXPECT_FALSE(starts([](Options& o) { o.base_url = "app.test"; }));
  EXPECT_FALSE(starts([](Options& o) { o.trusted_origins = {"*"}; }));
  EXPECT_FALSE(starts([](Options& o) { o.user.additional_fields = {{.name = "a\" --"}}; }));
  EXPECT_FALSE(starts([](Options& o) { o.tables.user = "session"; }));
  EXPECT_FALSE(starts([](Options& o) {
    o.cookies.name_prefix = CookieOptions::NamePrefix::host;
    o.cookies.cross_subdomain = "app.test";
  }));
}

// --- Tables ---

TEST_P(AuthTest, TablesMayHaveOtherNamesAndGrowWithTheirFields) {
  const auto renamed = [](Options& o) {
    o.tables = {.user = "auth_user",
                .session = "auth_session",
                .account = "auth_account",
                .verification = "auth_verification",
                .rate_limit = "auth_rate"};
  };
  app_->restart(renamed);
  Browser b(*app_);
  b.sign_up("a@app.test");
  app_->restart([&](Options& o) {
    renamed(o);
    o.user.additional_fields = {{.name = "did", .required = true, .unique = true},
                                {.name = "born", .type = FieldType::date},
                                {.name = "tags", .type = FieldType::string_array},
                                {.name = "old", .type = FieldType::boolean},
                                {.name = "age", .type = FieldType::number}};
  });
  EXPECT_TRUE(b.session().find("user")->find("did")->is_null()) << "who was there before has none";
  EXPECT_EQ(b.post("/update-user", json::Object{{"did", "did:plc:a"},
                                                {"born", "2001-02-03T04:05:06.789Z"},
                                                {"tags", json::Array{"x", "y"}},
                                                {"old", true},
                                                {"age", 7}})
                .status,
            200);
  const json::Value user = *b.session().find("user");
  EXPECT_EQ(*user.string_at("did"), "did:plc:a");
  EXPECT_EQ(*user.string_at("born"), "2001-02-03T04:05:06.789Z");
  EXPECT_EQ(user.find("tags")->dump(), R"(["x","y"])");
  EXPECT_EQ(*user.find("old"), json::Value(true));
  EXPECT_EQ(*user.find("age"), json::Value(7));
  run(app_->db->read([&](store::Tx& tx) {
    EXPECT_TRUE(app_->auth->users().find_by(tx, "did", "did:plc:a").has_value());
    EXPECT_FALSE(app_->auth->users().find_by(tx, "did", "did:plc:b").has_value());
  }));
  for (const auto& [name, wrong] :
       json::Object{{"born", "yesterday"}, {"tags", "x"}, {"old", 1}, {"age", 3'000'000'000}})
    EXPECT_EQ(code_of(b.post("/update-user", json::Object{{name, wrong}})), "VALIDATION_ERROR") << name;
}

TEST_P(AuthTest, RequiredAndServerOnlyFields) {
  app_->restart([](Options& o) {
    o.user.additional_fields = {{.name = "team", .required = true},
                                {.name = "role", .input = false},
                                {.name = "plan", .input = false, .default_value = "free"}};
  });
  Browser b(*app_);
  const auto sign_up = [&](json::Object more) {
    json::Object body{{"name", "n"}, {"email", "a@app.test"}, {"password", "password-1234"}};
    for (const auto& [k, v] : more) body.set(k, v);
    return b.post("/sign-up/email", body);
  };
  EXPECT_EQ(sign_up({}).body, R"({"message":"team is required","code":"MISSING_FIELD"})");
  EXPECT_EQ(code_of(sign_up({{"team", "t"}, {"role", "admin"}})), "FIELD_NOT_ALLOWED")
      << "an attacker names his own role";
  EXPECT_EQ(sign_up({{"team", "t"}, {"plan", "gold"}}).status, 200);
  EXPECT_EQ(*b.session().find("user")->string_at("plan"), "free") << "a default is applied silently";
}

TEST_P(AuthTest, WhatBelongsToAUserGoesWithIt) {
  const Plugin things{.id = "things",
                      .tables = {{"thing",
                                  {{.name = "userId", .required = true, .index = true, .references = "user"},
                                   {.name = "made", .type = FieldType::date, .required = true}}}}};
  app_->restart([&](Options& o) {
    o.plugins = {things};
    o.user.delete_user.enabled = true;
  });
  Browser b(*app_);
  const std::string id = *b.sign_up("a@app.test").find("user")->string_at("id");
  static constexpr store::Sql k_add{"INSERT INTO thing (id, \"userId\", made) VALUES ('t', ?1, ?2)"};
  static constexpr store::Sql k_count{"SELECT count(*) FROM thing"};
  static constexpr store::Sql k_made{"SELECT made FROM thing"};
  run(app_->db->write([&](store::Tx& tx) { tx.exec(k_add, id, store::Date(app_->clock.now())); }));
  run(app_->db->read(
      [&](store::Tx& tx) { EXPECT_EQ(tx.one(k_made)->date(0), store::Date(app_->clock.now()).at); }));
  EXPECT_EQ(b.post("/delete-user", json::Object{}).status, 200);
  run(app_->db->read([&](store::Tx& tx) { EXPECT_EQ(tx.one(k_count)->int64(0), 0); }));
}

// --- Aggregates ---

TEST_P(AuthTest, AttackIdentityTheft_AnIdentityBelongsToOneUser) {
  Browser a(*app_), b(*app_);
  const std::string first = *a.sign_up("a@app.test").find("user")->string_at("id"),
                    second = *b.sign_up("b@app.test").find("user")->string_at("id");
  const auto link = [&](const std::string& user) -> std::string {
    const auto linked = run(app_->db->write([&](store::Tx& tx) {
      return app_->auth->accounts().link(
          tx, {.account_id = "did:plc:x", .provider_id = "atproto", .user_id = user}, app_->clock.now());
    }));
    return linked ? "linked" : linked.error().code;
  };
  EXPECT_EQ(link(first), "linked");
  EXPECT_EQ(link(second), "SOCIAL_ACCOUNT_ALREADY_LINKED");
  EXPECT_EQ(link(first), "SOCIAL_ACCOUNT_ALREADY_LINKED");
}

TEST_P(AuthTest, AVerificationIsSpentOnceAndTheNewestCounts) {
  const auto& v = app_->auth->verifications();
  const Time now = app_->clock.now();
  const auto take = [&](Time at) {
    return run(app_->db->write([&](store::Tx& tx) { return v.take(tx, "code", at); }));
  };
  run(app_->db->write([&](store::Tx& tx) {
    v.put(tx, "code", "old", now + 60s, now);
    v.put(tx, "code", "new", now + 60s, now);
  }));
  EXPECT_EQ(take(now + 59s)->value, "new");
  EXPECT_FALSE(take(now + 59s).has_value()) << "the older one is not what is left";
  run(app_->db->write([&](store::Tx& tx) { v.put(tx, "code", "x", now + 60s, now); }));
  EXPECT_FALSE(take(now + 60s).has_value()) << "expired";
}

TEST_P(AuthTest, CleaningDropsOnlyWhatIsOver) {
  Browser a(*app_), b(*app_);
  a.sign_up("a@app.test");
  app_->clock.advance(1h);
  b.sign_up("b@app.test");
  app_->clock.advance(7 * 24h - 1h);
  run(app_->auth->clean());
  static constexpr store::Sql k_count{"SELECT count(*) FROM session"};
  run(app_->db->read([&](store::Tx& tx) { EXPECT_EQ(tx.one(k_count)->int64(0), 1); }));
}

TEST_P(AuthTest, AnIssuerColumnOfAnotherVersionIsFilled) {
  static constexpr store::Sql k_issuer{"SELECT \"issuer\" FROM \"account\""};
  run(app_->db->write([](store::Tx& tx) {
    tx.script("ALTER TABLE \"account\" ADD COLUMN \"issuer\" TEXT NOT NULL DEFAULT ''");
  }));
  app_->restart();
  Browser(*app_).sign_up("a@app.test");
  run(app_->db->read([&](store::Tx& tx) { EXPECT_EQ(tx.one(k_issuer)->text(0), "local:credential"); }));
}

// --- Races ---

/// What fn(i) returned in each of eight threads.
template <class F>
auto together(F fn) {
  std::vector<decltype(fn(0))> results(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&results, &fn, i] { results[static_cast<std::size_t>(i)] = fn(i); });
  for (auto& t : threads) t.join();
  return results;
}

TEST_P(AuthTest, AttackRace_OfManySignUpsWithOneAddressOneWins) {
  const auto statuses = together([&](int) {
    return Browser(*app_)
        .post("/sign-up/email",
              json::Object{{"name", "n"}, {"email", "a@app.test"}, {"password", "password-1234"}})
        .status;
  });
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(std::ranges::count(statuses, 422), 7);
}

TEST_P(AuthTest, AttackRace_AResetLinkIsSpentOnce) {
  Browser b(*app_);
  b.sign_up("a@app.test");
  b.post("/request-password-reset", json::Object{{"email", "a@app.test"}});
  const std::string token = app_->mails.back().mail.token;
  const auto statuses = together([&](int i) {
    return Browser(*app_)
        .post("/reset-password",
              json::Object{{"newPassword", "password-" + std::to_string(1000 + i)}, {"token", token}})
        .status;
  });
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(std::ranges::count(statuses, 400), 7);
}

// --- Hooks ---

TEST_P(AuthTest, RecordHooksSeeAndRefuse) {
  std::vector<std::string> seen;
  app_->restart([&](Options& o) {
    o.records.user.before_create = [](store::Tx&, User& u) -> Result<void, Fault> {
      if (u.email.ends_with("@evil.test")) return std::unexpected(Fault(403, "NOT_HERE", "Not here"));
      u.name = "from the hook";
      return {};
    };
    o.records.session.after_create = [&](store::Tx&, const Session& s) -> Result<void, Fault> {
      seen.push_back("session of " + s.user_id);
      return {};
    };
    o.records.session.before_delete = [](store::Tx&, const Session&) -> Result<void, Fault> {
      return std::unexpected(Fault(403, "KEPT", "Kept"));
    };
    o.records.account.before_delete = o.records.account.after_delete = {};
  });
  Browser evil(*app_), b(*app_);
  EXPECT_EQ(*evil.sign_up("x@evil.test").string_at("code"), "NOT_HERE");
  EXPECT_TRUE(seen.empty()) << "nothing of it stays";
  const json::Value in = b.sign_up("a@app.test");
  EXPECT_EQ(*in.find("user")->string_at("name"), "from the hook");
  EXPECT_EQ(seen, std::vector<std::string>{"session of " + *in.find("user")->string_at("id")});
  EXPECT_EQ(code_of(b.post("/revoke-other-sessions", json::Object{})), "");
  EXPECT_EQ(code_of(b.post("/revoke-sessions", json::Object{})), "KEPT");
  EXPECT_FALSE(b.session().is_null());
}

Task<Result<void, Fault>> closed(Context&) { co_return std::unexpected(Fault(403, "CLOSED", "Closed")); }
Task<void> stamped(Context& c, web::Response& r) {
  r.header("x-started", c.started() ? "yes" : "no");
  co_return;
}

TEST_P(AuthTest, RequestHooksAreAskedByPath) {
  app_->restart([](Options& o) {
    o.before = {{.matches = [](const Context& c) { return c.path == "/sign-in/email"; }, .run = &closed}};
    o.after = {{.run = &stamped}};
  });
  Browser b(*app_);
  const auto up = b.post("/sign-up/email",
                         json::Object{{"name", "n"}, {"email", "a@app.test"}, {"password", "password-1234"}});
  EXPECT_EQ(up.headers.get("x-started"), "yes");
  const auto in = b.post("/sign-in/email", json::Object{});
  EXPECT_EQ(code_of(in), "CLOSED") << "ahead of the shape of the body";
  EXPECT_EQ(in.headers.get("x-started"), "no");
}

// --- For pages of the program ---

TEST_P(AuthTest, APageAsksWhoIsThereAndSignsOut) {
  Browser b(*app_);
  b.sign_up("a@app.test");
  auto request = web::Request::make("GET", "https://app.test/page");
  EXPECT_FALSE(run(app_->auth->session_of(request)).has_value());
  const auto& [name, value] = *b.jar.begin();
  request.headers.add("cookie", name + "=" + value);
  const auto who = run(app_->auth->session_of(request));
  ASSERT_TRUE(who.has_value());
  EXPECT_EQ(who->user.email, "a@app.test");
  const auto out = run(app_->auth->sign_out(request, web::Response::text("bye")));
  EXPECT_EQ(out.headers.count("set-cookie"), 3u);
  EXPECT_FALSE(run(app_->auth->session_of(request)).has_value()) << "the row is gone, not only the cookie";
}

TEST_P(AuthTest, CookiesOfAnEarlierSecretStillCount) {
  Browser b(*app_);
  b.sign_up("a@app.test");
  const auto rotated = [](Options& o) {
    o.old_secrets = {o.secret};
    o.secret = Secret(std::string(32, 'n'));
  };
  app_->restart(rotated);
  EXPECT_FALSE(b.session().is_null());
  app_->restart([&](Options& o) {
    rotated(o);
    o.old_secrets.clear();
  });
  EXPECT_TRUE(b.session().is_null());
}

}  // namespace
}  // namespace latchkey::auth
