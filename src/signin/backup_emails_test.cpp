#include "signin/backup_emails.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "signin/schema.h"
#include "store/testing.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;
using backup_emails::Added;

class BackupEmails : public store::EngineTest {
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
  struct Outcome {
    Added added;
    std::string token;
  };
  Outcome add(std::string did, std::string email) {
    const auto link = backup_emails::new_link(rng_);
    const Time now = clock_.now();
    const BackupEmail row{
        .id = rng_.token(8), .did = std::move(did), .email = std::move(email), .created_at = now};
    return {write([&](store::Tx& tx) {
              return backup_emails::add(tx, row, link.hash, now + k_backup_link_life);
            }),
            link.token};
  }
  std::optional<BackupEmail> verify(const std::string& token) {
    const auto hash = backup_emails::hash_of(token);
    if (!hash) return std::nullopt;
    return write([&](store::Tx& tx) { return backup_emails::verify(tx, *hash, clock_.now()); });
  }
  std::vector<BackupEmail> of(std::string did) {
    return write([&](store::Tx& tx) { return backup_emails::of_account(tx, did, clock_.now()); });
  }
  std::vector<std::string> accounts_of(std::string email) {
    return write([&](store::Tx& tx) { return backup_emails::accounts_of(tx, email); });
  }

  FakeClock clock_;
  SeededRng rng_;
  std::unique_ptr<store::TestDatabase> db_;
};

TEST_P(BackupEmails, RecoverNothingBeforeTheyAreConfirmed) {
  const auto added = add("did:plc:a", "b@example.com");
  EXPECT_EQ(added.added, Added::pending);
  EXPECT_TRUE(accounts_of("b@example.com").empty());
  EXPECT_EQ(verify(added.token)->email, "b@example.com");
  EXPECT_EQ(accounts_of("b@example.com"), std::vector<std::string>{"did:plc:a"});
}

TEST_P(BackupEmails, ALinkWorksOnceAndForADay) {
  const auto first = add("did:plc:a", "b@example.com");
  ASSERT_TRUE(verify(first.token));
  EXPECT_FALSE(verify(first.token));
  const auto at_the_end = add("did:plc:a", "c@example.com");
  clock_.advance(k_backup_link_life - 1us);
  EXPECT_TRUE(verify(at_the_end.token));
  const auto too_late = add("did:plc:a", "d@example.com");
  clock_.advance(k_backup_link_life);
  EXPECT_FALSE(verify(too_late.token));
}

TEST_P(BackupEmails, ANewLinkVoidsTheOldOne) {
  const auto old = add("did:plc:a", "b@example.com"), fresh = add("did:plc:a", "b@example.com");
  EXPECT_FALSE(verify(old.token));
  EXPECT_TRUE(verify(fresh.token));
  EXPECT_EQ(of("did:plc:a").size(), 1u) << "one entry an address";
}

TEST_P(BackupEmails, AConfirmedAddressStaysConfirmed) {
  verify(add("did:plc:a", "b@example.com").token);
  const auto again = add("did:plc:a", "b@example.com");
  EXPECT_EQ(again.added, Added::already_verified);
  EXPECT_FALSE(verify(again.token));
  EXPECT_TRUE(of("did:plc:a").at(0).verified_at);
}

TEST_P(BackupEmails, FiveAreAllowedAndTheSixthIsNot) {
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(add("did:plc:a", fmt::format("b{}@example.com", i)).added, Added::pending);
  EXPECT_EQ(add("did:plc:a", "b5@example.com").added, Added::too_many);
  EXPECT_EQ(add("did:plc:a", "b4@example.com").added, Added::pending) << "one of the five, another link";
  EXPECT_EQ(add("did:plc:b", "b5@example.com").added, Added::pending) << "another account";
  clock_.advance(k_backup_link_life);
  EXPECT_EQ(add("did:plc:a", "b5@example.com").added, Added::pending) << "the others have expired";
}

