#pragma once
// Mail over SMTP submission (RFC 6409), by libcurl on a thread pool.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "mail/dkim.h"
#include "mail/sender.h"

namespace latchkey::mail {

enum class Security {
  tls,         // TLS from the first byte, port 465 (RFC 8314 §3.3)
  starttls,    // STARTTLS or nothing is sent (RFC 3207)
  if_offered,  // STARTTLS when offered, else plain: a sink on the same machine. Raised to starttls by a login
};

struct SmtpServer {
  std::string host;
  std::uint16_t port = 587;
  Security security = Security::starttls;
  std::string user;  // "" : no login
  Secret<std::string> password{std::string()};
  std::string ca_file;  // "" : the system's certificates
};

/// `smtps://user:pass@host[:465]`, `smtp://user:pass@host[:587]` (465 means smtps), `smtp://host:port` for a
/// local sink without login. User and password are percent-encoded. The error is a sentence for the operator.
Result<SmtpServer, std::string> parse_smtp_url(std::string_view url);

struct SmtpOptions {
  SmtpServer server;
  From from;
  std::optional<Dkim> dkim = std::nullopt;  // none: mails leave unsigned
  std::string helo = "localhost";           // the name we greet with
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{30'000};  // for the whole conversation
};

/// How far a conversation came.
struct SmtpAttempt {
  std::string peer;  // the address we were connected to, "" : never
  bool tls = false;
  bool logged_in = false;
  bool sender_taken = false, recipient_taken = false;
  std::string reply;  // the server's last words, the recipient masked
  Result<void, MailError> outcome;
};

class SmtpSender final : public Sender {
 public:
  /// Pool, clock and rng outlive the sender.
  SmtpSender(SmtpOptions options, ThreadPool& pool, const Clock& clock, Rng& rng);
  /// A full pool is MailError::Kind::other.
  Task<Result<void, MailError>> send(Message message) override;
  /// The same, told step by step.
  Task<SmtpAttempt> attempt(Message message);

 private:
  SmtpOptions options_;
  ThreadPool& pool_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::mail
