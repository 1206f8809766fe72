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
  Kind kind;
  int reply = 0;       // the server's last three-digit reply; 0 when there was none
  std::string detail;  // for logs and for `mail test`: the server's words with the recipient masked

  /// Worth another try later (RFC 5321 §4.2.1: 4yz is transient).
  bool temporary() const { return reply >= 400 ? reply < 500 : kind == Kind::refused; }
};

std::string_view name(MailError::Kind);  // "refused", "tls", …

class Sender {
 public:
  virtual ~Sender() = default;
  /// Success means the next server took responsibility for the mail.
  virtual Task<Result<void, MailError>> send(Message message) = 0;
};

}  // namespace latchkey::mail
