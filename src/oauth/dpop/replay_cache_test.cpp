#include "oauth/dpop/replay_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace latchkey::oauth {
namespace {

using namespace std::chrono_literals;
const Time k_now = from_unix_seconds(1'750'000'000);

TEST(ReplayCacheAttack, SecondUseIsRefused) {
  ReplayCache cache;
  EXPECT_EQ(cache.use("jkt", "jti", k_now + 5min, k_now), FirstUse::yes);
  EXPECT_EQ(cache.use("jkt", "jti", k_now + 5min, k_now), FirstUse::no);
  EXPECT_EQ(cache.use("jkt", "jti", k_now + 5min, k_now + 5min - 1us), FirstUse::no);
}

TEST(ReplayCacheAttack, SameIdWithAnotherTimeIsStillARepeat) {
  ReplayCache cache;
  EXPECT_EQ(cache.use("jkt", "jti", k_now + 1min, k_now), FirstUse::yes);
  EXPECT_EQ(cache.use("jkt", "jti", k_now + 8min, k_now), FirstUse::no);
}

TEST(ReplayCache, KeepsOwnersApart) {
  ReplayCache cache;
  EXPECT_EQ(cache.use("a", "bc", k_now + 5min, k_now), FirstUse::yes);
  EXPECT_EQ(cache.use("ab", "c", k_now + 5min, k_now), FirstUse::yes);
  EXPECT_EQ(cache.use("b", "bc", k_now + 5min, k_now), FirstUse::yes);
}

TEST(ReplayCache, ForgetsWhatHasExpired) {
  ReplayCache cache;
  for (int i = 0; i < 100; ++i) cache.use("jkt", std::to_string(i), k_now + 1min, k_now);
  EXPECT_EQ(cache.size(), 100u);
  EXPECT_EQ(cache.use("jkt", "new", k_now + 20min, k_now + 10min), FirstUse::yes);
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(cache.use("jkt", "5", k_now + 20min, k_now + 10min), FirstUse::yes);
}

TEST(ReplayCacheAttack, FloodingDoesNotMakeItForget) {
  ReplayCache cache(100);
  EXPECT_EQ(cache.use("victim", "jti", k_now + 5min, k_now), FirstUse::yes);
  for (int i = 0; i < 99; ++i)
    EXPECT_EQ(cache.use("flood", std::to_string(i), k_now + 5min, k_now), FirstUse::yes);
  EXPECT_EQ(cache.use("flood", "one more", k_now + 5min, k_now), FirstUse::full);
  EXPECT_EQ(cache.use("victim", "jti", k_now + 5min, k_now), FirstUse::no);
  EXPECT_EQ(cache.size(), 100u);
  EXPECT_EQ(cache.use("later", "jti", k_now + 15min, k_now + 10min), FirstUse::yes);  // room again
}

TEST(ReplayCacheAttack, WhatHasExpiredIsNotVouchedFor) {
  ReplayCache cache;
  EXPECT_EQ(cache.use("jkt", "jti", k_now, k_now), FirstUse::no);
  EXPECT_EQ(cache.use("jkt", "jti", k_now - 1s, k_now), FirstUse::no);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(ReplayCacheAttack, OfParallelUsesOneIsFirst) {
  ReplayCache cache;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> first = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back(
          [&] { first += cache.use("jkt", std::to_string(round), k_now + 5min, k_now) == FirstUse::yes; });
    for (auto& t : threads) t.join();
    EXPECT_EQ(first, 1);
  }
}

}  // namespace
}  // namespace latchkey::oauth
