// kill -9 in the middle of sign-ups and writes: every acknowledged account works and every acknowledged
// record is there with its blob, the directory and the database know the same accounts, and each has its
// repository.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "atproto/repo/export.h"
#include "pds/crash_plc.h"
#include "pds/repo_export.h"
#include "pds/schema.h"

namespace latchkey::pds {
namespace {

using Acked = std::map<std::string, std::set<std::string>>;  // did -> record keys

void run_and_kill(const std::string& directory, const std::string& name, std::size_t acks, Acked& acked) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string db = directory + "/db", plc = directory + "/plc";
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execl(PDS_CRASH_CHILD, PDS_CRASH_CHILD, db.c_str(), plc.c_str(), name.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::size_t count = 0;
  Ack ack;
  while (::read(ends[0], &ack, sizeof ack) == sizeof ack) {  // to the end: also what it said while it died
    auto& keys = acked[ack.did];
    if (ack.rkey[0]) keys.insert(ack.rkey);
    if (++count == acks) EXPECT_EQ(::kill(child, SIGKILL), 0);
  }
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself: " << status;
}

Task<std::string> exported(Pds* server, Account account) {
  auto spool = co_await export_repo(&server->db(), &server->repos().cache(), account, 1 << 20);
  if (!spool) co_return "";
  std::string out;
  while (auto piece = spool->read()) out += as_text(*piece);
  co_return out;
}

TEST(Crash, LeavesAccountsWholeOrNotAtAll) {
  std::string directory = (std::filesystem::temp_directory_path() / "latchkey-pds-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  store::migrate(*store::open_sqlite(directory + "/db"), migrations());
  SeededRng rng(5);
  Acked acked;
  for (int round = 0; round < 10 && !::testing::Test::HasFailure(); ++round) {
    run_and_kill(directory, "r" + std::to_string(round), 1 + rng.below(60), acked);

    auto db = store::open_sqlite(directory + "/db");
    FilePlc plc(directory + "/plc");
    FakeClock clock(Time(std::chrono::years(100)));  // after everything the child did
    ThreadPool passwords(1), reads(1);
    DiskBlobStore blob_store(directory + "/db-blobs", reads);
    Pds server(crash_config(), {.db = *db,
                                .clock = clock,
                                .rng = rng,
                                .passwords = passwords,
                                .reads = reads,
                                .plc = plc,
                                .blobs = blob_store,
                                .sealer = crash_sealer()});
    EXPECT_EQ(run(server.resume_unfinished(Unfinished::all)), 0u);

    const auto listed = run(db->read([](store::Tx& tx) { return accounts::list(tx, 0, 100'000); }));
    std::set<std::string> here, there;
    for (const auto& each : listed) here.insert(each.account.did.str());
    for (const auto& [did, _] : plc.operations()) there.insert(did);
    EXPECT_EQ(here, there) << "the directory and the database know the same accounts";
    for (const auto& [account, _] : listed) {
      const auto data = plc.operations().at(account.did.str()).data().value();
      const auto key = crypto::PublicKey::from_did_key(data.verification_methods.at("atproto")).value();
      const auto car = run(exported(&server, account));
      const auto verified = repo::verify_car(as_bytes(car), account.did, key);
      ASSERT_TRUE(verified) << verified.error().message;
      for (const auto& rkey : acked[account.did.str()])
        EXPECT_TRUE(verified->tree.contains("com.example.note/" + rkey)) << "lost " << rkey;
    }
    // Every blob of a record has its file, and every file its row.
    for (const auto& [account, _] : listed) {
      const auto rows = run(db->read([id = account.id](store::Tx& tx) {
        return blobs::list(tx, id, std::nullopt, std::nullopt, 1000);
      }));
      for (const auto& blob : rows) EXPECT_TRUE(run(server.blobs().open(account, blob))) << blob.cid.str();
      EXPECT_TRUE(run(db->read([id = account.id](store::Tx& tx) {
                    return blobs::missing(tx, id, std::nullopt, 1000);
                  })).empty());
      const auto files = run(blob_store.list(account.id));
      EXPECT_TRUE(run(db->read([&](store::Tx& tx) { return blobs::unknown(tx, files); })).empty());
    }
    for (const auto& [did, _] : acked) EXPECT_TRUE(here.contains(did)) << "lost " << did;
  }
  EXPECT_GE(acked.size(), 10u);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace latchkey::pds
