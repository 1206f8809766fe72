#include "auth/plugins/atproto/stores.h"

#include "auth/plugins/atproto/testing.h"

namespace latchkey::auth::bsky {
namespace {

using namespace std::chrono_literals;
using oauth::client::AuthorizationState;
using oauth::client::SessionData;

/// Two processes over one database.
class AtprotoStores : public AtprotoTest {
 protected:
  struct Process {
    Process(TestAuth& app)
        : vault({Secret<std::string>("a-secret-of-tests-0123456789abcdef")}, app.rng),
          states(*app.db, vault, app.rng, app.clock),
          sessions(*app.db, vault, app.rng, app.clock) {}
    Vault vault;
    States states;
    Sessions sessions;
  };
  void SetUp() override {
    AtprotoTest::SetUp();
    if (IsSkipped()) return;
    a_.emplace(*app_);
    b_.emplace(*app_);
    Browser eve = other_user();
    user_ = user_id(eve);
  }
  SessionData data(std::string id, const char* did = k_alice) {
    return {.id = std::move(id),
            .sub = *Did::parse(did),
            .issuer = "https://as.test",
            .pds = k_pds,
            .kid = "k1",
            .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, app_->rng),
            .access_token = Secret<std::string>("access"),
            .refresh_token = Secret<std::string>("refresh"),
            .scope = "atproto",
            .expires_at = app_->clock.now() + 900s,
            .created_at = app_->clock.now()};
  }
  void keep(const SessionData& session) {
    run(a_->sessions.insert(session));
    const auto row = a_->sessions.sealed(session.id);
    run(app_->db->write([&](store::Tx& tx) { return a_->sessions.keep(tx, row, user_, app_->clock.now()); }));
    a_->sessions.kept(session.id);
  }
  Time now() const { return app_->clock.now(); }
  std::optional<Process> a_, b_;
  std::string user_;
};

TEST_P(AtprotoStores, ASessionIsInOneProcessUntilItHasItsRow) {
  const auto session = data("s1");
  run(a_->sessions.insert(session));
  EXPECT_TRUE(run(a_->sessions.load("s1")));
  EXPECT_FALSE(run(b_->sessions.load("s1")));
  keep(session);
  const auto there = run(b_->sessions.load("s1"));
  ASSERT_TRUE(there);
  EXPECT_EQ(there->version, 1);
  EXPECT_EQ(there->data.access_token.reveal(), "access");
  EXPECT_EQ(there->data.refresh_token->reveal(), "refresh");
  EXPECT_EQ(there->data.dpop_key.public_key(), session.dpop_key.public_key());
  EXPECT_EQ(there->data.expires_at, session.expires_at);
  EXPECT_EQ(run(b_->sessions.ids_of(*Did::parse(k_alice))), std::vector<std::string>{"s1"});
  EXPECT_TRUE(run(b_->sessions.erase("s1")));
  EXPECT_FALSE(run(a_->sessions.load("s1")));
  EXPECT_FALSE(run(a_->sessions.erase("s1")));
}

TEST_P(AtprotoStores, AReplacementSucceedsWhatItSaw) {
  auto session = data("s1");
  keep(session);
  session.access_token = Secret<std::string>("of b");
  EXPECT_TRUE(run(b_->sessions.replace(session, 1)));
  session.access_token = Secret<std::string>("of a");
  EXPECT_FALSE(run(a_->sessions.replace(session, 1)));
  const auto there = run(a_->sessions.load("s1"));
  EXPECT_EQ(there->version, 2);
  EXPECT_EQ(there->data.access_token.reveal(), "of b");
  EXPECT_FALSE(run(a_->sessions.replace(data("s2"), 1))) << "no such row";
}

TEST_P(AtprotoStores, ALeaseIsOneProcesssUntilItEnds) {
  keep(data("s1"));
  EXPECT_TRUE(run(a_->sessions.lease("s1", "a", now(), now() + 30s)));
  EXPECT_TRUE(run(a_->sessions.lease("s1", "a", now(), now() + 30s))) << "again";
  EXPECT_FALSE(run(b_->sessions.lease("s1", "b", now(), now() + 30s)));
  EXPECT_TRUE(run(b_->sessions.replace(data("s1"), 1))) << "a lease is no lock on the row";
  EXPECT_FALSE(run(b_->sessions.lease("s1", "b", now() + 29s, now() + 60s)));
  EXPECT_TRUE(run(b_->sessions.lease("s1", "b", now() + 30s, now() + 60s))) << "its process died";
  run(a_->sessions.release("s1", "a"));
  EXPECT_FALSE(run(a_->sessions.lease("s1", "a", now() + 31s, now() + 60s))) << "not a's to give back";
  run(b_->sessions.release("s1", "b"));
  EXPECT_TRUE(run(a_->sessions.lease("s1", "a", now(), now() + 30s)));
  EXPECT_FALSE(run(a_->sessions.lease("s2", "a", now(), now() + 30s))) << "no such row";
  EXPECT_EQ(run(a_->sessions.load("s1"))->version, 2) << "leases are no versions";
}

TEST_P(AtprotoStores, AttackSwappedRows_WhatIsSealedOpensInItsOwnRow) {
  keep(data("s1", k_alice));
  keep(data("s2", k_bob));
  constexpr store::Sql k_swap{R"(UPDATE "bskySession" SET "session" = ?1)"};
  run(app_->db->write([&](store::Tx& tx) { return tx.exec(k_swap, stored(k_alice)); }));
  EXPECT_TRUE(run(a_->sessions.load("s1")));
  EXPECT_FALSE(run(a_->sessions.load("s2")));
}

TEST_P(AtprotoStores, AttackOtherSecret_NothingOpens) {
  keep(data("s1"));
  const Vault vault({Secret<std::string>("another-secret-0123456789abcdef-0")}, app_->rng);
  Sessions other(*app_->db, vault, app_->rng, app_->clock);
  EXPECT_FALSE(run(other.load("s1")));
}

TEST_P(AtprotoStores, WhatIsPutAsideIsTakenOnce) {
  keep(data("s1", k_alice));
  keep(data("s2", k_bob));
  EXPECT_TRUE(run(app_->db->write(
      [&](store::Tx& tx) { return a_->sessions.put_aside(tx, user_, std::nullopt, now()); })));
  EXPECT_FALSE(run(app_->db->write(
      [&](store::Tx& tx) { return a_->sessions.put_aside(tx, user_, std::nullopt, now()); })));
  EXPECT_FALSE(run(b_->sessions.load("s1")));
  auto ids = run(b_->sessions.take_put_aside());
  std::ranges::sort(ids);
  EXPECT_EQ(ids, (std::vector<std::string>{"s1", "s2"}));
  EXPECT_TRUE(run(a_->sessions.take_put_aside()).empty());
  EXPECT_EQ(run(b_->sessions.load("s1"))->data.refresh_token->reveal(), "refresh") << "to be revoked";
}

TEST_P(AtprotoStores, AStateIsTakenOnceAndInTime) {
  const AuthorizationState state{.issuer = "https://as.test",
                                 .redirect_uri = "https://app.test/cb",
                                 .dpop_key = crypto::PrivateKey::generate(crypto::Curve::p256, app_->rng),
                                 .code_verifier = Secret<std::string>("verifier"),
                                 .kid = "k1",
                                 .expected_sub = *Did::parse(k_alice),
                                 .browser = "digest",
                                 .app_state = "/dash",
                                 .expires_at = now() + 600s};
  for (const char* name : {"one", "two"}) run(a_->states.put(name, state));
  const auto taken = run(b_->states.take("one", now() + 599s));
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->code_verifier.reveal(), "verifier");
  EXPECT_EQ(taken->expected_sub, Did::parse(k_alice).value());
  EXPECT_EQ(taken->browser, "digest");
  EXPECT_EQ(taken->dpop_key.public_key(), state.dpop_key.public_key());
  EXPECT_FALSE(run(a_->states.take("one", now())));
  EXPECT_FALSE(run(a_->states.take("two", now() + 600s)));
  EXPECT_FALSE(run(a_->states.take("never", now())));
}

INSTANTIATE_TEST_SUITE_P(Store, AtprotoStores, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth::bsky
