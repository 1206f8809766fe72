#include "mail/check.h"

#include <fmt/format.h>

namespace latchkey::mail {

namespace {

using Mark = Finding::Mark;
using Cause = MailError::Cause;

std::string not_connected(const SmtpServer& s, const MailError& e) {
  switch (e.cause) {
    case Cause::name_not_found:
      return fmt::format("The name {} was not found. Look for a typing error in the name of the mail server.",
                         s.host);
    case Cause::port_closed:
      return fmt::format(
          "{} does not take connections on port {}: it refused, or a firewall did. Usual ports are 587 and, "
          "with "
          "TLS from the first byte, 465.",
          s.host, s.port);
    case Cause::no_answer:
      return fmt::format(
          "{} gave no answer on port {}. Many hosting companies block outgoing mail until one asks them; "
          "otherwise it is a firewall, or the wrong name or port.",
          s.host, s.port);
    default:
      return fmt::format("There was no connection to {}, port {}: {}", s.host, s.port, e.detail);
  }
}

std::string tls_trouble(const SmtpServer& s, const MailError& e) {
  switch (e.cause) {
    case Cause::unknown_issuer:
      return fmt::format(
          "The certificate of {} comes from nobody this machine trusts ({}). If the authority is your own, "
          "name "
          "its file in SSL_CERT_FILE.",
          s.host, e.detail);
    case Cause::wrong_name:
      return fmt::format(
          "The certificate that was shown is not one for {} ({}). Use the name that is in the certificate.",
          s.host, e.detail);
    case Cause::outdated:
      return fmt::format("The certificate of {} is not valid today ({}). Check this machine's clock, too.",
                         s.host, e.detail);
    default:
      break;
  }
  if (s.security == Security::tls)
    return fmt::format("{} does not speak TLS on port {} ({}). Port 587 begins without it.", s.host, s.port,
                       e.detail);
  return fmt::format(
      "{} does not encrypt on port {} ({}). Nothing was sent. If the server wants TLS from the first byte, "
      "its port "
      "is 465.",
      s.host, s.port, e.detail);
}

std::string login_trouble(const SmtpServer& s, const MailError& e) {
  if (s.user.empty())
    return fmt::format("The server takes mails only after a login ({}). Give a user and a password.",
                       e.detail);
  return fmt::format("The server does not take the user \"{}\" with this password: {}", s.user, e.detail);
}

}  // namespace

Findings explain(const SmtpAttempt& attempt, const SmtpServer& server, const EmailAddress& from,
                 const EmailAddress& to) {
  Findings out;
  const auto good = [&](std::string text) { out.push_back({Mark::good, std::move(text)}); };
  const auto wrong = [&](std::string text) {
    out.push_back({Mark::wrong, std::move(text)});
    return out;
  };
  const MailError* error = attempt.outcome ? nullptr : &attempt.outcome.error();
  using Kind = MailError::Kind;

  if (attempt.peer.empty() && error) return wrong(not_connected(server, *error));
  good(fmt::format("{} ({}) answers on port {}.", server.host, attempt.peer, server.port));

  if (error && error->kind == Kind::tls) return wrong(tls_trouble(server, *error));
  if (attempt.tls)
    good(fmt::format("The connection is encrypted, and the certificate is good for {}.", server.host));
  else if (!error || attempt.sender_taken)
    out.push_back({Mark::note, "The connection is not encrypted. Between machines it should be."});

  if (error && error->kind == Kind::login) return wrong(login_trouble(server, *error));
  if (attempt.logged_in) good(fmt::format("The login as \"{}\" is right.", server.user));

  if (error && error->kind == Kind::sender)
    return wrong(
        fmt::format("The server takes no mails from {}: {}. Most services want the address or its domain "
                    "confirmed first.",
                    from.str(), error->detail));
  if (attempt.sender_taken) good(fmt::format("Mails may come from {}.", from.str()));

  if (error && error->kind == Kind::recipient)
    return wrong(fmt::format("The server takes no mails for {}: {}{}", to.str(), error->detail,
                             error->temporary() ? ". It says that a later attempt may succeed." : ""));
  if (attempt.recipient_taken) good(fmt::format("Mails may go to {}.", to.str()));

  if (!error) {
    good(fmt::format("The server took the mail: {}. Look for it in the mailbox, and among spam.",
                     attempt.reply));
    return out;
  }
  if (error->cause == Cause::no_answer)
    return wrong(
        fmt::format("The server is silent. It was given time; the last it said was \"{}\".", attempt.reply));
  if (error->cause == Cause::hung_up)
    return wrong(fmt::format("The server ended the conversation ({}). The last it said was \"{}\".",
                             error->detail, attempt.reply));
  return wrong(fmt::format("The server did not take the mail: {}{}", error->detail,
                           error->temporary() ? ". It says that a later attempt may succeed." : ""));
}

}  // namespace latchkey::mail
