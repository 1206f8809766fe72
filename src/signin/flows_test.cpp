#include "signin/flows.h"

#include <gtest/gtest.h>

#include "signin/schema.h"
#include "store/testing.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;

class Flows : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
  }
  template <class F>
  auto write(F fn) {
    return run((*db_)->write(std::move(fn)));
  }
  std::optional<Flow> find(std::string id = "f", std::string browser = "b") {
    return write([&](store::Tx& tx) { return flows::find(tx, id, browser); });
  }
  void insert(Flow flow) {
    write([&](store::Tx& tx) { flows::insert(tx, flow); });
  }
  bool address(std::string email, Time now) {
    return write([&](store::Tx& tx) { return flows::take_address(tx, "f", email, now); });
  }

  FakeClock clock_;
  std::unique_ptr<store::TestDatabase> db_;
};

TEST_P(Flows, KeepWhatTheyWereOpenedWith) {
  const Time now = clock_.now();
  insert({.id = "f", .browser = "b", .locked_did = "did:plc:x", .email = "a@example.com", .created_at = now});
  const auto flow = find();
  ASSERT_TRUE(flow.has_value());
  EXPECT_EQ(flow->locked_did, "did:plc:x");
  EXPECT_EQ(flow->email, "a@example.com");
  EXPECT_EQ(flow->created_at, now);
  EXPECT_FALSE(flow->sent_at || flow->session || flow->is_proven() || flow->stay);
}

TEST_P(Flows, ASecondOpeningChangesNothing) {
  insert({.id = "f", .browser = "b", .email = "a@example.com", .created_at = clock_.now()});
  insert({.id = "f", .browser = "thief", .email = "t@example.com", .created_at = clock_.now()});
  EXPECT_EQ(find()->email, "a@example.com");
  EXPECT_FALSE(find("f", "thief").has_value());
}

TEST_P(Flows, BelongToOneBrowser) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  EXPECT_TRUE(find().has_value());
  EXPECT_FALSE(find("f", "c").has_value());
  EXPECT_FALSE(find("g", "b").has_value());
}

TEST_P(Flows, MarkSentIsTrueOnce) {
  insert({.id = "f", .browser = "b", .email = "a@example.com", .created_at = clock_.now()});
  const Time now = clock_.now();
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::mark_sent(tx, "f", now); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::mark_sent(tx, "f", now); }));
  EXPECT_EQ(find()->sent_at, now);
}

TEST_P(Flows, TheSameAddressTwiceIsSentToOnce) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  EXPECT_TRUE(address("a@example.com", clock_.now()));
  EXPECT_FALSE(address("a@example.com", clock_.now()));
  EXPECT_TRUE(address("b@example.com", clock_.now()));
  EXPECT_EQ(find()->email, "b@example.com");
  EXPECT_TRUE(address("a@example.com", clock_.now())) << "back to the first";
}

TEST_P(Flows, StartingOverForgetsAddressAndMail) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  write([&](store::Tx& tx) { flows::forget_address(tx, "f"); });
  EXPECT_FALSE(find()->email || find()->sent_at);
  EXPECT_TRUE(address("a@example.com", clock_.now()));
}

TEST_P(Flows, AfterTheProofTheAddressStays) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  write([&](store::Tx& tx) { flows::prove(tx, "f", "a@example.com", "session", false); });
  EXPECT_FALSE(address("b@example.com", clock_.now()));
  write([&](store::Tx& tx) { flows::forget_address(tx, "f"); });
  EXPECT_EQ(find()->email, "a@example.com");
  EXPECT_EQ(find()->proven_email, "a@example.com");
  EXPECT_EQ(find()->session, "session");
}

TEST_P(Flows, ASecondProofReplacesTheSessionOnlyForTheSameAddress) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "one", false); }));
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "two", false); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "b@example.com", "three", false); }));
  EXPECT_EQ(find()->session, "two");
  EXPECT_EQ(find()->proven_email, "a@example.com");
}

