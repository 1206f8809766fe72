#pragma once
// Mails of dev as files any mail program opens.

#include <deque>
#include <mutex>
#include <string>

#include "base/rng.h"
#include "base/time.h"
#include "mail/sender.h"

namespace latchkey::mail {

/// Writes every mail as it would leave to <folder>/<time>-<id>.eml, and hands it to the next sender. Names
/// sort by time; the oldest files go when there are more than `limit`. Thread-safe.
class Folder final : public Sender {
 public:
  Folder(std::string path, From from, Sender& next, const Clock& clock, Rng& rng, std::size_t limit = 1000);
  Task<Result<void, MailError>> send(Message message) override;

 private:
  void write(const Message& message);

  const std::string path_;
  const From from_;
  Sender& next_;
  const Clock& clock_;
  Rng& rng_;
  const std::size_t limit_;
  std::mutex mutex_;
  std::deque<std::string> files_;  // oldest first
};

}  // namespace latchkey::mail
