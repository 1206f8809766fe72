// Rotation of a confidential client's keys: a session is served by the key it began with, as long as that is
// there.
#include "oauth/client/client_world.h"
#include "oauth/client/database_stores.h"
#include "oauth/jose/jwt.h"
#include "store/testing.h"

namespace latchkey::oauth::client {
namespace {

using namespace testing;

struct Keys : World {
  Keys() : World(metadata({first})) { server.client_keys.emplace("k1", first.key.public_key()); }
  static ClientKey key(std::string kid, std::uint64_t seed) {
    SeededRng rng(seed);
    return {std::move(kid), crypto::PrivateKey::generate(crypto::Curve::p256, rng)};
  }
  static ClientMetadata metadata(std::vector<ClientKey> keys) {
    return *ClientMetadata::web("https://app.test/client.json", {"https://app.test/cb"}, "atproto",
                                std::move(keys));
  }
  static inline const ClientKey first = key("k1", 5), second = key("k2", 6);

  std::string kid_of_last_assertion() const {
    for (auto r = net.requests.rbegin(); r != net.requests.rend(); ++r)
      if (const auto assertion =
              r->method == "POST" ? single(*parse_form(r->body), "client_assertion") : std::nullopt)
        return *json::Value(parse_compact(*assertion)->header).string_at("kid");
    return {};
  }
};

TEST(KeyRotation, AnOldKeyServesTheSessionsThatBeganWithIt) {
  Keys w;
  const auto old_id = w.session().id();
  OauthClient rotated({.metadata = Keys::metadata({Keys::second, Keys::first})}, w.parts());
  w.server.client_keys.emplace("k2", Keys::second.key.public_key());
  auto old_session = *run(rotated.restore(old_id));
  EXPECT_TRUE(run(old_session.refresh()));
  EXPECT_EQ(w.kid_of_last_assertion(), "k1");
  run(old_session.sign_out());
  EXPECT_EQ(w.server.revoked.size(), 1U);
  EXPECT_EQ(w.kid_of_last_assertion(), "k1");

  const auto started = run(rotated.authorize("alice.test", {}));
  ASSERT_TRUE(started) << started.error().detail;
  EXPECT_EQ(w.kid_of_last_assertion(), "k2") << "new sessions begin with the first key";
  auto signed_in = run(rotated.callback(w.answer(*started), ""));
  ASSERT_TRUE(signed_in) << signed_in.error().detail;
  EXPECT_TRUE(run(signed_in->session.refresh()));
  EXPECT_EQ(w.kid_of_last_assertion(), "k2");
}

TEST(KeyRotation, ASignInUnderWaySurvivesARotation) {
  Keys w;
  const auto started = w.start();
  OauthClient rotated({.metadata = Keys::metadata({Keys::second, Keys::first})}, w.parts());
  EXPECT_TRUE(run(rotated.callback(w.answer(started), "")));
  EXPECT_EQ(w.kid_of_last_assertion(), "k1");
}

TEST(KeyRotation, AttackLostKey_AKeyThatWasRemovedServesNobody) {
  Keys w;
  const auto session = w.session();
  const auto started = w.start();
  OauthClient removed({.metadata = Keys::metadata({Keys::second})}, w.parts());
  w.net.requests.clear();
  EXPECT_EQ(run(removed.callback(w.answer(started), "")).error().code, Error::session_ended);
  auto restored = *run(removed.restore(session.id()));
  const auto fault = run(restored.refresh()).error();
  EXPECT_EQ(fault.code, Error::session_ended);
  EXPECT_NE(fault.detail.find("k1"), std::string::npos) << "the operator reads which key: " << fault.detail;
  EXPECT_EQ(w.net.to("https://as.test/oauth/token").size(), 0U) << "with another key nothing is tried";
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(run(removed.restore(session.id())).error().code, Error::session_ended);
}

TEST(KeyRotation, ARemovedKeyEndsTheSessionOnlyWhenItsTokenDoes) {
  Keys w;
  const auto id = w.session().id();
  OauthClient removed({.metadata = Keys::metadata({Keys::second})}, w.parts());
  auto session = *run(removed.restore(id));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
  w.clock.advance(std::chrono::seconds(871));
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {})).error().code, Error::session_ended);
  EXPECT_EQ(w.stored_sessions(), 0U);
}

TEST(KeyRotation, AServerThatDoesNotKnowTheKeyEndsNoSession) {
  Keys w;
  auto session = w.session();
  const auto known = w.server.client_keys;
  w.server.client_keys = {{"k2", Keys::second.key.public_key()}};  // our document could not be read, say
  const auto fault = run(session.refresh()).error();
  EXPECT_EQ(fault.code, Error::grant_refused);
  EXPECT_EQ(fault.oauth_error, "invalid_client");
  EXPECT_EQ(w.stored_sessions(), 1U);
  w.server.client_keys = known;
  EXPECT_TRUE(run(session.refresh()));
}

TEST(KeyRotation, PublicClientsHaveNone) {
  World w;
  auto session = w.session();
  EXPECT_TRUE(run(session.refresh()));
  for (const auto& r : w.net.requests) EXPECT_EQ(r.body.find("client_assertion"), std::string::npos);
}

class KeyCount : public store::EngineTest {};

TEST_P(KeyCount, SaysWhichKeysAreInUse) {
  Keys w;
  store::TestDatabase db(GetParam(), client_migrations());
  DatabaseSessionStore sessions(*db, crypto::Sealer(Secret<Bytes>(Bytes(32, 7))), w.rng);
  auto data = run(w.sessions.load(w.session().id()))->data;
  for (const auto& [id, kid] : {std::pair{"a", "k1"}, {"b", "k2"}, {"c", "k1"}, {"d", ""}}) {
    data.id = id;
    data.kid = kid;
    run(sessions.insert(data));
  }
  using Count = std::map<std::string, std::size_t>;
  EXPECT_EQ(run(sessions.count_by_key()), (Count{{"", 1}, {"k1", 2}, {"k2", 1}}));
  run(sessions.erase("b"));
  EXPECT_EQ(run(sessions.count_by_key()), (Count{{"", 1}, {"k1", 2}}));
}

INSTANTIATE_TEST_SUITE_P(Store, KeyCount, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth::client
