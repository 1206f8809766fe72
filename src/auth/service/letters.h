#pragma once
// The mails of `latchkey auth`: codes and links. How long a mail takes to write shows in no answer.

#include <chrono>
#include <string>

#include "auth/core/options.h"
#include "auth/plugins/email_otp/plugin.h"
#include "base/task_group.h"
#include "mail/sender.h"
#include "web/messages.h"
#include "web/template.h"

namespace latchkey::service {

class Letters {
 public:
  struct Options {
    std::string app_name;
    std::string app_host;
    std::chrono::seconds code_lifetime{600};
  };
  /// What a link is for.
  enum class Link { sign_in, verify, reset, erase };

  Letters(Options options, mail::Sender& mailer, const web::Templates& templates,
          const web::Messages& messages, const Clock& clock);

  // In the language of the request, or in English.
  Task<void> send_code(auth::OtpMail mail);
  Task<void> send_link(Link link, auth::LinkMail mail);
  /// Resumes when every mail was handed over or given up.
  Task<void> settled() { return mails_.idle(); }

 private:
  Task<void> post(mail::Message message);
  json::Object view() const;
  const web::Catalogue& words_for(std::string_view accept_language) const;

  const Options options_;
  mail::Sender& mailer_;
  const web::Templates& templates_;
  const web::Messages& messages_;
  const Clock& clock_;
  TaskGroup mails_;
};

}  // namespace latchkey::service
