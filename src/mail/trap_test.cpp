#include "mail/trap.h"

#include <gtest/gtest.h>

#include <thread>

namespace latchkey::mail {
namespace {

Message mail_to(std::string_view to, std::string subject) {
  return {
      .to = *EmailAddress::parse(to), .subject = std::move(subject), .text = "text", .html = "<p>html</p>"};
}

TEST(Trap, ListsMailsOldestFirst) {
  FakeClock clock;
  Trap trap(clock);
  EXPECT_TRUE(run(trap.send(mail_to("alice@example.com", "one"))));
  clock.advance(std::chrono::seconds(5));
  EXPECT_TRUE(run(trap.send(mail_to("bob@example.com", "two"))));
  const auto mails = trap.list();
  ASSERT_EQ(mails.size(), 2u);
  EXPECT_EQ(mails[0].subject, "one");
  EXPECT_EQ(mails[0].text, "text");
  EXPECT_EQ(mails[0].html, "<p>html</p>");
  EXPECT_EQ(mails[1].to, "bob@example.com");
  EXPECT_EQ(mails[1].at - mails[0].at, std::chrono::seconds(5));
}

TEST(Trap, FiltersByAddressWhateverItsCase) {
  FakeClock clock;
  Trap trap(clock);
  run(trap.send(mail_to("alice@example.com", "one"))).value();
  run(trap.send(mail_to("bob@example.com", "two"))).value();
  ASSERT_EQ(trap.list(" Alice@Example.com").size(), 1u);
  EXPECT_EQ(trap.list("alice@example.com")[0].subject, "one");
  EXPECT_TRUE(trap.list("carol@example.com").empty());
  EXPECT_TRUE(trap.list("no address").empty());
}

TEST(Trap, KeepsTheNewest) {
  FakeClock clock;
  Trap trap(clock, 3);
  for (const char* subject : {"1", "2", "3"}) run(trap.send(mail_to("a@example.com", subject))).value();
  EXPECT_EQ(trap.list().size(), 3u);
  EXPECT_TRUE(trap.find(1));
  run(trap.send(mail_to("a@example.com", "4"))).value();
  EXPECT_EQ(trap.list().size(), 3u);
  EXPECT_FALSE(trap.find(1));
  EXPECT_EQ(trap.find(4)->subject, "4");
}

TEST(Trap, TakesMailsFromManyThreads) {
  FakeClock clock;
  Trap trap(clock, 1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) run(trap.send(mail_to("a@example.com", "x"))).value();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(trap.list().size(), 400u);
  EXPECT_EQ(trap.list().back().id, 400u);
}

}  // namespace
}  // namespace latchkey::mail
