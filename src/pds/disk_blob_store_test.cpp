#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "pds/blob_store.h"
#include "store/testing.h"

namespace latchkey::pds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct DiskStore : ::testing::Test {
  store::TemporaryFolder folder;
  const std::string root = folder.path() + "/deep/blobs";
  ThreadPool pool{1};
  DiskBlobStore disk{root, pool};

  static Tid tid(std::uint64_t micros) { return Tid::from(micros, 7); }
  static BlobKey key(std::int64_t account_id, std::string_view content, std::uint64_t micros) {
    return {account_id, Cid::of_raw(as_bytes(content)), tid(micros)};
  }
  void put(const BlobKey& key, std::string_view content) {
    auto writer = run(disk.create(key.account_id, key.upload));
    for (const char c : content) run(writer->write(Bytes{static_cast<std::uint8_t>(c)}));
    run(writer->keep(key.cid));
  }
  std::optional<std::string> get(const BlobKey& key, std::size_t most = 3) {
    const auto reader = run(disk.open(key));
    if (!reader) return std::nullopt;
    std::string out;
    while (auto piece = run(reader->read(most))) {
      EXPECT_LE(piece->size(), most);
      out += as_text(*piece);
    }
    EXPECT_EQ(out.size(), reader->size());
    return out;
  }
  std::size_t files() const {
    std::size_t n = 0;
    if (!std::filesystem::exists(root)) return 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      n += entry.is_regular_file();
    return n;
  }
};

TEST_F(DiskStore, GivesBackWhatWasKept) {
  const auto one = key(1, "hello, world", 5);
  EXPECT_EQ(get(one), std::nullopt);
  put(one, "hello, world");
  EXPECT_EQ(get(one), "hello, world");
  EXPECT_EQ(get(key(2, "hello, world", 5)), std::nullopt) << "another account's";
  EXPECT_EQ(get(key(1, "hello, world", 6)), std::nullopt) << "another upload's";
  const auto reader = run(disk.open(one));
  reader->seek(7);
  EXPECT_EQ(as_text(run(reader->read(100)).value()), "world");
}

TEST_F(DiskStore, WhatIsNotKeptLeavesNothing) {
  auto writer = run(disk.create(1, tid(5)));
  run(writer->write(to_bytes(std::string_view("abc"))));
  EXPECT_EQ(files(), 1u);
  writer.reset();
  EXPECT_EQ(files(), 0u);
}

TEST_F(DiskStore, RemovesOneUploadAndNoOther) {
  put(key(1, "abc", 5), "abc");
  put(key(1, "abc", 6), "abc");
  put(key(2, "abc", 5), "abc");
  run(disk.remove({key(1, "abc", 5), key(1, "never there", 5)}));
  EXPECT_EQ(get(key(1, "abc", 5)), std::nullopt);
  EXPECT_EQ(get(key(1, "abc", 6)), "abc");
  EXPECT_EQ(get(key(2, "abc", 5)), "abc");
  run(disk.remove({key(1, "abc", 6), key(2, "abc", 5)}));
  EXPECT_THAT(run(disk.accounts()), IsEmpty()) << "empty folders go";
  put(key(1, "abc", 7), "abc");
  EXPECT_EQ(get(key(1, "abc", 7)), "abc") << "and come back";
}

TEST_F(DiskStore, AReaderIsNotDisturbedByARemoval) {
  put(key(1, "abcdef", 5), "abcdef");
  const auto reader = run(disk.open(key(1, "abcdef", 5)));
  EXPECT_EQ(as_text(run(reader->read(2)).value()), "ab");
  run(disk.remove({key(1, "abcdef", 5)}));
  EXPECT_EQ(as_text(run(reader->read(100)).value()), "cdef");
}

TEST_F(DiskStore, ListsItsOwnFilesOnly) {
  EXPECT_THAT(run(disk.accounts()), IsEmpty());
  EXPECT_THAT(run(disk.list(1)), IsEmpty());
  put(key(12, "abc", 5), "abc");
  std::filesystem::create_directories(root + "/did:plc:abc");
  std::filesystem::create_directories(root + "/12x");
  std::ofstream(root + "/12/notes.txt") << "of the operator";
  std::ofstream(root + "/12/" + key(12, "abc", 5).cid.str() + "-backup") << "of the operator";
  EXPECT_THAT(run(disk.accounts()), ElementsAre(12));
  EXPECT_THAT(run(disk.list(12)), ElementsAre(key(12, "abc", 5)));
}

TEST_F(DiskStore, UnfinishedUploadsAreRemovedByAge) {
  auto old = run(disk.create(1, tid(5))), young = run(disk.create(1, tid(6)));
  run(disk.remove_unfinished(tid(6)));
  EXPECT_EQ(files(), 1u);
  run(young->keep(Cid::of_raw({})));
  EXPECT_EQ(files(), 1u);
}

TEST_F(DiskStore, AttackBlob_FilesAreForTheServerAlone) {
  put(key(1, "abc", 5), "abc");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    EXPECT_EQ(entry.status().permissions() &
                  (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
              std::filesystem::perms::none)
        << entry.path();
}

}  // namespace
}  // namespace latchkey::pds
