#pragma once
// `latchkey mail test`: what happened to a test mail, and what DNS says about its sender, in plain words.

#include "mail/smtp.h"

namespace latchkey {
class TxtLookup;
class MxLookup;
}  // namespace latchkey

namespace latchkey::mail {

struct Finding {
  enum class Mark {
    good,
    note,   // works, but is worth knowing
    wrong,  // mails do not arrive, or land among spam
  };
  Mark mark;
  std::string text;  // sentences for the operator
};
using Findings = std::vector<Finding>;

/// One line a step, up to the one that failed.
Findings explain(const SmtpAttempt& attempt, const SmtpServer& server, const EmailAddress& from,
                 const EmailAddress& to);

/// The records receivers look at: MX (RFC 5321 §5.1), SPF (RFC 7208), the key of `dkim` (RFC 6376), DMARC
/// (RFC 7489) of the domain mails come from.
Task<Findings> check_dns(EmailAddress from, std::optional<Dkim> dkim, TxtLookup& txt, MxLookup& mx);

}  // namespace latchkey::mail
