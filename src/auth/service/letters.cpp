#include "auth/service/letters.h"

#include "base/log.h"
#include "signin/background.h"

namespace latchkey::service {
namespace {

struct LinkWords {
  const char *subject, *words, *action;
};
LinkWords words_of(Letters::Link link) {
  switch (link) {
    case Letters::Link::sign_in:
      return {"mail.link.sign_in", "mail.link.sign_in.words", "email.heading"};
    case Letters::Link::verify:
      return {"mail.link.verify", "mail.link.verify.words", "mail.link.verify.action"};
    case Letters::Link::reset:
      return {"mail.link.reset", "mail.link.reset.words", "mail.link.reset.action"};
    case Letters::Link::erase:
      return {"mail.link.delete", "mail.link.delete.words", "mail.link.delete.action"};
  }
  std::abort();
}

}  // namespace

Letters::Letters(Options options, mail::Sender& mailer, const web::Templates& templates,
                 const web::Messages& messages, const Clock& clock)
    : options_(std::move(options)),
      mailer_(mailer),
      templates_(templates),
      messages_(messages),
      clock_(clock) {}

json::Object Letters::view() const {
  return {
      {"name", options_.app_name}, {"service_name", options_.app_name}, {"service_host", options_.app_host}};
}

const web::Catalogue& Letters::words_for(std::string_view accept_language) const {
  const auto* words = messages_.lookup(web::LanguagePriority::from_accept_language(accept_language));
  return words ? *words : messages_.source();
}

Task<void> Letters::send_code(auth::OtpMail mail) {
  auto to = mail::EmailAddress::parse(mail.email);
  if (!to) co_return;
  const web::Catalogue& words = words_for(mail.accept_language);
  json::Object view = this->view();
  view.set("code", mail.otp);
  view.set("minutes", std::int64_t{std::chrono::ceil<std::chrono::minutes>(options_.code_lifetime).count()});
  mails_.spawn(post(
      {.to = *std::move(to),
       .subject = words.text("mail.code.subject", {{"code", mail.otp}, {"service_name", options_.app_name}}),
       .text = templates_.render("mail_code.txt", view, words.lang()),
       .html = templates_.render("mail_code", view, words.lang()),
       .deadline = clock_.now() + options_.code_lifetime}));
}

Task<void> Letters::send_link(Link link, auth::LinkMail mail) {
  auto to = mail::EmailAddress::parse(mail.user.email);
  if (!to) co_return;
  const web::Catalogue& words = words_for(mail.accept_language);
  const LinkWords keys = words_of(link);
  json::Object view = this->view();
  const std::string heading = words.text(keys.subject, {{"service_name", options_.app_name}});
  view.set("heading", heading).set("words", words.text(keys.words)).set("action", words.text(keys.action));
  view.set("action_url", mail.url);
  mails_.spawn(post({.to = *std::move(to),
                     .subject = heading,
                     .text = templates_.render("mail_link.txt", view, words.lang()),
                     .html = templates_.render("mail_link", view, words.lang())}));
}

Task<void> Letters::post(mail::Message message) {
  const std::string shown = log::redact_email(message.to.str());
  try {
    co_await signin::after_this_job();
    if (auto sent = co_await mailer_.send(std::move(message)); !sent)
      log::error("mail not sent", {{"email", shown},
                                   {"kind", std::string(mail::name(sent.error().kind))},
                                   {"detail", sent.error().detail}});
  } catch (const std::exception& e) {
    log::error("mail not sent", {{"email", shown}, {"detail", e.what()}});
  }
}

}  // namespace latchkey::service
