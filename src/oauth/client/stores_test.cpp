// One contract for the stores: in memory, on SQLite and on PostgreSQL.
#include "oauth/client/stores.h"

#include <gtest/gtest.h>

#include "oauth/client/database_stores.h"
#include "store/testing.h"

namespace latchkey::oauth::client {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Did k_alice = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");

enum class Kind { memory, sqlite, postgres };

class Stores : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::postgres && store::test_postgres().empty())
      GTEST_SKIP() << "LATCHKEY_TEST_POSTGRES is not set; run under tests/postgres.sh";
    if (GetParam() == Kind::memory) {
      states = std::make_unique<MemoryStateStore>();
      sessions = std::make_unique<MemorySessionStore>();
      return;
    }
    const auto engine = GetParam() == Kind::sqlite ? store::Engine::sqlite : store::Engine::postgres;
    db = std::make_unique<store::TestDatabase>(engine, client_migrations());
    const crypto::Sealer sealer(Secret<Bytes>(Bytes(32, 7)));
    states = std::make_unique<DatabaseStateStore>(**db, sealer, rng, clock);
    sessions = std::make_unique<DatabaseSessionStore>(**db, sealer, rng);
  }
  AuthorizationState state() {
    return {.issuer = "https://as.test",
            .redirect_uri = "https://app.test/cb",
            .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng),
            .code_verifier = Secret<std::string>("verifier"),
            .kid = "k1",
            .expected_sub = k_alice,
            .browser = "digest",
            .app_state = "/home",
            .expires_at = clock.now() + minutes(10)};
  }
  SessionData session(std::string id) {
    return {.id = std::move(id),
            .sub = k_alice,
            .issuer = "https://as.test",
            .pds = "https://pds.test",
            .kid = "",
            .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng),
            .access_token = Secret<std::string>("access-1"),
            .refresh_token = Secret<std::string>("refresh-1"),
            .scope = "atproto",
            .expires_at = clock.now() + minutes(15),
            .created_at = clock.now()};
  }
  FakeClock clock;
  SeededRng rng;
  std::unique_ptr<store::TestDatabase> db;
  std::unique_ptr<StateStore> states;
  std::unique_ptr<SessionStore> sessions;
};

TEST_P(Stores, KeepAStateForOneTaker) {
  const auto put = state();
  run(states->put("s1", put));
  EXPECT_FALSE(run(states->take("s2", clock.now()))) << "another state";
  const auto taken = run(states->take("s1", clock.now()));
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->issuer, put.issuer);
  EXPECT_EQ(taken->redirect_uri, put.redirect_uri);
  EXPECT_EQ(taken->dpop_key.public_key(), put.dpop_key.public_key());
  EXPECT_EQ(taken->code_verifier.reveal(), "verifier");
  EXPECT_EQ(taken->kid, "k1");
  EXPECT_EQ(taken->expected_sub, k_alice);
  EXPECT_EQ(taken->browser, "digest");
  EXPECT_EQ(taken->app_state, "/home");
  EXPECT_FALSE(run(states->take("s1", clock.now()))) << "used";
}

TEST_P(Stores, ForgetAStateAtItsEnd) {
  run(states->put("a", state()));
  run(states->put("b", state()));
  clock.advance(minutes(10) - seconds(1));
  EXPECT_TRUE(run(states->take("a", clock.now())));
  clock.advance(seconds(1));
  EXPECT_FALSE(run(states->take("b", clock.now())));
}

