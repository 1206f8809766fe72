#include "signin/code_mail.h"

#include <fmt/format.h>

#include "base/log.h"
#include "pds/accounts.h"

namespace latchkey::signin {
namespace {

// Resumes when the job that runs now has ended.
Task<void> after_this_job() {
  Completion<bool> later;
  Executor::current()->post([later] { later.deliver(true); });
  co_await later;
}

}  // namespace

CodeMail::CodeMail(Options options, store::Database& db, auth::EmailOtp& otp, mail::Sender& mailer,
                   const web::Templates& templates)
    : options_(std::move(options)), db_(db), otp_(otp), mailer_(mailer), templates_(templates) {}

Task<void> CodeMail::send(auth::EmailOtp::Subject subject, std::string app_name, std::string ip) {
  const mail::EmailAddress to = subject.email;
  auto code = co_await otp_.issue(std::move(subject), std::move(ip));
  if (!code) {
    log::info("sign-in code not sent: limit reached", {{"email", log::redact_email(to.str())}});
    co_return;
  }
  // Not awaited: whether a mail goes out, and how fast, must not show in the time of the answer.
  mails_.spawn(mail_code(to, std::move(*code), std::move(app_name)));
}

Task<void> CodeMail::mail_code(mail::EmailAddress to, std::string code, std::string app_name) {
  try {
    // After the answer: how long a mail takes to write does not show in its time.
    co_await after_this_job();
    const bool is_new = !app_name.empty() && !co_await db_.read([&](store::Tx& tx) {
      return pds::accounts::by_email(tx, to.str());
    });
    const std::string base = is_new ? "mail_welcome_code" : "mail_code";
    const json::Object view{{"code", code},
                            {"name", options_.service_name},
                            {"app_name", app_name},
                            {"service_name", options_.service_name},
                            {"service_host", options_.service_host},
                            {"minutes", std::int64_t{auth::k_email_code_lifetime.count()}}};
    mail::Message message{
        .to = to,
        .subject = is_new ? fmt::format("{} — Welcome to {}", code, options_.service_name)
                          : fmt::format("{} is your sign-in code for {}", code, options_.service_name),
        .text = templates_.render(base + ".txt", view),
        .html = templates_.render(base, view)};
    if (auto sent = co_await mailer_.send(std::move(message)); !sent)
      log::error("sign-in mail not sent", {{"email", log::redact_email(to.str())},
                                           {"kind", std::string(mail::name(sent.error().kind))},
                                           {"detail", sent.error().detail}});
  } catch (const std::exception& e) {
    log::error("sign-in mail not sent", {{"detail", e.what()}});
  }
}

}  // namespace latchkey::signin
