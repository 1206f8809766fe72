// Our OAuth client against our own server: every kind of client, what gets lost on the way, and what several
// processes do to one session.
#include <gtest/gtest.h>

#include <algorithm>

#include "dev/world/world.h"
#include "oauth/client/client.h"
#include "oauth/client/database_stores.h"

namespace latchkey::dev::world {
namespace {

namespace client = oauth::client;
using client::ClientMetadata;
using client::OauthClient;
using std::chrono::seconds;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_scope = "atproto transition:generic";

client::ClientKey key(std::string kid, std::uint64_t seed) {
  SeededRng rng(seed);
  return {std::move(kid), crypto::PrivateKey::generate(crypto::Curve::p256, rng)};
}
ClientMetadata loopback() { return *ClientMetadata::loopback({"http://127.0.0.1:4321/callback"}, k_scope); }
ClientMetadata web_app(std::vector<client::ClientKey> keys) {
  return *ClientMetadata::web("https://app.example/client-metadata.json", {"https://app.example/callback"},
                              k_scope, std::move(keys));
}

/// A process between the server's answer and its own database.
class Mortal final : public client::SessionStore {
 public:
  explicit Mortal(client::SessionStore& store) : store_(store) {}
  bool dead = false;
  Task<void> insert(client::SessionData data) override { return store_.insert(std::move(data)); }
  Task<std::optional<client::StoredSession>> load(std::string id) override {
    return store_.load(std::move(id));
  }
  Task<bool> replace(client::SessionData data, std::int64_t version) override {
    if (dead) throw std::runtime_error("the process is gone");
    co_return co_await store_.replace(std::move(data), version);
  }
  Task<bool> erase(std::string id) override { return store_.erase(std::move(id)); }
  Task<std::vector<std::string>> ids_of(Did sub) override { return store_.ids_of(std::move(sub)); }
  Task<bool> lease(std::string id, std::string owner, Time now, Time until) override {
    return store_.lease(std::move(id), std::move(owner), now, until);
  }
  Task<void> release(std::string id, std::string owner) override {
    return store_.release(std::move(id), std::move(owner));
  }

 private:
  client::SessionStore& store_;
};

class OauthClientWorld : public store::EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    w.emplace(WorldOptions{.engine = GetParam()});
    store::migrate(w->db(), client::client_migrations());
    const crypto::Sealer sealer(Secret<Bytes>(Bytes(32, 9)));
    resolver.emplace(identity::ResolverOptions{.plc_url = "https://plc.test", .development = true},
                     w->network, nullptr, w->clock);
    states.emplace(w->db(), sealer, w->rng, w->clock);
    sessions.emplace(w->db(), sealer, w->rng);
    mortal.emplace(*sessions);
  }
  std::unique_ptr<OauthClient> app(const ClientMetadata& metadata) {
    if (metadata.confidential() || metadata.client_id().starts_with("https:"))
      w->network.document(metadata.client_id(), metadata.document());
    return std::make_unique<OauthClient>(
        client::ClientOptions{.metadata = metadata},
        client::ClientParts{w->network, *resolver, w->clock, w->rng, *states, *mortal});
  }
  /// The browser's part: from the app's redirect to its callback.
  FormFields approve(const std::string& url) {
    Browser browser(*w);
    Page page = browser.get(url);
    page = page.heading() == "Sign in" ? browser.submit(page, "/auth/email", {{"email", k_alice}})
                                       : browser.submit(page, "/auth/send");  // the request named the account
    page = browser.follow_all(std::move(page));
    page = browser.follow_all(browser.submit(page, "/auth/verify", {{"code", w->code(k_alice)}}));
    // A confidential client that was approved before is not asked for again.
    if (page.status == 200) page = browser.submit(page, "/auth/consent", {{"action", "approve"}});
    const auto back = Url::parse(page.location());
    EXPECT_TRUE(back && back->query) << page.body;
    return *parse_form(*back->query);
  }
  client::SignedIn sign_in(OauthClient& c, std::string input) {
    w->clock.advance(std::chrono::hours(1));  // past the limits on mails
    const auto started = w->run(c.authorize(std::move(input), {.browser = "cookie"}));
    EXPECT_TRUE(started) << started.error().message << started.error().detail;
    auto signed_in = w->run(c.callback(approve(started->url), "cookie"));
    EXPECT_TRUE(signed_in) << signed_in.error().message << signed_in.error().detail;
    // Handles of this server are answered by it.
    if (signed_in->handle)
      w->network.site("https://" + signed_in->handle->str(),
                      [this](web::Request r) { return w->routes->handle(std::move(r)); });
    return *std::move(signed_in);
  }
  client::Session session(OauthClient& c) { return sign_in(c, w->options.pds).session; }
  int status(client::Session s) {
    const auto answer = w->run(s.call("GET", "com.atproto.server.getSession", {}));
    return answer ? answer->status : 0;
  }
  std::string handle_of(const Did& did) {
    return w->run(resolver->resolve_did(did, identity::Cached::refresh))->handle()->str();
  }

