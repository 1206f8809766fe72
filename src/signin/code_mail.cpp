#include "signin/code_mail.h"

#include "base/log.h"
#include "pds/accounts.h"
#include "signin/background.h"
#include "signin/backup_emails.h"

namespace latchkey::signin {
CodeMail::CodeMail(Options options, store::Database& db, auth::EmailOtp& otp, mail::Sender& mailer,
                   const web::Templates& templates, const web::Messages& messages, Branding& branding,
                   const Clock& clock)
    : options_(std::move(options)),
      db_(db),
      otp_(otp),
      mailer_(mailer),
      templates_(templates),
      messages_(messages),
      branding_(branding),
      clock_(clock) {}

Task<void> CodeMail::send(Reader reader, auth::EmailOtp::Subject subject, Wording wording, std::string ip) {
  const mail::EmailAddress to = subject.email;
  const Time deadline = clock_.now() + auth::k_email_code_lifetime;
  auto code = co_await otp_.issue(std::move(subject), std::move(ip));
  if (!code) {
    log::info("sign-in code not sent: limit reached", {{"email", log::redact_email(to.str())}});
    co_return;
  }
  // Not awaited: whether a mail goes out, and how fast, must not show in the time of the answer.
  mails_.spawn(mail_code(std::move(reader), to, std::move(*code), std::move(wording), deadline));
}

Task<void> CodeMail::send(auth::OtpMail mail) {
  auto to = mail::EmailAddress::parse(mail.email);
  if (!to) co_return;
  const auto* words = messages_.lookup(web::LanguagePriority::from_accept_language(mail.accept_language));
  const Reader reader{.words = words ? words : &messages_.source(), .wanted = {}, .here = {}};
  const auto audience = mail.withheld ? Audience::nobody : Audience::everyone;
  mails_.spawn(mail_code(reader, std::move(*to), std::move(mail.otp), {.audience = audience},
                         clock_.now() + auth::k_email_code_lifetime));
}

Task<void> CodeMail::mail_code(Reader reader, mail::EmailAddress to, std::string code, Wording wording,
                               Time deadline) {
  try {
    // After the answer: how long a mail takes to write does not show in its time.
    co_await after_this_job();
    const bool withheld =
        wording.audience == Audience::nobody ||
        (wording.audience == Audience::backups && (co_await db_.read([&](store::Tx& tx) {
                                                    return backup_emails::accounts_of(tx, to.str());
                                                  })).empty());
    const std::string& app_name = wording.app_name;
    const auto& client = wording.client;
    const bool is_new = !app_name.empty() && !co_await db_.read([&](store::Tx& tx) {
      return pds::accounts::by_email(tx, to.str());
    });
    const std::string base = is_new ? "mail_welcome_code" : "mail_code";
    const auto brand = co_await branding_.mail(
        client, {.code = code, .app_name = app_name, .email = to.str(), .is_new_user = is_new});
    // Whose mail it is: the app's only where the operator trusts it or it wrote the mail.
    const std::string& name = brand.from_name.empty() && !brand.html ? options_.service_name : app_name;
    json::Object view{{"code", code},
                      {"name", name},
                      {"app_name", app_name},
                      {"app_logo", brand.logo_url},
                      {"service_name", options_.service_name},
                      {"service_host", options_.service_host},
                      {"minutes", std::int64_t{auth::k_email_code_lifetime.count()}}};
    add_operator_links(view, options_.branding);
    mail::Message message{.to = to,
                          .subject = reader.text(is_new ? "mail.welcome.subject" : "mail.code.subject",
                                                 {{"code", code}, {"service_name", name}}),
                          .text = templates_.render(base + ".txt", view, reader.lang()),
                          .html = brand.html ? *brand.html : templates_.render(base, view, reader.lang()),
                          .from_name = brand.from_name,
                          .deadline = deadline};
    if (brand.subject) message.subject = *brand.subject;
    if (withheld) co_return co_await mailer_.send_to_nobody(std::move(message));
    if (auto sent = co_await mailer_.send(std::move(message)); !sent)
      log::error("sign-in mail not sent", {{"email", log::redact_email(to.str())},
                                           {"kind", std::string(mail::name(sent.error().kind))},
                                           {"detail", sent.error().detail}});
  } catch (const std::exception& e) {
    log::error("sign-in mail not sent", {{"detail", e.what()}});
  }
}

}  // namespace latchkey::signin
