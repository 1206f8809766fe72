#include "mail/queue.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace latchkey::mail {

namespace {
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds k_longest_pretence{2'000};  // a stop waits for it

// What is sealed: whose it is, then fields of four bytes length and text each. JSON would not do: a mail may
// hold any bytes.

void put(Bytes& out, std::string_view text) {
  const auto n = static_cast<std::uint32_t>(text.size());
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(n >> shift));
  append(out, as_bytes(text));
}
void put(Bytes& out, std::optional<Time> time) { put(out, time ? std::to_string(unix_micros(*time)) : ""); }

class Reader {
 public:
  explicit Reader(BytesView in) : in_(in) {}
  std::string text() {
    if (in_.size() < 4) return broken();
    std::uint32_t n = 0;
    for (int i = 0; i < 4; ++i) n = n << 8 | in_[static_cast<std::size_t>(i)];
    in_ = in_.subspan(4);
    if (in_.size() < n) return broken();
    std::string out = to_string(in_.first(n));
    in_ = in_.subspan(n);
    return out;
  }
  std::optional<Time> time() {
    const std::string number = text();
    if (number.empty()) return std::nullopt;
    return from_unix_micros(std::strtoll(number.c_str(), nullptr, 10));
  }
  bool complete() const { return good_ && in_.empty(); }

 private:
  std::string broken() {
    good_ = false;
    in_ = {};
    return {};
  }
  BytesView in_;
  bool good_ = true;
};

std::string context(std::string_view id) { return fmt::format("mail-queue:{}", id); }

// A wrong password here or a certificate there says nothing about the mail: it waits until that is mended.
bool is_worth_another_try(const MailError& e) {
  return e.temporary() || e.kind == MailError::Kind::login || e.kind == MailError::Kind::tls ||
         e.cause == MailError::Cause::full;
}

std::vector<log::Field> about(const EmailAddress& to, const MailError& e) {
  return {{"email", log::redact_email(to.str())}, {"kind", std::string(name(e.kind))}, {"detail", e.detail}};
}

}  // namespace

std::chrono::seconds retry_delay(std::int64_t attempts) {
  constexpr std::chrono::seconds k_delays[] = {5s, 15s, 30s, 1min, 2min, 5min, 15min, 30min, 1h};
  return k_delays[std::clamp<std::int64_t>(attempts - 1, 0, std::ssize(k_delays) - 1)];
}

Queue::Queue(QueueOptions options, store::Database& db, crypto::Sealer sealer, Sender& next,
             const Clock& clock, Rng& rng)
    : options_(options),
      db_(db),
      sealer_(std::move(sealer)),
      next_(next),
      clock_(clock),
      rng_(rng),
      lease_(rng.token(16)) {}

Bytes Queue::seal(const Item& item) const {
  const Message& m = item.message;
  Bytes plain{static_cast<std::uint8_t>(item.whose)};
  put(plain, m.to.str());
  put(plain, m.subject);
  put(plain, m.text);
  put(plain, m.html);
  put(plain, m.from ? m.from->str() : "");
  put(plain, m.from_name);
  put(plain, m.deadline);
  put(plain, item.sent_at);
  return sealer_.seal(plain, context(item.row.id), rng_);
}

std::optional<Queue::Item> Queue::open(rows::Row row) const {
  const auto plain = sealer_.open(row.sealed, context(row.id));
  if (!plain || plain->empty()) return std::nullopt;
  const auto whose = static_cast<Whose>(plain->front());
  if (whose != Whose::recipients && whose != Whose::nobodys) return std::nullopt;
  Reader in(BytesView(*plain).subspan(1));
  const auto to = EmailAddress::parse(in.text());
  if (!to) return std::nullopt;
  Message m{.to = *to, .subject = in.text(), .text = in.text(), .html = in.text()};
  if (const std::string from = in.text(); !from.empty()) {
    const auto address = EmailAddress::parse(from);
    if (!address) return std::nullopt;
    m.from = *address;
  }
  m.from_name = in.text();
  m.deadline = in.time();
  m.date = in.time();
  m.id = row.id;
  if (!in.complete() || !m.date) return std::nullopt;
  const Time sent_at = *m.date;
  return Item{std::move(row), std::move(m), sent_at, whose};
}

Task<Result<void, MailError>> Queue::send(Message message) {
  return keep(std::move(message), Whose::recipients);
}

Task<void> Queue::send_to_nobody(Message message) { co_await keep(std::move(message), Whose::nobodys); }

Task<Result<void, MailError>> Queue::keep(Message message, Whose whose) {
  const Time now = clock_.now();
  // Asked outside of the write: counting inside would make every two writers on PostgreSQL wait for another.
  if (!co_await db_.read([&](store::Tx& tx) { return rows::has_room(tx, options_.limit); }))
    co_return fail(
        MailError{MailError::Kind::other, 0,
                  fmt::format("{} mails are waiting to be sent, no more are taken", options_.limit),
                  MailError::Cause::full});
  Item item{{rng_.token(16), {}, 0}, std::move(message), now, whose};
  item.message.id = item.row.id;
  item.message.date = now;
  item.row.sealed = seal(item);

  // With a free slot the mail is ours from the start: it need not be looked for in the database.
  const bool at_once = take_slot();
  if (at_once) item.row.attempts = 1;
  const Time due = at_once ? now + options_.lease : now;
  const auto lease = at_once ? std::optional(lease_) : std::nullopt;
  std::exception_ptr failed;
  try {
    co_await db_.write([&](store::Tx& tx) { rows::insert(tx, item.row, due, lease); });
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed) {
    if (at_once) attempts_.spawn(deliver_all(std::nullopt));  // gives the slot back
    std::rethrow_exception(failed);
  }
  if (at_once)
    attempts_.spawn(deliver_all(std::move(item)));
  else
    wake();
  co_return Result<void, MailError>{};
}

