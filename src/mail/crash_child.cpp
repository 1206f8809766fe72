// Sends mails through a queue until it is killed. What the next server took goes to one file, what send()
// acknowledged to stdout; one write(2) per number, which an append and a pipe keep whole. Started by
// crash_test.cpp.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"
#include "mail/queue.h"

using namespace latchkey;

namespace {

class NextServer final : public mail::Sender {
 public:
  explicit NextServer(int file) : file_(file) {}
  Task<Result<void, mail::MailError>> send(mail::Message message) override {
    const std::int64_t number = std::atoll(message.subject.c_str());
    if (number % 5 == 0) co_return fail(mail::MailError{mail::MailError::Kind::refused, 0, "not now"});
    if (::write(file_, &number, sizeof number) != sizeof number) std::_Exit(1);
    co_return Result<void, mail::MailError>{};
  }

 private:
  int file_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  log::set_level(log::Level::off);
  auto db = store::open_sqlite(argv[1]);
  NextServer next(::open(argv[2], O_WRONLY | O_APPEND));
  SystemClock clock;
  OsRng rng;
  mail::Queue queue({}, *db, crypto::Sealer(Secret<Bytes>(Bytes(32, 7))), next, clock, rng);
  InlineExecutor executor;
  for (std::int64_t number = std::atoll(argv[3]);; ++number) {
    const auto sent = run(executor, queue.send({.to = *mail::EmailAddress::parse("alice@example.com"),
                                                .subject = std::to_string(number),
                                                .text = "text"}));
    if (sent && ::write(STDOUT_FILENO, &number, sizeof number) != sizeof number) std::_Exit(1);
  }
}
