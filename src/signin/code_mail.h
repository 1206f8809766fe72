#pragma once
// Sends one-time codes. Whether a mail goes out, what is in it and how long it takes to write show in no
// answer.

#include "auth/plugins/email_otp/email_otp.h"
#include "base/task_group.h"
#include "mail/sender.h"
#include "web/template.h"

namespace latchkey::signin {

class CodeMail {
 public:
  struct Options {
    std::string service_name;  // "Latchkey" or what the operator calls it
    std::string service_host;  // pds.example
  };
  CodeMail(Options options, store::Database& db, auth::EmailOtp& otp, mail::Sender& mailer,
           const web::Templates& templates);

  /// A fresh code for this address, unless a limit says no. The mail is written and sent after the caller
  /// answered. `app_name` "": no app is behind it, and
  /// nobody is told that the code makes an account.
  Task<void> send(auth::EmailOtp::Subject subject, std::string app_name, std::string ip);
  /// Resumes when every mail that was asked for was handed over or given up. Await it before the mailer goes.
  Task<void> settled() { return mails_.idle(); }

 private:
  Task<void> mail_code(mail::EmailAddress to, std::string code, std::string app_name);

  Options options_;
  store::Database& db_;
  auth::EmailOtp& otp_;
  mail::Sender& mailer_;
  const web::Templates& templates_;
  TaskGroup mails_;
};

}  // namespace latchkey::signin
