#include "web/rate_limit.h"

#include <gtest/gtest.h>

#include <thread>

namespace latchkey::web {
namespace {
using namespace std::chrono_literals;

struct Table {
  explicit Table(RateLimitOptions options = {})
      : limits(std::make_shared<RateLimits>(std::move(options), clock)) {}
  bool take(std::string_view client, const std::vector<Rate>& rates, std::string_view name = "rule") {
    return limits->take(name, client, rates).allowed;
  }
  int taken(std::string_view client, const std::vector<Rate>& rates, int tries) {
    int n = 0;
    for (int i = 0; i < tries; ++i) n += take(client, rates);
    return n;
  }
  FakeClock clock;
  std::shared_ptr<RateLimits> limits;
};

const std::vector<Rate> k_sixty = {{60, 1min}};

TEST(RateLimits, AllowsWhatItSaysAndNotOneMore) {
  Table t;
  for (int i = 0; i < 60; ++i) {
    EXPECT_TRUE(t.take("a", k_sixty)) << i;
    t.clock.advance(900ms);
  }
  EXPECT_FALSE(t.take("a", k_sixty)) << "54 seconds after the first";
  EXPECT_TRUE(t.take("b", k_sixty)) << "somebody else";
  EXPECT_TRUE(t.limits->take("other", "a", k_sixty).allowed) << "another rule";
}

TEST(RateLimits, GivesRoomBackAsTheWindowMovesOn) {
  Table t;
  EXPECT_EQ(t.taken("a", k_sixty, 100), 60);
  t.clock.advance(1min);
  EXPECT_EQ(t.taken("a", k_sixty, 100), 0) << "all of them were less than a minute ago, to the last";
  t.clock.advance(30s);
  EXPECT_EQ(t.taken("a", k_sixty, 100), 30);
  t.clock.advance(2min);
  EXPECT_EQ(t.taken("a", k_sixty, 100), 60);
}

TEST(RateLimits, AttackWindowEdge_ABurstOnBothSidesIsOneBurst) {
  Table t;
  t.take("a", k_sixty);
  t.clock.advance(59s);
  EXPECT_EQ(t.taken("a", k_sixty, 100), 59);
  t.clock.advance(2s);
  EXPECT_EQ(t.taken("a", k_sixty, 100), 1);
}

TEST(RateLimits, SaysWhenToComeBack) {
  Table t;
  auto out = t.limits->take("rule", "a", k_sixty);
  EXPECT_EQ(out.remaining, 59);
  EXPECT_EQ(out.reset, t.clock.now() + 1min);
  t.taken("a", k_sixty, 59);
  for (const auto wait : {0s, 70s, 100s}) {
    t.clock.advance(wait);
    while ((out = t.limits->take("rule", "a", k_sixty)).allowed) {
    }
    EXPECT_EQ(out.remaining, 0);
    EXPECT_EQ(out.rate.max, 60);
    t.clock.advance(out.reset - t.clock.now() - 10ms);
    EXPECT_FALSE(t.take("a", k_sixty)) << "before";
    t.clock.advance(10ms);
    EXPECT_TRUE(t.take("a", k_sixty)) << "and then";
  }
}

TEST(RateLimits, EveryRateHolds) {
  Table t;
  const std::vector<Rate> rates = {{3, 1min}, {5, 1h}};
  EXPECT_EQ(t.taken("a", rates, 10), 3);
  t.clock.advance(2min);
  EXPECT_EQ(t.taken("a", rates, 10), 2) << "a refused request costs nothing of the other rate";
  t.clock.advance(2min);
  const auto out = t.limits->take("rule", "a", rates);
  EXPECT_FALSE(out.allowed);
  EXPECT_EQ(out.rate.max, 5);
  EXPECT_GE(out.reset - t.clock.now(), 56min);
}

TEST(RateLimits, AClockSetBackLocksNobodyOut) {
  Table t;
  t.taken("a", k_sixty, 60);
  t.clock.advance(-24h);
  EXPECT_FALSE(t.take("a", k_sixty));
  t.clock.advance(2min);
  EXPECT_TRUE(t.take("a", k_sixty));
}

TEST(RateLimits, TheTableIsBounded) {  // attacks.md 33
  Table t({.max_keys = 100});
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(t.take(std::to_string(i), k_sixty));
  EXPECT_LE(t.limits->size(), 100u);
  EXPECT_GT(t.limits->size(), 70u);
}

TEST(RateLimits, AttackEviction_AFloodOfOthersDoesNotWipeAnExhaustedCounter) {
  Table t({.max_keys = 100});
  EXPECT_EQ(t.taken("attacker", k_sixty, 60), 60);
  for (int i = 0; i < 10'000; ++i) {
    t.take(std::to_string(i), k_sixty);
    ASSERT_FALSE(t.take("attacker", k_sixty)) << i;
  }
}

TEST(RateLimits, ExpiredWindowsGoFirst) {
  Table t({.max_keys = 100});
  for (int i = 0; i < 99; ++i) t.taken("old " + std::to_string(i), k_sixty, 60);
  t.clock.advance(3min);
  t.take("fresh", k_sixty);
  for (int i = 0; i < 20; ++i) t.take("new " + std::to_string(i), k_sixty);
  EXPECT_EQ(t.limits->size(), 21u);
  EXPECT_EQ(t.taken("fresh", k_sixty, 60), 59);
}

TEST(RateLimits, CountsRightFromSeveralThreads) {
  Table t;
  const std::vector<Rate> rates = {{1000, 1h}};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 500; ++j) taken += t.take("a", rates);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, 1000);
}

// --- Around a handler

