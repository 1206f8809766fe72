// Every mail whose send() was acknowledged is handed on, whenever the process is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "mail/queue.h"
#include "mail/schema.h"

namespace latchkey::mail {
namespace {

class Taker final : public Sender {
 public:
  Task<Result<void, MailError>> send(Message message) override {
    ++taken[std::atoll(message.subject.c_str())];
    co_return Result<void, MailError>{};
  }
  std::map<std::int64_t, int> taken;
};

std::set<std::int64_t> killed_after(const std::string& db, const std::string& file, std::int64_t first_number,
                                    std::size_t acks) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const std::string first = std::to_string(first_number);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(MAIL_CRASH_CHILD, MAIL_CRASH_CHILD, db.c_str(), file.c_str(), first.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::set<std::int64_t> acked;
  std::int64_t number;
  bool killed = false;
  while (::read(ends[0], &number, sizeof number) == sizeof number) {
    acked.insert(number);
    if (!killed && acked.size() >= acks) {
      EXPECT_EQ(::kill(child, SIGKILL), 0);
      killed = true;
    }
  }
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
  return acked;
}

TEST(MailQueueCrash, EveryAcknowledgedMailIsHandedOnAfterSigkill) {
  std::string directory = (std::filesystem::temp_directory_path() / "latchkey-mail-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/db", file = directory + "/taken";
  ::close(::open(file.c_str(), O_WRONLY | O_CREAT, 0600));
  store::migrate(*store::open_sqlite(path), migrations());

  SeededRng rng(7);
  SystemClock system;
  constexpr int k_rounds = 10;
  std::size_t acknowledged = 0;
  for (int round = 0; round < k_rounds && !::testing::Test::HasFailure(); ++round) {
    const auto acked = killed_after(path, file, std::int64_t{round} * 1'000'000 + 1, 1 + rng.below(40));
    acknowledged += acked.size();

    // The next start, after what the dead process had leased has become free.
    Taker taker;
    {
      auto db = store::open_sqlite(path);
      FakeClock later(system.now() + std::chrono::hours(1));
      Queue queue({}, *db, crypto::Sealer(Secret<Bytes>(Bytes(32, 7))), taker, later, rng);
      InlineExecutor executor;
      executor.post([&] { queue.wake(); });
      run(executor, [](Queue* q) -> Task<void> { co_await q->idle(); }(&queue));
    }
    const int fd = ::open(file.c_str(), O_RDONLY);
    std::int64_t number;
    std::map<std::int64_t, int> before;
    while (::read(fd, &number, sizeof number) == sizeof number) ++before[number];
    ::close(fd);
    std::size_t twice = 0;
    for (const std::int64_t n : acked) {
      const int times = before[n] + taker.taken[n];
      EXPECT_GE(times, 1) << "lost " << n;
      if (times > 1) ++twice;
    }
    EXPECT_LE(twice, QueueOptions{}.parallel) << "only attempts that were cut short are repeated";
  }
  EXPECT_GE(acknowledged, static_cast<std::size_t>(k_rounds));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace latchkey::mail