TEST_P(BackupEmails, OneAddressMayServeSeveralAccounts) {
  verify(add("did:plc:a", "b@example.com").token);
  verify(add("did:plc:c", "b@example.com").token);
  EXPECT_EQ(accounts_of("b@example.com"), (std::vector<std::string>{"did:plc:a", "did:plc:c"}));
}

TEST_P(BackupEmails, AttackForeignId_OnlyTheOwnerRemovesAnAddress) {
  verify(add("did:plc:a", "b@example.com").token);
  const std::string id = of("did:plc:a").at(0).id;
  EXPECT_FALSE(write([&](store::Tx& tx) { return backup_emails::remove(tx, "did:plc:thief", id); }));
  EXPECT_EQ(of("did:plc:a").size(), 1u);
  EXPECT_TRUE(write([&](store::Tx& tx) { return backup_emails::remove(tx, "did:plc:a", id); }));
  EXPECT_TRUE(accounts_of("b@example.com").empty());
}

TEST_P(BackupEmails, AttackGuessing_WhatIsNoLinkOfOursIsNotLookedUp) {
  EXPECT_FALSE(backup_emails::hash_of(""));
  EXPECT_FALSE(backup_emails::hash_of("AAAA"));
  EXPECT_FALSE(backup_emails::hash_of(std::string(43, '!')));
  EXPECT_FALSE(verify(rng_.token()));
}

TEST_P(BackupEmails, CleaningDropsOnlyExpiredLinks) {
  verify(add("did:plc:a", "b@example.com").token);
  add("did:plc:a", "c@example.com");
  clock_.advance(k_backup_link_life);
  write([&](store::Tx& tx) { backup_emails::clean(tx, clock_.now()); });
  // Looked at from before: what is gone from here is gone from the table.
  clock_.advance(-k_backup_link_life);
  EXPECT_EQ(of("did:plc:a").size(), 1u);
}

TEST_P(BackupEmails, ARecoveryThatWaitsCanBeCalledOff) {
  const auto link = backup_emails::new_link(rng_), second = backup_emails::new_link(rng_);
  const Time now = clock_.now();
  const recoveries::Recovery it{"did:plc:a", now + 24h, now + 48h};
  write([&](store::Tx& tx) { recoveries::begin(tx, it, link.hash, now); });
  // Asking again neither shortens nor prolongs the wait, and the first link still calls it off.
  const auto kept = write([&](store::Tx& tx) {
    return recoveries::begin(tx, {"did:plc:a", now + 1h, now + 99h}, second.hash, now);
  });
  EXPECT_EQ(kept.ready_at, it.ready_at);
  EXPECT_FALSE(write([&](store::Tx& tx) { return recoveries::cancel(tx, second.hash, now); }));
  EXPECT_TRUE(write([&](store::Tx& tx) { return recoveries::cancel(tx, link.hash, now); }));
  EXPECT_FALSE(write([&](store::Tx& tx) { return recoveries::find(tx, "did:plc:a", now); }));
}

TEST_P(BackupEmails, ARecoveryThatNobodyTookUpIsOver) {
  const auto link = backup_emails::new_link(rng_);
  const Time now = clock_.now();
  write([&](store::Tx& tx) { recoveries::begin(tx, {"did:plc:a", now + 1h, now + 2h}, link.hash, now); });
  const auto found = [&](Time at) {
    return write([&](store::Tx& tx) { return recoveries::find(tx, "did:plc:a", at); }).has_value();
  };
  EXPECT_TRUE(found(now + 2h - 1us));
  EXPECT_FALSE(found(now + 2h));
  const auto next = write([&](store::Tx& tx) {
    return recoveries::begin(tx, {"did:plc:a", now + 9h, now + 10h}, backup_emails::new_link(rng_).hash,
                             now + 3h);
  });
  EXPECT_EQ(next.ready_at, now + 9h);
}

INSTANTIATE_TEST_SUITE_P(Store, BackupEmails, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::signin
