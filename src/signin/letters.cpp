#include "signin/letters.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/log.h"
#include "signin/background.h"

namespace latchkey::signin {
namespace {

std::string filled(const web::Catalogue& words, const std::string& key, std::string_view detail) {
  const web::Message* message = words.find(key);
  if (message && message->has("detail")) return words.text(key, {{"detail", detail}});
  return words.text(key);
}

}  // namespace

Letters::Letters(Options options, mail::Sender& mailer, const web::Templates& templates,
                 const web::Messages& messages, const Clock& clock)
    : options_(std::move(options)),
      mailer_(mailer),
      templates_(templates),
      messages_(messages),
      clock_(clock) {}

const web::Catalogue& Letters::words(std::string_view lang) const {
  const auto* found = messages_.find(lang);
  return found ? *found : messages_.source();
}

json::Object Letters::view(std::string_view handle) const {
  return {
      {"handle", handle}, {"service_name", options_.service_name}, {"service_host", options_.service_host}};
}

void Letters::notify(const pds::Account& account, Notice notice, Actor actor, std::string lang) {
  if (auto to = mail::EmailAddress::parse(account.email.value_or("")))
    notify(std::move(*to), account.handle_text(), std::move(notice), std::move(actor), std::move(lang));
}

void Letters::notify(mail::EmailAddress to, std::string handle, Notice notice, Actor actor,
                     std::string lang) {
  const auto& words = this->words(lang);
  const std::string key = fmt::format("notice.{}", notice.what);
  json::Object view = this->view(handle);
  const std::string subject = filled(words, fmt::format("audit.{}", notice.what), notice.detail);
  view.set("heading", subject);
  view.set("words", words.text(words.find(key) ? key : "notice.words"));
  view.set("when",
           fmt::format("{:%Y-%m-%d %H:%M} UTC", std::chrono::floor<std::chrono::seconds>(clock_.now())));
  view.set("agent", std::move(actor.agent));
  view.set("ip", std::move(actor.ip));
  if (!notice.path.empty()) {
    view.set("action_url", options_.origin + notice.path);
    view.set("action", words.text(key + ".action"));
  } else {
    view.set("settings_url", options_.origin + "/account");
  }
  mails_.spawn(write(std::move(to), "mail_notice", fmt::format("{} - {}", subject, options_.service_name),
                     std::move(view), words.lang()));
}

void Letters::confirm_backup(mail::EmailAddress to, std::string handle, std::string path, std::string lang) {
  const auto& words = this->words(lang);
  json::Object view = this->view(handle);
  view.set("action_url", options_.origin + path);
  mails_.spawn(write(std::move(to), "mail_backup",
                     words.text("mail.backup.subject", {{"service_name", options_.service_name}}),
                     std::move(view), words.lang()));
}

Task<void> Letters::write(mail::EmailAddress to, std::string name, std::string subject, json::Object view,
                          std::string lang) {
  // After the answer: how long a mail takes to write does not show in its time.
  co_await after_this_job();
  try {
    mail::Message message{.to = to,
                          .subject = std::move(subject),
                          .text = templates_.render(name + ".txt", view, lang),
                          .html = templates_.render(name, view, lang)};
    if (auto sent = co_await mailer_.send(std::move(message)); !sent)
      log::error("mail not sent", {{"email", log::redact_email(to.str())},
                                   {"mail", name},
                                   {"kind", std::string(mail::name(sent.error().kind))},
                                   {"detail", sent.error().detail}});
  } catch (const std::exception& e) {
    log::error("mail not sent", {{"mail", name}, {"detail", e.what()}});
  }
}

}  // namespace latchkey::signin
