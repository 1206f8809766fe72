#pragma once
// Mails about an account that carry a token, for methods of com.atproto.server.

#include "mail/sender.h"
#include "pds/account_mailer.h"
#include "web/template.h"

namespace latchkey::signin {

class AccountMails final : public pds::AccountMailer {
 public:
  struct Options {
    std::string service_name;  // "Latchkey" or what the operator calls it
    std::string service_host;  // pds.example
  };
  AccountMails(Options options, mail::Sender& mailer, const web::Templates& templates);

  Task<Result<void, mail::MailError>> send_account_delete(mail::EmailAddress to, std::string handle,
                                                          std::string token) override;

 private:
  Options options_;
  mail::Sender& mailer_;
  const web::Templates& templates_;
};

}  // namespace latchkey::signin
