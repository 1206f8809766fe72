#include "oauth/jose/key_cache.h"

#include <gtest/gtest.h>

#include <thread>

#include "oauth/jose/jwk.h"

namespace latchkey::oauth {
namespace {

using crypto::Curve;

std::vector<crypto::PublicKey> keys(std::size_t n) {
  SeededRng rng;
  std::vector<crypto::PublicKey> out;
  while (out.size() < n) out.push_back(crypto::PrivateKey::generate(Curve::p256, rng).public_key());
  return out;
}

TEST(KeyCache, ReturnsTheSameKeyAndForgetsTheOldest) {
  KeyCache cache(2);
  const auto k = keys(3);
  for (int round = 0; round < 3; ++round)
    for (const auto& key : k)
      EXPECT_EQ(cache.from_coordinates(Curve::p256, key.x(), key.y()).value().key, key);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(KeyCache, KeepsNoBadKeysAndConfusesNoCurves) {
  KeyCache cache;
  const auto key = keys(1).front();
  ASSERT_TRUE(cache.from_coordinates(Curve::p256, key.x(), key.y()));
  EXPECT_FALSE(cache.from_coordinates(Curve::k256, key.x(), key.y()));
  EXPECT_FALSE(cache.from_coordinates(Curve::p256, key.y(), key.x()));
  EXPECT_FALSE(cache.from_coordinates(Curve::p256, key.x(), {}));
  EXPECT_EQ(cache.size(), 1u);
}

TEST(KeyCache, OfCapacityZeroKeepsNothing) {
  KeyCache cache(0);
  const auto key = keys(1).front();
  EXPECT_TRUE(cache.from_coordinates(Curve::p256, key.x(), key.y()));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(KeyCache, ServesJwkParsing) {
  KeyCache cache;
  const Jwk jwk{.key = keys(1).front(), .kid = {}, .alg = {}, .use = {}};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Jwk::parse(json::Value(jwk.to_json()), &cache).value().key, jwk.key);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(KeyCache, IsSharedByThreads) {
  KeyCache cache(4);
  const auto k = keys(8);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 100; ++i) {
        const auto& key = k[(i * (t + 1)) % k.size()];
        good += cache.from_coordinates(Curve::p256, key.x(), key.y()).value().key == key;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 400);
  EXPECT_EQ(cache.size(), 4u);
}

}  // namespace
}  // namespace latchkey::oauth
