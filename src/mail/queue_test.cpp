#include "mail/queue.h"

#include <gmock/gmock.h>

#include "mail/schema.h"
#include "store/testing.h"

namespace latchkey::mail {
namespace {
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = MailError::Kind;

constexpr store::Sql k_all{"SELECT id, sealed FROM mail_queue ORDER BY id"};
constexpr store::Sql k_swap{"UPDATE mail_queue SET sealed = ?2 WHERE id = ?1"};

// The next server: takes what comes unless told otherwise, and can keep attempts waiting.
class NextServer final : public Sender {
 public:
  Task<Result<void, MailError>> send(Message message) override {
    seen.push_back(message);
    at_once = std::max(at_once, ++running);
    if (hold) {
      held.emplace_back();
      co_await Completion<bool>(held.back());
    }
    --running;
    if (answers.empty()) co_return Result<void, MailError>{};
    auto answer = answers.front();
    answers.erase(answers.begin());
    if (answer) co_return fail(*answer);
    co_return Result<void, MailError>{};
  }
  std::vector<std::string> subjects() const {
    std::vector<std::string> out;
    for (const auto& m : seen) out.push_back(m.subject);
    return out;
  }

  void release() {
    hold = false;
    for (const auto& attempt : held) attempt.deliver(true);
  }

  std::vector<Message> seen;
  std::vector<std::optional<MailError>> answers;
  bool hold = false;
  std::vector<Completion<bool>> held;
  int running = 0, at_once = 0;
};

Message mail(std::string subject) {
  return {.to = *EmailAddress::parse("alice@example.com"),
          .subject = std::move(subject),
          .text = "code 04718252",
          .html = "<p>04718252</p>"};
}

class MailQueue : public store::EngineTest {
 protected:
  struct Process {
    Process(MailQueue& t, store::Database& db, QueueOptions options, std::uint8_t key)
        : rng(++t.processes_),
          queue(options, db, crypto::Sealer(Secret<Bytes>(Bytes(32, key))), t.next_, t.clock_, rng) {}
    SeededRng rng;
    Queue queue;
  };
  void SetUp() override {
    EngineTest::SetUp();
    if (!IsSkipped()) db_.emplace(GetParam(), migrations());
  }
  std::unique_ptr<Process> process(QueueOptions options = {}, std::uint8_t key = 7) {
    return std::make_unique<Process>(*this, **db_, options, key);
  }
  Result<void, MailError> send(Queue& queue, Message message) {
    auto sent = run(executor_, queue.send(std::move(message)));
    run(executor_, queue.idle());
    return sent;
  }
  void wake(Queue& queue) {
    executor_.post([&] { queue.wake(); });
    run(executor_, settle(&queue));
  }
  static Task<void> settle(Queue* queue) { co_await queue->idle(); }
  store::Rows rows() {
    return run(executor_, (*db_)->read([](store::Tx& tx) { return tx.query(k_all); }));
  }

  InlineExecutor executor_;
  std::optional<store::TestDatabase> db_;
  FakeClock clock_;
  NextServer next_;
  std::uint64_t processes_ = 0;
};

const MailError k_later{Kind::refused, 0, "no connection"};
const MailError k_never{Kind::recipient, 550, "unknown"};

TEST_P(MailQueue, SendsAtOnceAndLeavesNoRow) {
  const auto p = process();
  EXPECT_TRUE(send(p->queue, mail("one")));
  EXPECT_THAT(next_.subjects(), ElementsAre("one"));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, AttackTiming_AMailToNobodyIsARowLikeOthersAndNeverHandedOn) {
  // All slots are taken, so that the rows stay to be looked at.
  const auto p = process({.parallel = 1});
  next_.hold = true;
  EXPECT_TRUE(run(executor_, p->queue.send(mail("six"))));
  EXPECT_TRUE(run(executor_, p->queue.send(mail("two"))));
  run(executor_, p->queue.send_to_nobody(mail("one")));
  const auto waiting = rows();
  ASSERT_EQ(waiting.size(), 3u);
  for (const auto& row : waiting) EXPECT_EQ(row.blob(1).size(), waiting[0].blob(1).size());
  next_.release();
  run(executor_, p->queue.idle());
  EXPECT_THAT(next_.subjects(), ElementsAre("six", "two"));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, AttackTiming_TheRowOfAMailToNobodyStaysAsLongAsTheLastMailTook) {
  const auto p = process();
  next_.hold = true;
  EXPECT_TRUE(run(executor_, p->queue.send(mail("one"))));
  clock_.advance(30ms);
  next_.release();
  run(executor_, p->queue.idle());
  bool before = false;  // in the executor's time, which goes on only from one waiting job to the next
  executor_.post_after(29ms, [&before] { before = true; });
  run(executor_, p->queue.send_to_nobody(mail("two")));
  run(executor_, p->queue.idle());
  EXPECT_THAT(rows(), IsEmpty());
  EXPECT_TRUE(before) << "not sooner";
}

TEST_P(MailQueue, AMailToNobodyGoesWithItsProcess) {
  const auto p = process({.parallel = 0});  // it ends before it looks at its rows
  run(executor_, p->queue.send_to_nobody(mail("one")));
  EXPECT_EQ(rows().size(), 1u);
  const auto other = process();
  clock_.advance(1h);
  wake(other->queue);
  EXPECT_THAT(next_.subjects(), IsEmpty());
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, TheMailIsOnDiskBeforeItIsSent) {
  const auto p = process();
  next_.hold = true;
  EXPECT_TRUE(run(executor_, p->queue.send(mail("one"))));
  EXPECT_EQ(rows().size(), 1u);
  next_.release();
  run(executor_, p->queue.idle());
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, TriesAgainLaterAndLaterWithTheSameMail) {
  const auto p = process();
  next_.answers = {k_later, k_later};
  Message message = mail("one");
  message.from = EmailAddress::parse("other@example.com").value();
  message.from_name = "An App";
  message.deadline = clock_.now() + 10min;
  EXPECT_TRUE(send(p->queue, message)) << "the caller does not wait for attempts";
  wake(p->queue);
  EXPECT_EQ(next_.seen.size(), 1u) << "not before its time";
  clock_.advance(retry_delay(1) - 1us);
  wake(p->queue);
  EXPECT_EQ(next_.seen.size(), 1u);
  clock_.advance(1us);
  wake(p->queue);
  EXPECT_EQ(next_.seen.size(), 2u);
  clock_.advance(retry_delay(2) - 1us);
  wake(p->queue);
  EXPECT_EQ(next_.seen.size(), 2u);
  clock_.advance(1us);
  wake(p->queue);
  ASSERT_EQ(next_.seen.size(), 3u);
  EXPECT_THAT(rows(), IsEmpty());
  for (const auto& m : next_.seen) {
    EXPECT_EQ(m.id, next_.seen[0].id) << "a receiver recognises it by its Message-ID";
    EXPECT_EQ(m.date, next_.seen[0].date);
    EXPECT_EQ(m.to, message.to);
    EXPECT_EQ(m.from, message.from);
    EXPECT_EQ(m.from_name, "An App");
    EXPECT_EQ(m.text, message.text);
    EXPECT_EQ(m.html, message.html);
    EXPECT_EQ(m.deadline, message.deadline);
  }
  EXPECT_LT(retry_delay(1), retry_delay(2));
  EXPECT_EQ(retry_delay(1000), 1h);
}

TEST_P(MailQueue, DropsWhatIsRefusedForGood) {
  const auto p = process();
  next_.answers = {k_never};
  EXPECT_TRUE(send(p->queue, mail("one")));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, WaitsUntilTheOperatorHasMendedLoginOrCertificate) {
  const auto p = process();
  for (const auto& trouble : {MailError{Kind::login, 535, "no"}, MailError{Kind::tls, 0, "expired"}}) {
    next_.answers = {trouble};
    EXPECT_TRUE(send(p->queue, mail("one")));
    EXPECT_EQ(rows().size(), 1u);
    clock_.advance(retry_delay(1));
    wake(p->queue);
    EXPECT_THAT(rows(), IsEmpty());
  }
}

TEST_P(MailQueue, SendsNoCodeAfterItHasExpired) {
  const auto p = process();
  for (const bool late : {false, true}) {
    next_ = {};
    next_.answers = {k_later};
    Message message = mail("code");
    message.deadline = clock_.now() + retry_delay(1) + 1us;
    EXPECT_TRUE(send(p->queue, message));
    EXPECT_EQ(rows().size(), 1u);
    clock_.advance(retry_delay(1) + (late ? 1us : 0us));
    wake(p->queue);
    EXPECT_EQ(next_.seen.size(), late ? 1u : 2u);
    EXPECT_THAT(rows(), IsEmpty());
  }
}

TEST_P(MailQueue, DoesNotWaitForAnAttemptThatWouldComeTooLate) {
  const auto p = process();
  next_.answers = {k_later};
  Message message = mail("code");
  message.deadline = clock_.now() + retry_delay(1);
  EXPECT_TRUE(send(p->queue, message));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, GivesUpWhatNobodyTakesForADay) {
  const auto p = process();
  next_.answers = std::vector<std::optional<MailError>>(1000, k_later);
  EXPECT_TRUE(send(p->queue, mail("notice")));
  const Time sent = clock_.now();
  while (!rows().empty()) {
    clock_.advance(1h);
    wake(p->queue);
  }
  EXPECT_GE(clock_.now() - sent, 23h);
  EXPECT_LE(clock_.now() - sent, 24h);
}

TEST_P(MailQueue, AttackFlood_IsFullAtItsLimit) {
  const auto p = process({.limit = 2});
  next_.answers = std::vector<std::optional<MailError>>(3, k_later);
  EXPECT_TRUE(send(p->queue, mail("one")));
  EXPECT_TRUE(send(p->queue, mail("two")));
  const auto third = send(p->queue, mail("three"));
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().cause, MailError::Cause::full);
  EXPECT_EQ(third.error().detail, "2 mails are waiting to be sent, no more are taken");
  EXPECT_THAT(next_.subjects(), ElementsAre("one", "two")) << "those that wait keep their place";
  next_.answers.clear();
  clock_.advance(1h);
  wake(p->queue);
  EXPECT_TRUE(send(p->queue, mail("three")));
}

TEST_P(MailQueue, AttackDatabaseReader_SeesNeitherCodesNorAddresses) {
  const auto p = process();
  next_.answers = {k_later};
  EXPECT_TRUE(send(p->queue, mail("04718252 is your code")));
  const auto all = rows();
  ASSERT_EQ(all.size(), 1u);
  const std::string sealed = to_string(all[0].blob(1));
  EXPECT_THAT(sealed, Not(HasSubstr("04718252")));
  EXPECT_THAT(sealed, Not(HasSubstr("alice")));
}

TEST_P(MailQueue, AttackSwappedRows_AreNotOpened) {
  const auto p = process();
  next_.answers = {k_later, k_later};
  EXPECT_TRUE(send(p->queue, mail("one")));
  EXPECT_TRUE(send(p->queue, mail("two")));
  const auto all = rows();
  ASSERT_EQ(all.size(), 2u);
  run(executor_, (*db_)->write([&](store::Tx& tx) { tx.exec(k_swap, all[0].text(0), all[1].blob(1)); }));
  clock_.advance(1h);
  wake(p->queue);
  EXPECT_EQ(next_.seen.size(), 3u) << "only the row that was left alone";
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, AMailSealedWithAnotherKeyIsDropped) {
  next_.answers = {k_later};
  EXPECT_TRUE(send(process()->queue, mail("one")));
  clock_.advance(1h);
  const auto other = process({}, 8);
  wake(other->queue);
  EXPECT_EQ(next_.seen.size(), 1u);
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, KeepsToItsNumberOfAttemptsAtATime) {
  const auto p = process({.parallel = 3});
  next_.hold = true;
  for (const char* subject : {"1", "2", "3", "4", "5", "6", "7"})
    EXPECT_TRUE(run(executor_, p->queue.send(mail(subject))));
  EXPECT_EQ(next_.seen.size(), 3u);
  next_.release();
  run(executor_, p->queue.idle());
  EXPECT_EQ(next_.seen.size(), 7u) << "those that found no slot follow without waiting for the next look";
  EXPECT_EQ(next_.at_once, 3);
}

TEST_P(MailQueue, TwoProcessesDoNotSendTheSameMail) {
  // On PostgreSQL with a connection of its own, as another process has.
  const auto other_db = GetParam() == store::Engine::postgres ? db_->open_again() : nullptr;
  const auto a = process();
  const auto b = std::make_unique<Process>(*this, other_db ? *other_db : **db_, QueueOptions{}, 7);
  next_.answers = std::vector<std::optional<MailError>>(6, k_later);
  for (const char* subject : {"1", "2", "3", "4", "5", "6"}) EXPECT_TRUE(send(a->queue, mail(subject)));
  clock_.advance(1h);
  next_.answers.clear();
  next_.seen.clear();
  executor_.post([&] {
    a->queue.wake();
    b->queue.wake();
  });
  run(executor_, settle(&a->queue));
  run(executor_, settle(&b->queue));
  auto subjects = next_.subjects();
  std::ranges::sort(subjects);
  EXPECT_THAT(subjects, ElementsAre("1", "2", "3", "4", "5", "6"));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, WhatADeadProcessHeldIsAnothersAfterItsLease) {
  const QueueOptions options;
  const auto dead = process(), alive = process();
  next_.answers = {k_later};
  EXPECT_TRUE(send(dead->queue, mail("one")));
  clock_.advance(1h);
  run(executor_, (*db_)->write([&](store::Tx& tx) {
    return rows::claim(tx, clock_.now(), clock_.now() + options.lease, "dead");
  }));
  clock_.advance(std::chrono::microseconds(options.lease) - 1us);
  wake(alive->queue);
  EXPECT_EQ(next_.seen.size(), 1u);
  clock_.advance(1us);
  wake(alive->queue);
  EXPECT_EQ(next_.seen.size(), 2u);
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, AStartTakesUpWhatTheLastRunHeldWhereThereIsOneServer) {
  const auto dead = process(), next = process();
  next_.hold = true;
  EXPECT_TRUE(run(executor_, dead->queue.send(mail("held by another"))));
  EXPECT_TRUE(run(executor_, next->queue.send(mail("held by itself"))));
  EXPECT_EQ(next_.seen.size(), 2u);
  const std::size_t expected = GetParam() == store::Engine::sqlite ? 3u : 2u;
  next->queue.start(executor_);
  bool looked = false;
  executor_.post_after(QueueOptions{}.poll * 3, [&] { looked = true; });
  executor_.run_until([&] { return looked && next_.seen.size() >= expected; });
  EXPECT_EQ(next_.seen.size(), expected);
  EXPECT_EQ(next_.seen.back().subject, expected == 3 ? "held by another" : "held by itself");
  next_.release();
  run(executor_, next->queue.stop());
  run(executor_, dead->queue.stop());
}

TEST_P(MailQueue, StopEndsTheAttemptUnderWayAndBeginsNoOther) {
  const auto p = process({.parallel = 1});
  next_.hold = true;
  EXPECT_TRUE(run(executor_, p->queue.send(mail("one"))));
  EXPECT_TRUE(run(executor_, p->queue.send(mail("two"))));
  auto stopped = p->queue.stop();
  next_.release();
  run(executor_, std::move(stopped));
  EXPECT_THAT(next_.subjects(), ElementsAre("one"));
  EXPECT_TRUE(run(executor_, p->queue.send(mail("three"))));
  EXPECT_THAT(next_.subjects(), ElementsAre("one"));
  EXPECT_EQ(rows().size(), 2u);

  const auto again = process();
  wake(again->queue);
  EXPECT_EQ(next_.seen.size(), 3u);
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_P(MailQueue, LooksRegularlyUntilStopped) {
  const auto p = process();
  next_.answers = {k_later};
  EXPECT_TRUE(send(p->queue, mail("one")));
  clock_.advance(1h);
  p->queue.start(executor_);
  executor_.run_until([&] { return next_.seen.size() == 2; });
  run(executor_, p->queue.stop());
}

INSTANTIATE_TEST_SUITE_P(Store, MailQueue, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::mail