TEST_P(Stores, KeepSessions) {
  auto data = session("x");
  data.refresh_token.reset();
  data.expires_at.reset();
  run(sessions->insert(data));
  run(sessions->insert(session("y")));
  const auto x = run(sessions->load("x"));
  ASSERT_TRUE(x);
  EXPECT_EQ(x->version, 1);
  EXPECT_EQ(x->data.id, "x");
  EXPECT_EQ(x->data.sub, k_alice);
  EXPECT_EQ(x->data.pds, "https://pds.test");
  EXPECT_EQ(x->data.access_token.reveal(), "access-1");
  EXPECT_FALSE(x->data.refresh_token);
  EXPECT_FALSE(x->data.expires_at);
  const auto y = run(sessions->load("y"));
  EXPECT_EQ(y->data.refresh_token->reveal(), "refresh-1");
  EXPECT_EQ(y->data.expires_at, clock.now() + minutes(15));
  EXPECT_EQ(y->data.created_at, clock.now());
  EXPECT_EQ(run(sessions->ids_of(k_alice)), (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(run(sessions->ids_of(*Did::parse("did:plc:other"))).empty());
  EXPECT_TRUE(run(sessions->erase("x")));
  EXPECT_FALSE(run(sessions->erase("x")));
  EXPECT_FALSE(run(sessions->load("x")));
}

TEST_P(Stores, ReplaceOnlyWhatTheCallerSaw) {
  run(sessions->insert(session("x")));
  auto next = session("x");
  next.access_token = Secret<std::string>("access-2");
  EXPECT_FALSE(run(sessions->replace(next, 2)));
  EXPECT_TRUE(run(sessions->replace(next, 1)));
  EXPECT_FALSE(run(sessions->replace(next, 1))) << "somebody else was faster";
  const auto stored = run(sessions->load("x"));
  EXPECT_EQ(stored->version, 2);
  EXPECT_EQ(stored->data.access_token.reveal(), "access-2");
  EXPECT_FALSE(run(sessions->replace(session("gone"), 1)));
}

TEST_P(Stores, LeaseToOneOwnerUntilItsEnd) {
  run(sessions->insert(session("x")));
  const auto lease = [&](const char* owner) {
    return run(sessions->lease("x", owner, clock.now(), clock.now() + seconds(30)));
  };
  EXPECT_TRUE(lease("a"));
  EXPECT_TRUE(lease("a")) << "prolonged";
  EXPECT_FALSE(lease("b"));
  clock.advance(seconds(29));
  EXPECT_FALSE(lease("b"));
  clock.advance(seconds(1));
  EXPECT_TRUE(lease("b")) << "its holder died";
  run(sessions->release("x", "a"));  // too late: b keeps it
  EXPECT_FALSE(lease("c"));
  run(sessions->release("x", "b"));
  EXPECT_TRUE(lease("c"));
  EXPECT_FALSE(run(sessions->lease("gone", "a", clock.now(), clock.now() + seconds(30))));
}

INSTANTIATE_TEST_SUITE_P(Stores, Stores, ::testing::Values(Kind::memory, Kind::sqlite, Kind::postgres),
                         [](const auto& info) {
                           return info.param == Kind::memory   ? "memory"
                                  : info.param == Kind::sqlite ? "sqlite"
                                                               : "postgres";
                         });

class Database : public store::EngineTest {};

TEST_P(Database, HoldsNoTokenInTheClear) {
  FakeClock clock;
  SeededRng rng;
  store::TestDatabase db(GetParam(), client_migrations());
  DatabaseSessionStore sessions(*db, crypto::Sealer(Secret<Bytes>(Bytes(32, 7))), rng);
  run(sessions.insert({.id = "x",
                       .sub = k_alice,
                       .issuer = "https://as.test",
                       .pds = "https://pds.test",
                       .kid = "",
                       .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng),
                       .access_token = Secret<std::string>("open-sesame"),
                       .refresh_token = {},
                       .scope = "atproto",
                       .expires_at = {},
                       .created_at = clock.now()}));
  constexpr store::Sql k_data{"SELECT data FROM oauth_client_session"};
  const auto row = run(db->read([&](store::Tx& tx) { return tx.one(k_data); }));
  EXPECT_EQ(as_text(row->blob(0)).find("open-sesame"), std::string::npos);

  DatabaseSessionStore other_key(*db, crypto::Sealer(Secret<Bytes>(Bytes(32, 8))), rng);
  EXPECT_THROW((void)run(other_key.load("x")), std::runtime_error);

  // A row moved to another id does not open there.
  constexpr store::Sql k_move{"UPDATE oauth_client_session SET id = 'y'"};
  run(db->write([&](store::Tx& tx) { tx.exec(k_move); }));
  EXPECT_THROW((void)run(sessions.load("y")), std::runtime_error);
}

TEST_P(Database, ForgetsStatesNobodyCameBackFor) {
  FakeClock clock;
  SeededRng rng;
  store::TestDatabase db(GetParam(), client_migrations());
  DatabaseStateStore states(*db, crypto::Sealer(Secret<Bytes>(Bytes(32, 7))), rng, clock);
  for (const auto* name : {"a", "b", "c"}) {
    run(states.put(name, {.issuer = "https://as.test",
                          .redirect_uri = "https://app.test/cb",
                          .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng),
                          .code_verifier = Secret<std::string>("v"),
                          .kid = "",
                          .expected_sub = {},
                          .browser = "",
                          .app_state = "",
                          .expires_at = clock.now() + minutes(10)}));
    clock.advance(minutes(6));
  }
  constexpr store::Sql k_count{"SELECT count(*) FROM oauth_client_state"};
  EXPECT_EQ(run(db->read([&](store::Tx& tx) { return tx.one(k_count); }))->int64(0), 2)
      << "a ended before c came";
}

INSTANTIATE_TEST_SUITE_P(Store, Database, store::engines(), store::engine_name);

TEST(MemoryStateStore, IsBounded) {
  FakeClock clock;
  SeededRng rng;
  MemoryStateStore states(2);
  const auto put = [&](std::string name) {
    run(states.put(std::move(name), {.issuer = "https://as.test",
                                     .redirect_uri = "https://app.test/cb",
                                     .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, rng),
                                     .code_verifier = Secret<std::string>("v"),
                                     .kid = "",
                                     .expected_sub = {},
                                     .browser = "",
                                     .app_state = "",
                                     .expires_at = clock.now() + minutes(10)}));
    clock.advance(seconds(1));
  };
  put("a");
  put("b");
  put("c");
  EXPECT_FALSE(run(states.take("a", clock.now()))) << "the oldest made room";
  EXPECT_TRUE(run(states.take("b", clock.now())));
  EXPECT_TRUE(run(states.take("c", clock.now())));
}

}  // namespace
}  // namespace latchkey::oauth::client
