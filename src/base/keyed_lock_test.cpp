#include "base/keyed_lock.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace latchkey {
namespace {

struct Log {
  KeyedLock lock;
  std::vector<std::string> lines;
  int running = 0, most = 0, ended = 0;
};

Task<void> work(Log* log, std::string key, std::string name) {
  const auto turn = co_await log->lock.lock(key);
  log->most = std::max(log->most, ++log->running);
  log->lines.push_back(name);
  co_await sleep_for(std::chrono::milliseconds(1));
  --log->running;
  ++log->ended;
}
Task<void> fail_at_work(Log* log, std::string key) {
  const auto turn = co_await log->lock.lock(key);
  co_await sleep_for(std::chrono::milliseconds(1));
  throw std::runtime_error("no network");
}
Task<void> survive(Log* log, std::string key) {
  try {
    co_await fail_at_work(log, key);
  } catch (const std::runtime_error&) {
    ++log->ended;
  }
}
void run_until(InlineExecutor& executor, Log& log, int ended) {
  executor.run_until([&] { return log.ended == ended; });
}

TEST(KeyedLock, OneAtATimeInTheOrderOfAsking) {
  Log log;
  InlineExecutor executor;
  executor.post([&] {
    for (const char* name : {"first", "second", "third"}) spawn(work(&log, "a", name));
  });
  run_until(executor, log, 3);
  EXPECT_EQ(log.most, 1);
  EXPECT_EQ(log.lines, (std::vector<std::string>{"first", "second", "third"}));
}

TEST(KeyedLock, OtherKeysDoNotWait) {
  Log log;
  InlineExecutor executor;
  executor.post([&] {
    for (const char* key : {"a", "b", "c"}) spawn(work(&log, key, key));
  });
  run_until(executor, log, 3);
  EXPECT_EQ(log.most, 3);
}

TEST(KeyedLock, AnExceptionEndsATurnToo) {
  Log log;
  InlineExecutor executor;
  executor.post([&] {
    spawn(survive(&log, "a"));
    spawn(work(&log, "a", "next"));
  });
  run_until(executor, log, 2);
  EXPECT_EQ(log.lines, std::vector<std::string>{"next"});
  executor.post([&] { spawn(work(&log, "a", "later")); });
  run_until(executor, log, 3);
}

}  // namespace
}  // namespace latchkey