  std::optional<World> w;
  std::optional<identity::Resolver> resolver;
  std::optional<client::DatabaseStateStore> states;
  std::optional<client::DatabaseSessionStore> sessions;
  std::optional<Mortal> mortal;
};

TEST_P(OauthClientWorld, EveryKindOfClientSignsInFromEveryStart) {
  for (const auto& metadata : {loopback(), web_app({}), web_app({key("k1", 1)})}) {
    const auto c = app(metadata);
    const Did did = sign_in(*c, w->options.pds).session.did();
    const std::string handle = handle_of(did);
    w->network.site("https://" + handle, [this](web::Request r) { return w->routes->handle(std::move(r)); });
    for (const auto& start : {handle, did.str(), w->options.pds}) {
      const auto signed_in = sign_in(*c, start);
      EXPECT_EQ(signed_in.session.did(), did) << start;
      ASSERT_TRUE(signed_in.handle) << start;
      EXPECT_EQ(signed_in.handle->str(), handle) << start;
      EXPECT_EQ(signed_in.session.issuer(), w->options.pds);
      EXPECT_EQ(status(signed_in.session), 200) << metadata.client_id();
      auto refreshed = signed_in.session;
      EXPECT_TRUE(w->run(refreshed.refresh()));
      EXPECT_EQ(status(refreshed), 200);
    }
    EXPECT_EQ(w->run(c->sessions_of(did)).size(), 4U);
    for (const auto& id : w->run(c->sessions_of(did))) w->run(w->run(c->restore(id))->sign_out());
  }
}

struct Words final : BodySource {
  std::string text;
  std::size_t at = 0;
  int rewinds = 0;
  explicit Words(std::string t) : text(std::move(t)) {}
  std::uint64_t size() const override { return text.size(); }
  bool rewind() override { return at = 0, ++rewinds > 0; }
  std::optional<std::size_t> read(std::span<std::uint8_t> out) override {
    const auto n = std::min(out.size(), text.size() - at);
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), n, out.begin());
    at += n;
    return n;
  }
};
struct Collector final : BodySink {
  std::string got;
  bool write(BytesView piece) override { return got.append(as_text(piece)), true; }
};

