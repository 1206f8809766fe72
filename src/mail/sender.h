#pragma once
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "mail/message.h"

namespace latchkey::mail {

/// Why a mail was not handed over.
struct MailError {
  enum class Kind {
    refused,    // no connection: name not found, port closed, time-out, connection dropped
    tls,        // no TLS where it is demanded, or a certificate that does not check out
    login,      // user name or password not taken
    sender,     // the server does not take our From address
    recipient,  // the server does not take this To address
    other,      // anything else the server said
  };
  /// Closer to the cause, for `mail test`.
  enum class Cause {
    unknown,
    name_not_found,  // the server's name is not in DNS
    port_closed,     // nobody listens there
    no_answer,       // no connection, or silence, within the time
    hung_up,         // the connection ended in the middle
    no_tls,          // STARTTLS is not offered, or what answers does not speak TLS
    unknown_issuer,  // a certificate of nobody we trust
    wrong_name,      // a certificate for another name
    outdated,        // a certificate that is not valid now
    full,            // too many mails are waiting here
    said_no,         // the server's reply
  };
  Kind kind;
  int reply = 0;       // the server's last three-digit reply; 0 when there was none
  std::string detail;  // for logs and for `mail test`: the server's words with the recipient masked
  Cause cause = Cause::unknown;

  /// Worth another try later (RFC 5321 §4.2.1: 4yz is transient).
  bool temporary() const { return reply >= 400 ? reply < 500 : kind == Kind::refused; }
};

std::string_view name(MailError::Kind);  // "refused", "tls", …

class Sender {
 public:
  virtual ~Sender() = default;
  /// Success means the next server took responsibility for the mail.
  virtual Task<Result<void, MailError>> send(Message message) = 0;
  /// Where whoever asked must not learn whether there is somebody to mail to: writes what send() would write,
  /// and nobody gets the mail. Nothing, for senders that write nothing.
  virtual Task<void> send_to_nobody(Message) { co_return; }
};

}  // namespace latchkey::mail
