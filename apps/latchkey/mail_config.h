#pragma once
// How mails leave: EMAIL_PROVIDER, SMTP_*, LATCHKEY_DKIM_* and the like. docs/configuration.md lists every
// name.

#include <optional>
#include <string>

#include "mail/smtp.h"
#include "variables.h"

namespace latchkey::app {

struct MailConfig {
  mail::SmtpServer smtp = {};
  mail::From from{*mail::EmailAddress::parse("nobody@example.com"), ""};
  std::optional<mail::Dkim> dkim = {};  // none: mails leave unsigned
};

/// `service_name`: who mails come from unless SMTP_FROM_NAME says otherwise.
MailConfig read_mail(Variables& in, const std::string& service_name, const std::string& ca_file);

}  // namespace latchkey::app
