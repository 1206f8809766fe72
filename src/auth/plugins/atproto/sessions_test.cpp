#include "auth/plugins/atproto/profile.h"
#include "auth/plugins/atproto/testing.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using json::Object;
using oauth::client::testing::json_answer;

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

INSTANTIATE_TEST_SUITE_P(Store, AtprotoSessions, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky
