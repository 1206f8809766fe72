#pragma once
// Mails that survive: written to the database before send() returns, handed on outside of the request, tried
// again when the next server is not there, given up when nobody would want them any more.

#include <chrono>
#include <mutex>
#include <string>

#include "base/executor.h"
#include "base/rng.h"
#include "base/task_group.h"
#include "crypto/aead.h"
#include "mail/queue_rows.h"
#include "mail/sender.h"
#include "store/database.h"

namespace latchkey::mail {

struct QueueOptions {
  std::size_t limit = 10'000;      // mails waiting, in all processes; about, when many come at once
  std::size_t parallel = 4;        // attempts of this process at a time
  std::chrono::seconds lease{90};  // longer than any attempt takes
  std::chrono::hours max_age{24};  // since send(), for mails without a deadline of their own
  std::chrono::seconds poll{5};    // how often to look for mails that have become due
};

/// At least once: after a crash in the middle of an attempt the mail goes out again, under the same
/// Message-ID. Several processes may share one PostgreSQL; a mail belongs to one of them at a time, and when
/// that one dies to another after `lease`. An SQLite file has one server: what its last run held is taken up
/// at the start.
///
/// The rows are sealed: what they hold signs people in.
class Queue final : public Sender {
 public:
  /// The database is migrated with mail::migrations(). All of the parts outlive the queue.
  Queue(QueueOptions options, store::Database& db, crypto::Sealer sealer, Sender& next, const Clock& clock,
        Rng& rng);

  /// Success: the mail is on disk. A full queue refuses newcomers with Cause::full: those that wait were
  /// promised. Throws what the database throws.
  Task<Result<void, MailError>> send(Message message) override;
  /// The same rows for as long as the last mail took, and the mail is dropped where it would have been handed
  /// on.
  Task<void> send_to_nobody(Message message) override;

  /// Looks for due mails now and every `poll`, on this executor, which stops before the queue goes. For the
  /// server itself: on SQLite every mail becomes its own.
  void start(Executor& executor);
  /// Begins attempts for what is due, as many as may run at a time, and returns. start() calls it.
  void wake();
  /// No attempt begins any more; resumes when those under way have ended. What waits stays in the database.
  Task<void> stop();
  /// Resumes when no attempt is under way.
  Task<void> idle() { return attempts_.idle(); }

 private:
  enum class Whose : std::uint8_t { recipients = 1, nobodys = 2 };  // the first byte of what is sealed
  struct Item {
    rows::Row row;
    Message message;
    Time sent_at;
    Whose whose;
  };
  Task<Result<void, MailError>> keep(Message message, Whose whose);
  std::optional<Item> open(rows::Row row) const;
  Bytes seal(const Item& item) const;
  Task<void> begin(Executor* executor);
  void look_regularly(Executor* executor);
  bool take_slot();
  /// False when there may be something new to look for; the slot is kept then.
  bool give_back_slot();
  Task<void> deliver_all(std::optional<Item> first);
  Task<void> deliver(Item item);
  Task<Result<void, MailError>> hand_on(Whose whose, Message message);
  Task<void> forget(std::string id);

  const QueueOptions options_;
  store::Database& db_;
  crypto::Sealer sealer_;
  Sender& next_;
  const Clock& clock_;
  Rng& rng_;
  const std::string lease_;  // this process's name in the rows
  TaskGroup attempts_;

  std::mutex mutex_;
  std::size_t running_ = 0;
  std::chrono::milliseconds took_{0};  // to hand on the last mail
  bool look_again_ = false;            // a mail came while all slots were taken
  bool stopping_ = false;
};

/// How long to wait after the n-th failed attempt: seconds at first, since somebody waits for a code.
std::chrono::seconds retry_delay(std::int64_t attempts);

}  // namespace latchkey::mail