struct Limited {
  explicit Limited(RateLimitOptions options = {}, std::vector<Rate> rates = {{2, 1min}})
      : table(std::move(options)) {
    handler = limited(std::make_shared<RateLimiter>(
                          RateLimiter{.limits = table.limits, .name = "rule", .rates = std::move(rates)}),
                      [](Request) { return ready(Response::text("ok")); });
  }
  Response ask(std::string ip = "192.0.2.1", Headers headers = {}) {
    auto request = Request::make("GET", "/", "", std::move(headers));
    request.remote_ip = std::move(ip);
    return run(handler(std::move(request)));
  }
  Table table;
  Handler handler;
};

TEST(Limited, TellsTheClientWhatIsLeft) {
  Limited l;
  auto r = l.ask();
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.headers.get("ratelimit-limit"), "2");
  EXPECT_EQ(r.headers.get("ratelimit-remaining"), "1");
  EXPECT_EQ(r.headers.get("ratelimit-policy"), "2;w=60");
  EXPECT_EQ(r.headers.get("ratelimit-reset"), std::to_string(unix_seconds(l.table.clock.now()) + 60));
  EXPECT_FALSE(r.headers.has("retry-after"));
  EXPECT_EQ(l.ask().status, 200);
  r = l.ask();
  EXPECT_EQ(r.status, 429);
  EXPECT_EQ(*json::parse(r.body)->string_at("error"), "RateLimitExceeded");
  EXPECT_EQ(r.headers.get("ratelimit-remaining"), "0");
  EXPECT_EQ(r.headers.get("retry-after"), "90") << "the window, and until one of its two is half gone";
  l.table.clock.advance(90s);
  EXPECT_EQ(l.ask().status, 200);
}

TEST(Limited, AttackAddresses_ASubscribersIpv6NetworkIsOneClient) {
  Limited l;
  EXPECT_EQ(l.ask("2001:db8:0:1::1").status, 200);
  EXPECT_EQ(l.ask("2001:db8:0:1:ffff:ffff:ffff:ffff").status, 200);
  EXPECT_EQ(l.ask("2001:db8:0:1::3").status, 429);
  EXPECT_EQ(l.ask("2001:db8:0:2::1").status, 200) << "the neighbour";
  EXPECT_EQ(l.ask("::ffff:192.0.2.1").status, 200);
  EXPECT_EQ(l.ask("192.0.2.1").status, 200);
  EXPECT_EQ(l.ask("::ffff:192.0.2.1").status, 429) << "two spellings of one address";
  EXPECT_EQ(l.ask("192.0.2.2").status, 200);
}

TEST(Limited, OperatorsMayPassByKeyOrAddress) {
  Limited l({.bypass_key = Secret<std::string>("a key of the operator"), .bypass_addresses = {"10.0.0.0/8"}});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(l.ask("10.1.2.3").status, 200);
    EXPECT_EQ(l.ask("192.0.2.1", {{"x-ratelimit-bypass", "a key of the operator"}}).status, 200);
  }
  EXPECT_EQ(l.ask().headers.get("ratelimit-remaining"), "1") << "nothing of that was counted";
  l.ask();
  EXPECT_EQ(l.ask().status, 429);
  for (const char* wrong : {"", "a key of the operatoR", "a key of the operato", "a key of the operator "})
    EXPECT_EQ(l.ask("192.0.2.1", {{"x-ratelimit-bypass", wrong}}).status, 429) << wrong;
  EXPECT_EQ(l.ask("192.0.2.1", {{"x-ratelimit-bypass", "a key of the operator"}, {"x-ratelimit-bypass", "x"}})
                .status,
            429);
}

TEST(Limited, WithoutAKeyTheHeaderMeansNothing) {
  Limited l;
  l.ask();
  l.ask();
  EXPECT_EQ(l.ask("192.0.2.1", {{"x-ratelimit-bypass", ""}}).status, 429);
}

TEST(Limited, AMistypedAddressIsAMistake) {
  EXPECT_THROW(Table({.bypass_addresses = {"nowhere"}}), std::invalid_argument);
}

TEST(Limited, OfTwoRulesTheTighterOneIsTold) {
  for (const std::int64_t outer : {1, 100}) {
    Limited l({}, {{10, 1min}});
    l.handler = limited(std::make_shared<RateLimiter>(
                            RateLimiter{.limits = l.table.limits, .name = "outer", .rates = {{outer, 5min}}}),
                        l.handler);
    const auto r = l.ask();
    EXPECT_EQ(r.headers.get("ratelimit-limit"), outer == 1 ? "1" : "10");
    EXPECT_EQ(r.headers.get("ratelimit-policy"), outer == 1 ? "1;w=300" : "10;w=60");
    EXPECT_EQ(l.ask().status, outer == 1 ? 429 : 200);
  }
}

TEST(Limited, HasTheSurfacesOwnClientsAndWords) {
  Table t;
  const auto handler =
      limited(std::make_shared<RateLimiter>(RateLimiter{
                  .limits = t.limits,
                  .name = "rule",
                  .rates = {{1, 1min}},
                  .client = [](const Request& r) { return r.path; },
                  .refusal = [](const Request& r) { return Response::text("slowly, " + r.path, 429); }}),
              [](Request) { return ready(Response::text("ok")); });
  EXPECT_EQ(run(handler(Request::make("GET", "/a"))).status, 200);
  EXPECT_EQ(run(handler(Request::make("GET", "/b"))).status, 200);
  const auto r = run(handler(Request::make("GET", "/a")));
  EXPECT_EQ(r.body, "slowly, /a");
  EXPECT_TRUE(r.headers.has("retry-after"));
}

}  // namespace
}  // namespace latchkey::web
