#pragma once
// The mails the PDS asks for. What they look like is the business of whoever sends them.

#include <string>

#include "base/task.h"
#include "mail/sender.h"

namespace latchkey::pds {

class AccountMailer {
 public:
  virtual ~AccountMailer() = default;
  /// "Account Deletion Requested", with the token. Success: the mail is on its way.
  virtual Task<Result<void, mail::MailError>> send_account_delete(mail::EmailAddress to, std::string handle,
                                                                  std::string token) = 0;
};

}  // namespace latchkey::pds
