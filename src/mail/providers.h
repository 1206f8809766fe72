#pragma once
// Mail services that take mail by SMTP, with their fixed names and ports.

#include "mail/smtp.h"

namespace latchkey::mail {

/// https://www.twilio.com/docs/sendgrid/for-developers/sending-email/getting-started-smtp
SmtpServer sendgrid(Secret<std::string> api_key);
/// https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html ; std::nullopt when `region` is no region.
std::optional<SmtpServer> ses(std::string_view region, std::string user, Secret<std::string> password);
/// https://postmarkapp.com/developer/user-guide/send-email-with-smtp ; the token is user and password.
SmtpServer postmark(Secret<std::string> server_token);

}  // namespace latchkey::mail
