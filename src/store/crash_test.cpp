// Every acknowledged write survives SIGKILL at any moment.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/rng.h"
#include "store/migrate.h"

namespace latchkey::store {
namespace {

constexpr Migration k_schema[] = {{"crash", 1,
                                   "CREATE TABLE acked (id BIGINT PRIMARY KEY, filler TEXT NOT NULL);"
                                   "CREATE TABLE total (n BIGINT NOT NULL);"
                                   "INSERT INTO total (n) VALUES (0);"}};
constexpr Sql k_ids{"SELECT id FROM acked"};
constexpr Sql k_total{"SELECT n, (SELECT COUNT(*) FROM acked) FROM total"};
constexpr Sql k_integrity{"PRAGMA integrity_check"};

/// Starts a writer, kills it after `acks` acknowledged ids, and returns all it acknowledged.
std::set<std::int64_t> killed_after(const std::string& path, std::int64_t first_id, std::size_t acks) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const std::string first = std::to_string(first_id);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(STORE_CRASH_CHILD, STORE_CRASH_CHILD, path.c_str(), first.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::set<std::int64_t> acked;
  std::int64_t id;
  bool killed = false;
  while (::read(ends[0], &id, sizeof id) ==
         sizeof id) {  // to the end: also what was acknowledged while it died
    acked.insert(id);
    if (!killed && acked.size() >= acks) {
      EXPECT_EQ(::kill(child, SIGKILL), 0);
      killed = true;
    }
  }
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the writer ended by itself: " << status;
  return acked;
}

TEST(Crash, EveryAcknowledgedWriteSurvivesSigkill) {
  std::string directory = (std::filesystem::temp_directory_path() / "latchkey-crash-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/db";
  migrate(*open_sqlite(path), k_schema);

  SeededRng rng(7);
  std::set<std::int64_t> acked;
  constexpr int k_rounds = 30;
  for (int round = 0; round < k_rounds && !::testing::Test::HasFailure(); ++round) {
    // Ids of a round never meet those of another.
    const auto fresh = killed_after(path, std::int64_t{round} * 1'000'000 + 1, 1 + rng.below(120));
    acked.insert(fresh.begin(), fresh.end());

    auto db = open_sqlite(path);
    run(db->read([&](Tx& tx) {
      std::set<std::int64_t> there;
      tx.each(k_ids, [&](Row& row) { there.insert(row.int64(0)); });
      for (const std::int64_t id : acked) EXPECT_TRUE(there.contains(id)) << "lost " << id;
      // The two statements of a write are there together or not at all.
      const auto total = tx.one(k_total);
      EXPECT_EQ(total->int64(0), total->int64(1));
      EXPECT_EQ(tx.one(k_integrity)->text(0), "ok");
    }));
  }
  EXPECT_GE(acked.size(), static_cast<std::size_t>(k_rounds));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace latchkey::store