TEST_P(OauthClientWorld, WritesUploadsAndDownloads) {
  const auto c = app(loopback());
  auto s = session(*c);
  const json::Object record{{"repo", s.did().str()},
                            {"collection", "com.example.note"},
                            {"record", json::Object{{"$type", "com.example.note"}, {"text", "hello"}}}};
  const auto source = std::make_shared<Words>(json::Value(record).dump());
  const auto made = w->run(s.call("POST", "com.atproto.repo.createRecord",
                                  {.content_type = "application/json", .source = source}));
  ASSERT_TRUE(made) << made.error().detail;
  ASSERT_EQ(made->status, 200) << made->body;
  EXPECT_GE(source->rewinds, 1);

  const auto sink = std::make_shared<Collector>();
  const auto repo =
      w->run(s.call("GET", "com.atproto.sync.getRepo", {.params = {{"did", s.did().str()}}, .sink = sink}));
  ASSERT_TRUE(repo) << repo.error().detail;
  EXPECT_EQ(repo->status, 200);
  EXPECT_EQ(repo->body, "");
  EXPECT_NE(sink->got.find("hello"), std::string::npos) << "the whole repository went through the sink";
  const auto limited =
      w->run(s.call("GET", "com.atproto.sync.getRepo",
                    {.params = {{"did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}}, .sink = sink}));
  EXPECT_EQ(limited->status, 400);
  EXPECT_NE(limited->body.find("RepoNotFound"), std::string::npos) << limited->body;
}

TEST_P(OauthClientWorld, SigningOutRevokesAtTheServer) {
  for (const auto& metadata : {loopback(), web_app({key("k1", 1)})}) {
    const auto c = app(metadata);
    auto s = session(*c);
    const auto stolen = w->run(sessions->load(s.id()))->data;
    w->run(s.sign_out());
    EXPECT_EQ(w->run(c->restore(s.id())).error().code, client::Error::session_ended);
    w->run(sessions->insert(stolen));  // a copy somebody kept
    auto copy = *w->run(c->restore(stolen.id));
    EXPECT_EQ(status(copy), 0) << "neither its access token";
    EXPECT_EQ(w->run(copy.refresh()).error().code, client::Error::session_ended) << "nor its refresh token";
  }
}

TEST_P(OauthClientWorld, ALostAnswerIsGivenAgainWithinTheGrace) {
  const auto c = app(loopback());
  for (const auto& [wait, works] : {std::pair{seconds(29), true}, std::pair{seconds(31), false}}) {
    auto s = session(*c);
    EXPECT_EQ(status(s), 200);
    w->network.losing_answers.insert(w->options.pds);
    EXPECT_EQ(w->run(s.refresh()).error().code, client::Error::unreachable);
    w->network.losing_answers.clear();
    w->clock.advance(wait);
    const auto again = w->run(s.refresh());
    EXPECT_EQ(again.has_value(), works) << wait.count();
    if (works)
      EXPECT_EQ(status(s), 200);
    else
      EXPECT_EQ(again.error().code, client::Error::session_ended);
  }
}

TEST_P(OauthClientWorld, AnotherProcessTakesOverFromOneThatDied) {
  const auto c = app(web_app({key("k1", 1)}));
  auto dying = session(*c);
  mortal->dead = true;
  EXPECT_THROW((void)w->run(dying.refresh()), std::runtime_error);
  mortal->dead = false;
  w->clock.advance(seconds(20));
  const auto other = app(web_app({key("k1", 1)}));
  auto next = *w->run(other->restore(dying.id()));
  const auto recovered = w->run(next.refresh());
  EXPECT_TRUE(recovered) << recovered.error().detail;
  EXPECT_EQ(status(next), 200);
  w->clock.advance(std::chrono::minutes(5));
  EXPECT_TRUE(w->run(next.refresh())) << "and goes on";
}

Task<void> refresh_into(client::Session s, std::vector<bool>* out) {
  const auto result = co_await s.refresh();
  out->push_back(result.has_value());
}

TEST_P(OauthClientWorld, AttackParallelRefresh_ManyAtOnceInTwoProcesses) {
  const auto c = app(loopback());
  const auto other = app(loopback());
  const auto s = session(*c);
  const auto copy = *w->run(other->restore(s.id()));
  w->network.log.clear();
  w->network.delays[w->options.pds] = std::chrono::milliseconds(100);
  std::vector<bool> results;
  for (int i = 0; i < 10; ++i) w->executor.post([&, i] { spawn(refresh_into(i % 2 ? s : copy, &results)); });
  w->executor.run_until([&] { return results.size() == 10; });
  EXPECT_EQ(std::count(results.begin(), results.end(), true), 10);
  EXPECT_EQ(std::count(w->network.log.begin(), w->network.log.end(), "POST https://pds.test/oauth/token"), 1);
  EXPECT_EQ(w->run(sessions->load(s.id()))->version, 2);
  EXPECT_EQ(status(s), 200);
  EXPECT_EQ(status(copy), 200);
}

TEST_P(OauthClientWorld, KeysRotateWhileSessionsLive) {
  const auto c = app(web_app({key("k1", 1)}));
  const auto id = session(*c).id();
  const auto rotated = app(web_app({key("k2", 2), key("k1", 1)}));
  w->clock.advance(std::chrono::hours(1));  // past what the server remembers of the document
  auto old_session = *w->run(rotated->restore(id));
  EXPECT_TRUE(w->run(old_session.refresh()));
  EXPECT_EQ(status(old_session), 200);
  auto new_session = session(*rotated);
  EXPECT_TRUE(w->run(new_session.refresh()));

  const auto removed = app(web_app({key("k2", 2)}));
  auto ended = *w->run(removed->restore(id));
  EXPECT_EQ(w->run(ended.refresh()).error().code, client::Error::session_ended);
  auto stays = *w->run(removed->restore(new_session.id()));
  EXPECT_TRUE(w->run(stays.refresh()));
}

TEST_P(OauthClientWorld, AttackPlantedCallback_InAnotherBrowser) {
  const auto c = app(loopback());
  const auto started = w->run(c->authorize(w->options.pds, {.browser = "cookie of the attacker"}));
  const auto params = approve(started->url);
  EXPECT_EQ(w->run(c->callback(params, "cookie of the victim")).error().code, client::Error::unknown_state);
  EXPECT_EQ(w->run(c->callback(params, "cookie of the attacker")).error().code, client::Error::unknown_state)
      << "and it is spent";
}

INSTANTIATE_TEST_SUITE_P(Store, OauthClientWorld, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::dev::world
