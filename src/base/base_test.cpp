#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/secrets_file.h"
#include "base/task.h"
#include "base/task_group.h"
#include "base/time.h"
#include "base/url.h"

namespace latchkey {
namespace {

TEST(Encoding, KnowsTheVectorsOfRfc4648) {  // RFC 4648 §10
  EXPECT_EQ(base64(as_bytes("f")), "Zg==");
  EXPECT_EQ(base64(as_bytes("foobar")), "Zm9vYmFy");
  EXPECT_EQ(base64url(as_bytes("fooba")), "Zm9vYmE");
  EXPECT_EQ(base32(as_bytes("fooba")), "mzxw6ytb");
  EXPECT_EQ(base32(as_bytes("foob")), "mzxw6yq");
  EXPECT_EQ(hex(as_bytes("foobar")), "666f6f626172");
  EXPECT_EQ(base58btc(as_bytes("Hello World!")), "2NEpo7TZRRrLZSi2U");
  EXPECT_EQ(base58btc(*from_hex("0000287fb4cd")), "11233QC4");
}

TEST(Encoding, RoundTripsEveryLength) {
  SeededRng rng;
  for (std::size_t n = 0; n < 70; ++n) {
    const Bytes in = rng.bytes(n);
    EXPECT_EQ(from_hex(hex(in)), in);
    EXPECT_EQ(from_base64(base64(in)), in);
    EXPECT_EQ(from_base64(base64_unpadded(in)), in);
    EXPECT_EQ(from_base64url(base64url(in)), in);
    EXPECT_EQ(from_base32(base32(in)), in);
    EXPECT_EQ(from_base58btc(base58btc(in)), in);
  }
}

TEST(Encoding, RefusesASecondSpellingOfTheSameBytes) {
  EXPECT_EQ(from_base64url("Zh"), std::nullopt) << "unused bits set";
  EXPECT_EQ(from_base64url("Z"), std::nullopt) << "one character holds no byte";
  EXPECT_EQ(from_base64url("Zg=="), std::nullopt) << "padding";
  EXPECT_EQ(from_base64url("Z+"), std::nullopt) << "the other alphabet";
  EXPECT_EQ(from_base64("Zg="), std::nullopt) << "half a padding";
  EXPECT_EQ(from_base32("MZ"), std::nullopt) << "upper case";
  EXPECT_EQ(from_base32("mzxw6yr"), std::nullopt) << "unused bits set";
  EXPECT_EQ(from_base58btc("0"), std::nullopt) << "not in the alphabet";
  EXPECT_EQ(from_base58btc(std::string(257, '2')), std::nullopt) << "over the length limit";
  EXPECT_TRUE(from_base58btc(std::string(256, '2')).has_value());
  EXPECT_EQ(from_hex("abc"), std::nullopt);
}

TEST(Time, FormatsAndReadsRfc3339) {
  const Time t = from_unix_micros(1'750'000'000'123'456);
  EXPECT_EQ(rfc3339(t), "2025-06-15T15:06:40.123Z");
  EXPECT_EQ(parse_rfc3339("2025-06-15T17:06:40.123456+02:00"), t);
  EXPECT_EQ(parse_rfc3339("2025-02-30T00:00:00Z"), std::nullopt);
  EXPECT_EQ(parse_rfc3339("2025-02-28T00:00:00"), std::nullopt) << "no zone";
  EXPECT_EQ(parse_rfc3339("2025-02-28T00:00:00Zx"), std::nullopt);
  EXPECT_EQ(http_date(from_unix_seconds(784'111'777)), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 §5.6.7
}

TEST(Rng, BelowStaysBelowAndReachesEveryValue) {
  SeededRng rng;
  std::array<int, 10> seen{};
  for (int i = 0; i < 1000; ++i) ++seen[rng.below(10)];
  for (int n : seen) EXPECT_GT(n, 50);
}

TEST(Json, RefusesDuplicateKeysInSmallAndLargeObjects) {
  EXPECT_FALSE(json::parse(R"({"a":1,"a":2})").has_value());
  EXPECT_FALSE(json::parse(R"({"a":1,"\u0061":2})").has_value()) << "the same key, escaped";
  EXPECT_FALSE(json::parse("").has_value());
  EXPECT_FALSE(json::parse(std::string_view()).has_value());
  std::string large = "{";
  for (int i = 0; i < 100; ++i) large += fmt::format("\"k{}\":{},", i, i);
  EXPECT_TRUE(json::parse(large + "\"k100\":1}").has_value());
  EXPECT_FALSE(json::parse(large + "\"k42\":1}").has_value());
}

TEST(Json, BoundsDepthOnBothSides) {
  const auto nested = [](int n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(json::parse(nested(64)).has_value());
  EXPECT_FALSE(json::parse(nested(65)).has_value());
  EXPECT_FALSE(json::parse(nested(100'000)).has_value());
}

TEST(Json, WritesWhatItReads) {
  const std::string text = R"({"s":"a\"\\\n\u0001é","i":-5,"b":[true,false,null],"d":1.5,"o":{}})";
  const auto value = json::parse(text);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->dump(), text);
  std::string out;
  json::append_string(out, "a\xff");
  EXPECT_EQ(out, "\"a\xef\xbf\xbd\"") << "bytes that are no UTF-8 are replaced";
}

TEST(Url, SplitsAndNormalises) {
  const auto u = Url::parse("HTTPS://Example.COM:443/a/b?x=1#f");
  ASSERT_TRUE(u.has_value());
  EXPECT_EQ(u->str(), "https://example.com/a/b?x=1#f");
  EXPECT_EQ(Url::parse("http://[::1]:8080")->origin(), "http://[::1]:8080");
  EXPECT_EQ(Url::parse("http://a@b.c/")->userinfo, "a");
}

TEST(Url, RefusesWhatBrowsersWouldRepair) {
  for (const char* bad : {"", "https://", "https:///path", "//host", "https://a b", "https://a\\b",
                          "https://h:0/", "https://h:65536/", "https://h:/", "https://[::1", "https://a@b@c/",
                          "ht!tp://a", "https://exa%6dple.com/", "https://é.com/", "https://@host/"})
    EXPECT_FALSE(Url::parse(bad).has_value()) << bad;
}

TEST(Url, SeesIpAddressesInAnyNotation) {
  for (const char* ip :
       {"http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/"})
    EXPECT_TRUE(Url::parse(ip)->host_is_ip()) << ip;
  EXPECT_FALSE(Url::parse("http://example.com/")->host_is_ip());
}

TEST(Form, ReadsAndWrites) {
  const auto f = parse_form("a=1+2&b=%C3%A9&c&a=3");
  ASSERT_TRUE(f.has_value());
  EXPECT_EQ(single(*f, "b"), "é");
  EXPECT_EQ(single(*f, "c"), "");
  EXPECT_EQ(single(*f, "a"), std::nullopt) << "given twice";
  EXPECT_TRUE(has_duplicates(*f));
  EXPECT_EQ(encode_form({{"a b", "c&d"}}), "a%20b=c%26d");
  EXPECT_FALSE(parse_form("a=%zz").has_value());
  EXPECT_FALSE(parse_form("a=%ff").has_value()) << "not UTF-8";
  EXPECT_FALSE(parse_form("a=%00").has_value());
  EXPECT_TRUE(parse_form("a&b&c", 3).has_value());
  EXPECT_FALSE(parse_form("a&b&c&d", 3).has_value());
}

Result<int, std::string> half(int x) {
  if (x % 2 != 0) return fail(std::string("odd"));
  return x / 2;
}
Task<Result<int, std::string>> quarter(int x) {
  CO_TRY(const int h, half(x));
  CO_TRY(const int q, half(h));
  co_return q;
}
Task<int> throws() {
  throw std::runtime_error("boom");
  co_return 0;
}
Task<int> sum_to(int n) {  // deep chain: must not use the stack per await
  if (n == 0) co_return 0;
  co_return n + co_await sum_to(n - 1);
}
Task<int> on_pool(ThreadPool* pool) {
  Executor* before = Executor::current();
  const int x = co_await run_on(pool, [] { return 41; });
  EXPECT_EQ(Executor::current(), before) << "resumes where it was awaited";
  co_return x + 1;
}

TEST(Task, CarriesResultsErrorsAndExceptions) {
  EXPECT_EQ(run(quarter(8)), 2);
  EXPECT_EQ(run(quarter(6)).error(), "odd");
  EXPECT_THROW(run(throws()), std::runtime_error);
  EXPECT_EQ(run(sum_to(1000)), 500'500);
}

TEST(Task, ComesBackFromAThreadPool) {
  ThreadPool pool(2);
  EXPECT_EQ(run(on_pool(&pool)), 42);
}

TEST(ThreadPool, RefusesWorkPastItsQueue) {
  std::mutex gate;
  gate.lock();
  std::atomic<int> ran = 0;
  {
    ThreadPool pool(1, 2);
    Completion<bool> started;
    ASSERT_TRUE(pool.try_post([&] {
      started.deliver(true);
      std::lock_guard wait(gate);
      ++ran;
    }));
    run([](Completion<bool> c) -> Task<bool> { co_return co_await c; }(started));
    EXPECT_TRUE(pool.try_post([&] { ++ran; }));
    EXPECT_TRUE(pool.try_post([&] { ++ran; }));
    EXPECT_FALSE(pool.try_post([&] { ++ran; }));
    gate.unlock();
  }
  EXPECT_EQ(ran, 3);
}

Task<void> wait_for_it(Completion<bool> gate, int* ended) {
  co_await gate;
  ++*ended;
}

TEST(TaskGroup, IsIdleWhenItsLastTaskEnded) {
  InlineExecutor executor;
  TaskGroup group;
  Completion<bool> first, second;
  int ended = 0;
  run(executor, group.idle());
  executor.post([&] {
    group.spawn(wait_for_it(first, &ended));
    group.spawn(wait_for_it(second, &ended));
    executor.post([&] { first.deliver(true); });
    executor.post_after(std::chrono::milliseconds(1), [&] { second.deliver(true); });
  });
  executor.run_until([&] { return group.running() == 2; });
  run(executor, group.idle());
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(group.running(), 0u);
}

TEST(SecretsFile, MakesOnceKeepsAndGuards) {
  char folder[] = "/tmp/latchkey-secrets-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/secrets.json";
  SeededRng rng;
  const std::string made = SecretsFile(path, rng).get("A").reveal();
  EXPECT_EQ(made.size(), 64u);
  SecretsFile again(path, rng);
  EXPECT_EQ(again.get("A").reveal(), made);
  EXPECT_NE(again.get("B").reveal(), made);
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ::chmod(path.c_str(), 0644);
  EXPECT_THROW(SecretsFile(path, rng), std::runtime_error) << "others may read it";
  ::chmod(path.c_str(), 0600);
  std::ofstream(path) << "{\"A\":";
  EXPECT_THROW(SecretsFile(path, rng), std::runtime_error) << "damaged";
  std::filesystem::remove_all(folder);
}

TEST(Log, RedactsAddresses) {
  EXPECT_EQ(log::redact_email("alice@example.com"), "al***@example.com");
  EXPECT_EQ(log::redact_email("nonsense"), "***");
}

}  // namespace
}  // namespace latchkey
