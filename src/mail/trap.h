#pragma once
// Where mails end up in dev: memory, newest kept, for the mailbox page.

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "mail/sender.h"

namespace latchkey::mail {

struct TrappedMail {
  std::uint64_t id;  // 1, 2, 3 … in order of arrival
  std::string to, subject, text, html;
  std::string from_name;
  Time at;
  std::optional<Time> deadline = {};
};

/// Thread-safe. Never fails.
class Trap final : public Sender {
 public:
  explicit Trap(const Clock& clock, std::size_t limit = 1000);
  Task<Result<void, MailError>> send(Message message) override;

  /// Oldest first; only those to `to` (compared as EmailAddress does) when given.
  std::vector<TrappedMail> list(std::optional<std::string> to = std::nullopt) const;
  std::optional<TrappedMail> find(std::uint64_t id) const;

 private:
  const Clock& clock_;
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::deque<TrappedMail> mails_;
  std::uint64_t next_id_ = 1;
};

}  // namespace latchkey::mail