void Queue::start(Executor& executor) {
  executor.post([this, &executor] { attempts_.spawn(begin(&executor)); });
}

Task<void> Queue::begin(Executor* executor) {
  try {
    if (db_.engine() == store::Engine::sqlite)
      co_await db_.write([&](store::Tx& tx) { rows::take_over(tx, lease_, clock_.now()); });
  } catch (const std::exception& e) {
    log::error("mail queue: the database does not answer", {{"detail", e.what()}});
  }
  look_regularly(executor);
}

void Queue::look_regularly(Executor* executor) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
  wake();
  executor->post_after(options_.poll, [this, executor] { look_regularly(executor); });
}

void Queue::wake() {
  {
    std::lock_guard lock(mutex_);
    look_again_ = true;
  }
  if (take_slot()) attempts_.spawn(deliver_all(std::nullopt));
}

Task<void> Queue::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  return attempts_.idle();
}

bool Queue::take_slot() {
  std::lock_guard lock(mutex_);
  if (stopping_ || running_ == options_.parallel) return false;
  ++running_;
  return true;
}

bool Queue::give_back_slot() {
  std::lock_guard lock(mutex_);
  if (std::exchange(look_again_, false) && !stopping_) return false;
  --running_;
  return true;
}

Task<void> Queue::deliver_all(std::optional<Item> item) {
  bool look = !item;  // a mail that came straight from send() says nothing about others
  for (;;) {
    try {
      if (item) co_await deliver(std::move(*item));
      item.reset();
      if (!std::exchange(look, true) && give_back_slot()) co_return;
      bool stopping = false;
      {
        std::lock_guard lock(mutex_);
        stopping = stopping_;
        look_again_ = false;  // what came before this moment is seen below
      }
      std::optional<rows::Row> row;
      if (!stopping) {
        const Time now = clock_.now();
        row = co_await db_.write(
            [&](store::Tx& tx) { return rows::claim(tx, now, now + options_.lease, lease_); });
      }
      if (!row) {
        if (give_back_slot()) co_return;
        continue;
      }
      const std::string id = row->id;
      item = open(*std::move(row));
      if (!item) {
        // Its key is another now. It can never be read again.
        log::error("a mail in the queue cannot be opened and is dropped");
        co_await forget(id);
      } else if (row = std::nullopt; take_slot()) {
        // One was there, so there may be more: somebody else looks while this one is delivered.
        attempts_.spawn(deliver_all(std::nullopt));
      }
    } catch (const std::exception& e) {
      // The lease will run out, and then the mail is tried again.
      log::error("mail queue: the database does not answer", {{"detail", e.what()}});
      std::lock_guard lock(mutex_);
      --running_;
      co_return;
    }
  }
}

Task<Result<void, MailError>> Queue::hand_on(Whose whose, Message message) {
  if (whose == Whose::nobodys) {
    // Its row goes when that of a mail would.
    co_await sleep_for([this] {
      std::lock_guard lock(mutex_);
      return std::min(took_, k_longest_pretence);
    }());
    co_return Result<void, MailError>{};
  }
  const Time began = clock_.now();
  auto sent = co_await next_.send(std::move(message));
  std::lock_guard lock(mutex_);
  took_ = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - began);
  co_return sent;
}

Task<void> Queue::deliver(Item item) {
  const EmailAddress to = item.message.to;
  const Time last = item.message.deadline.value_or(item.sent_at + options_.max_age);
  if (clock_.now() >= last) {
    log::warn("mail not sent: it came too late", {{"email", log::redact_email(to.str())}});
    co_return co_await forget(item.row.id);
  }
  std::optional<MailError> error;
  try {
    auto sent = co_await hand_on(item.whose, item.message);
    if (!sent) error = std::move(sent.error());
  } catch (const std::exception& e) {
    error = MailError{MailError::Kind::refused, 0, e.what()};
  }
  if (!error) co_return co_await forget(item.row.id);
  if (!is_worth_another_try(*error)) {
    log::error("mail refused", about(to, *error));
    co_return co_await forget(item.row.id);
  }
  const Time due = clock_.now() + retry_delay(item.row.attempts);
  if (due >= last) {
    log::error("mail given up", about(to, *error));
    co_return co_await forget(item.row.id);
  }
  auto fields = about(to, *error);
  fields.push_back({"retry_in_s", std::to_string(retry_delay(item.row.attempts).count())});
  log::warn("mail not sent yet", std::move(fields));
  co_await db_.write([&](store::Tx& tx) { rows::retry_at(tx, item.row.id, lease_, due); });
}

Task<void> Queue::forget(std::string id) {
  co_await db_.write([&](store::Tx& tx) { rows::remove(tx, id, lease_); });
}

}  // namespace latchkey::mail
