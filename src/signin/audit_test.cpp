#include "signin/audit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "signin/schema.h"
#include "store/testing.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;

class Audit : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
  }
  void note(std::string did, Event event, std::string detail = {}) {
    run((*db_)->write([&](store::Tx& tx) {
      audit::note(tx, did, event, detail, {"192.0.2.1", "Firefox on Linux"}, clock_.now());
    }));
  }
  std::vector<AuditEntry> newest(std::string did, std::int64_t limit = 1000) {
    return run((*db_)->read([&](store::Tx& tx) { return audit::newest(tx, did, limit); }));
  }
  FakeClock clock_;
  std::unique_ptr<store::TestDatabase> db_;
};

TEST_P(Audit, TellsAnAccountWhatHappenedToItNewestFirst) {
  note("did:plc:a", Event::account_created);
  note("did:plc:b", Event::recovered, "b***@example.com");
  clock_.advance(1s);
  note("did:plc:a", Event::passkey_added, "Laptop");
  const auto entries = newest("did:plc:a");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].event, "passkey_added");
  EXPECT_EQ(entries[0].detail, "Laptop");
  EXPECT_EQ(entries[0].ip, "192.0.2.1");
  EXPECT_EQ(entries[0].agent, "Firefox on Linux");
  EXPECT_EQ(entries[0].at, clock_.now());
  EXPECT_EQ(entries[1].event, "account_created");
  EXPECT_EQ(newest("did:plc:a", 1).size(), 1u);
}

TEST_P(Audit, KeepsTheNewestTwoHundredOfAnAccount) {
  note("did:plc:b", Event::account_created);
  for (int i = 0; i < 201; ++i) note("did:plc:a", Event::signed_in, fmt::format("{}", i));
  const auto entries = newest("did:plc:a");
  EXPECT_EQ(entries.size(), 200u);
  EXPECT_EQ(entries.front().detail, "200");
  EXPECT_EQ(entries.back().detail, "1");
  EXPECT_EQ(newest("did:plc:b").size(), 1u);
}

TEST_P(Audit, ForgetsAfterAYear) {
  note("did:plc:a", Event::signed_in, "old");
  clock_.advance(1us);
  note("did:plc:a", Event::signed_in, "new");
  clock_.advance(k_audit_life - 1us);
  run((*db_)->write([&](store::Tx& tx) { audit::clean(tx, clock_.now()); }));
  const auto entries = newest("did:plc:a");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].detail, "new");
}

INSTANTIATE_TEST_SUITE_P(Store, Audit, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::signin
