#pragma once
// Sends one-time codes. Whether a mail goes out, what is in it and how long it takes to write show in no
// answer.

#include "auth/plugins/email_otp/email_otp.h"
#include "auth/plugins/email_otp/plugin.h"
#include "base/task_group.h"
#include "mail/sender.h"
#include "signin/branding/branding.h"
#include "signin/reader.h"
#include "web/messages.h"
#include "web/template.h"

namespace latchkey::signin {

class CodeMail {
 public:
  struct Options {
    std::string service_name;  // "Latchkey" or what the operator calls it
    std::string service_host;  // pds.example
    OperatorBranding branding = {};
  };
  CodeMail(Options options, store::Database& db, auth::EmailOtp& otp, mail::Sender& mailer,
           const web::Templates& templates, const web::Messages& messages, Branding& branding,
           const Clock& clock);

  /// Who gets the mail; nobody can tell from an answer.
  enum class Audience {
    everyone,
    backups,  // addresses that were confirmed as somebody's backup
    nobody,   // a mail that only takes as much work
  };
  struct Wording {
    std::string app_name = {};  // "": no app is behind it, and nobody is told that the code makes an account
    std::shared_ptr<const oauth::Client> client = {};  // whose looks the mail may have
    Audience audience = Audience::everyone;
  };
  /// A fresh code for this address, unless a limit says no. The mail is in the reader's language; it is
  /// written and sent after the caller answered.
  Task<void> send(Reader reader, auth::EmailOtp::Subject subject, Wording wording, std::string ip);
  /// A code of /api/auth.
  Task<void> send(auth::OtpMail mail);
  /// Resumes when every mail that was asked for was handed over or given up. Await it before the mailer goes.
  Task<void> settled() { return mails_.idle(); }

 private:
  Task<void> mail_code(Reader reader, mail::EmailAddress to, std::string code, Wording wording,
                       Time deadline);

  Options options_;
  store::Database& db_;
  auth::EmailOtp& otp_;
  mail::Sender& mailer_;
  const web::Templates& templates_;
  const web::Messages& messages_;
  Branding& branding_;
  const Clock& clock_;
  TaskGroup mails_;
};

}  // namespace latchkey::signin
