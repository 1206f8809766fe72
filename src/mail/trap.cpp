#include "mail/trap.h"

namespace latchkey::mail {

Trap::Trap(const Clock& clock, std::size_t limit) : clock_(clock), limit_(limit) {}

Task<Result<void, MailError>> Trap::send(Message message) {
  const Time now = clock_.now();
  {
    std::lock_guard lock(mutex_);
    mails_.push_back({.id = next_id_++,
                      .to = message.to.str(),
                      .subject = header_safe(message.subject),
                      .text = std::move(message.text),
                      .html = std::move(message.html),
                      .from_name = header_safe(message.from_name),
                      .at = now,
                      .deadline = message.deadline});
    if (mails_.size() > limit_) mails_.pop_front();
  }
  co_return Result<void, MailError>{};
}

std::vector<TrappedMail> Trap::list(std::optional<std::string> to) const {
  std::vector<TrappedMail> out;
  std::optional<EmailAddress> wanted;
  if (to) {
    auto parsed = EmailAddress::parse(*to);
    if (!parsed) return out;
    wanted = *std::move(parsed);
  }
  std::lock_guard lock(mutex_);
  for (const auto& mail : mails_)
    if (!wanted || mail.to == wanted->str()) out.push_back(mail);
  return out;
}

std::optional<TrappedMail> Trap::find(std::uint64_t id) const {
  std::lock_guard lock(mutex_);
  for (const auto& mail : mails_)
    if (mail.id == id) return mail;
  return std::nullopt;
}

}  // namespace latchkey::mail
