#include "mail/folder.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "mail/trap.h"

namespace latchkey::mail {
namespace {

using ::testing::HasSubstr;

class MailFolder : public ::testing::Test {
 protected:
  MailFolder() {
    char folder[] = "/tmp/latchkey-folder-XXXXXX";
    dir_ = std::string(::mkdtemp(folder)) + "/mails";
  }
  ~MailFolder() override { std::filesystem::remove_all(std::filesystem::path(dir_).parent_path()); }
  void send(Folder& folder, std::string subject) {
    clock_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(run(folder.send(
        {.to = *EmailAddress::parse("alice@example.com"), .subject = subject, .text = "text", .html = ""})));
  }
  std::vector<std::string> files() const {  // their texts, by name
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(dir_)) paths.push_back(entry.path());
    std::ranges::sort(paths);
    std::vector<std::string> out;
    for (const auto& path : paths) {
      std::ifstream in(path, std::ios::binary);
      out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return out;
  }
  FakeClock clock_;
  SeededRng rng_;
  Trap trap_{clock_};
  std::string dir_;
  const From from_{*EmailAddress::parse("login@latchkey.test"), "Latchkey"};
};

TEST_F(MailFolder, KeepsAMailAsItWouldLeaveAndHandsItOn) {
  Folder folder(dir_, from_, trap_, clock_, rng_);
  send(folder, "one");
  ASSERT_EQ(files().size(), 1u);
  EXPECT_THAT(files()[0],
              HasSubstr("From: \"Latchkey\"\r\n <login@latchkey.test>\r\nTo: alice@example.com\r\n"));
  EXPECT_EQ(trap_.list().size(), 1u);
}

TEST_F(MailFolder, TheOldestGoAlsoThoseOfAnEarlierRun) {
  {
    Folder folder(dir_, from_, trap_, clock_, rng_, 2);
    send(folder, "one");
    send(folder, "two");
    EXPECT_EQ(files().size(), 2u);
  }
  Folder folder(dir_, from_, trap_, clock_, rng_, 2);
  send(folder, "three");
  ASSERT_EQ(files().size(), 2u);
  EXPECT_THAT(files()[0], HasSubstr("Subject: two"));
  EXPECT_THAT(files()[1], HasSubstr("Subject: three"));
}

TEST_F(MailFolder, AFullDiskDoesNotStopAMail) {
  Folder folder(dir_, from_, trap_, clock_, rng_);
  std::filesystem::remove_all(dir_);
  send(folder, "one");
  EXPECT_EQ(trap_.list().size(), 1u);
}

}  // namespace
}  // namespace latchkey::mail