TEST_P(Flows, AChosenAccountIsWhoThisIsAndNoAddressCanJoinIt) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::choose(tx, "f", "did:plc:x", "one"); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "two", true); }));
  EXPECT_FALSE(address("b@example.com", clock_.now()));
  EXPECT_EQ(find()->proven_did, "did:plc:x");
  EXPECT_FALSE(find()->proven_email || find()->stay);
  EXPECT_EQ(find()->session, "one");
}

TEST_P(Flows, AProvenAddressIsNotOverruledByAChoice) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "one", true); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::choose(tx, "f", "did:plc:x", "two"); }));
  EXPECT_TRUE(find()->stay);
  EXPECT_FALSE(find()->proven_did.has_value());
}

TEST_P(Flows, SwitchingForgetsWhoItWas) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "one", true); });
  write([&](store::Tx& tx) { flows::start_over(tx, "f"); });
  const auto flow = find();
  EXPECT_FALSE(flow->is_proven() || flow->session || flow->email || flow->sent_at || flow->stay);
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::choose(tx, "f", "did:plc:x", "two"); }));
}

TEST_P(Flows, ABackupAddressMakesNobodyAnybodyYet) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::take_backup(tx, "f", "b@example.com"); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::take_backup(tx, "f", "b@example.com"); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::prove_backup(tx, "f", "c@example.com", "one"); }))
      << "another address was typed meanwhile";
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::prove_backup(tx, "f", "b@example.com", "one"); }));
  EXPECT_TRUE(find()->backup_proven);
  EXPECT_FALSE(find()->is_proven());
  EXPECT_TRUE(write(
      [&](store::Tx& tx) { return flows::prove_account(tx, "f", "did:plc:x", "two", "backup", false); }));
  EXPECT_EQ(find()->proven_did, "did:plc:x");
  EXPECT_EQ(find()->proven_by, "backup");
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::take_backup(tx, "f", "d@example.com"); }));
}

TEST_P(Flows, AnotherBackupAddressIsNotProven) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  write([&](store::Tx& tx) { flows::take_backup(tx, "f", "b@example.com"); });
  write([&](store::Tx& tx) { return flows::prove_backup(tx, "f", "b@example.com", "one"); });
  EXPECT_TRUE(write([&](store::Tx& tx) { return flows::take_backup(tx, "f", "c@example.com"); }));
  EXPECT_FALSE(find()->backup_proven);
  write([&](store::Tx& tx) { flows::forget_backup(tx, "f"); });
  EXPECT_FALSE(find()->backup_email.has_value());
}

TEST_P(Flows, AProvenAddressIsNotOverruledByAnotherProof) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("a@example.com", clock_.now());
  write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "one", true); });
  EXPECT_FALSE(write(
      [&](store::Tx& tx) { return flows::prove_account(tx, "f", "did:plc:x", "two", "passkey", true); }));
  EXPECT_EQ(find()->proven_by, "email");
}

TEST_P(Flows, AProofIsForTheAddressTheFlowIsAt) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  address("b@example.com", clock_.now());
  EXPECT_FALSE(write([&](store::Tx& tx) { return flows::prove(tx, "f", "a@example.com", "late", false); }))
      << "the address was changed while the code was checked";
  EXPECT_FALSE(find()->proven_email.has_value());
}

TEST_P(Flows, CleaningDropsWhatIsOlderThanAnHour) {
  insert({.id = "f", .browser = "b", .created_at = clock_.now()});
  clock_.advance(1h);
  insert({.id = "g", .browser = "b", .created_at = clock_.now()});
  EXPECT_EQ(write([&](store::Tx& tx) { return flows::clean(tx, clock_.now()); }), 0);
  clock_.advance(1us);
  EXPECT_EQ(write([&](store::Tx& tx) { return flows::clean(tx, clock_.now()); }), 1);
  EXPECT_FALSE(find().has_value());
  EXPECT_TRUE(find("g").has_value());
}

INSTANTIATE_TEST_SUITE_P(Store, Flows, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::signin
