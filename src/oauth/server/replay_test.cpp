#include "oauth/server/replay.h"

#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class ReplayMemory : public ServerTest {
 protected:
  FirstUse use(Replay& memory, std::string id, std::string who = "who") {
    return run(memory.use(std::move(who), std::move(id), clock_.now() + 5min));
  }
};

TEST_P(ReplayMemory, KnowsEachOnceUntilItsTime) {
  const auto memory = make_replay(**db_, clock_, "dpop"), other = make_replay(**db_, clock_, "assertion");
  EXPECT_EQ(use(*memory, "a"), FirstUse::yes);
  EXPECT_EQ(use(*memory, "a"), FirstUse::no);
  EXPECT_EQ(use(*memory, "a", "somebody else"), FirstUse::yes);
  EXPECT_EQ(use(*other, "a"), FirstUse::yes) << "another purpose";
  clock_.advance(5min - 1s);
  run(memory->clean());
  EXPECT_EQ(use(*memory, "a"), FirstUse::no);
}

TEST_P(ReplayMemory, AttackFlood_IsBounded) {
  const auto memory = make_replay(**db_, clock_, "dpop", 3);
  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(use(*memory, id), FirstUse::yes);
  EXPECT_EQ(use(*memory, "d"), FirstUse::full);
  EXPECT_EQ(use(*memory, "a"), FirstUse::no) << "and forgets nothing";
  clock_.advance(10min);
  EXPECT_EQ(use(*memory, "d"), FirstUse::yes);
}

TEST_P(ReplayMemory, RowsGoWithTheirTime) {
  constexpr store::Sql k_count{"SELECT COUNT(*) FROM oauth_seen"};
  const auto rows = [&] {
    return run((*db_)->read([&](store::Tx& tx) { return tx.one(k_count)->int64(0); }));
  };
  const auto memory = make_replay(**db_, clock_, "dpop");
  use(*memory, "a");
  EXPECT_EQ(rows(), GetParam() == store::Engine::postgres ? 1 : 0);
  clock_.advance(5min);
  run(memory->clean());
  EXPECT_EQ(rows(), 0);
}

/// Two processes, one database.
class TwoNodes : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam() != store::Engine::postgres) GTEST_SKIP() << "an SQLite file has one process";
    second_db_ = db_->open_again();
    second_ = std::make_unique<Server>(options(), *second_db_, fetch_, clock_, rng_);
    second_->add_routes(second_router_);
    serve_confidential_client(client_key_);
  }
  web::Response ask(web::Router& node, FormFields form, std::string proof) {
    return run(node.handle(web::Request::make(
        "POST", std::string(k_issuer) + "/oauth/par", encode_form(form),
        {{"content-type", "application/x-www-form-urlencoded"}, {"DPoP", std::move(proof)}})));
  }
  std::unique_ptr<store::Database> second_db_;
  std::unique_ptr<Server> second_;
  web::Router second_router_;
};

TEST_P(TwoNodes, AttackDpop_AProofUsedOnOneIsRefusedOnTheOther) {
  const std::string one = proof("/oauth/par", key_);
  EXPECT_EQ(ask(*router_, par_form(), one).status, 201);
  const auto again = ask(second_router_, par_form(), one);
  EXPECT_EQ(error(again), "invalid_dpop_proof");
  EXPECT_EQ(ask(second_router_, par_form(), proof("/oauth/par", key_)).status, 201);
}

TEST_P(TwoNodes, AttackAssertion_UsedOnOneIsRefusedOnTheOther) {
  const auto form = asserted(par_form(k_confidential), client_key_);
  EXPECT_EQ(ask(*router_, form, proof("/oauth/par", key_)).status, 201);
  const auto again = with(form, "code_challenge", pkce_challenge(make_pkce_verifier(rng_)));
  EXPECT_EQ(error(ask(second_router_, again, proof("/oauth/par", key_))), "invalid_client");
}

TEST_P(TwoNodes, AttackDpop_OfManyAtTheSameMomentOneIsFirst) {
  for (int round = 0; round < 5; ++round) {
    const std::string one = proof("/oauth/par", key_);
    std::vector<FormFields> forms;
    for (int i = 0; i < 8; ++i) forms.push_back(par_form());
    std::vector<int> statuses(forms.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < forms.size(); ++i)
      threads.emplace_back(
          [&, i] { statuses[i] = ask(i % 2 ? second_router_ : *router_, forms[i], one).status; });
    for (auto& t : threads) t.join();
    EXPECT_EQ(std::ranges::count(statuses, 201), 1);
    EXPECT_EQ(std::ranges::count(statuses, 400), 7);
  }
}

INSTANTIATE_TEST_SUITE_P(Store, ReplayMemory, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, TwoNodes, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
