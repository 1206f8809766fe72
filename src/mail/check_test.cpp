#include "mail/check.h"

#include <gmock/gmock.h>

#include "mail/testing.h"

namespace latchkey::mail {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Mark = Finding::Mark;

const EmailAddress k_from = *EmailAddress::parse("login@community.example");
const EmailAddress k_to = *EmailAddress::parse("alice@example.com");

Findings try_out(SmtpServer server, std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
  FakeClock clock;
  SeededRng rng;
  ThreadPool pool(1);
  SmtpSender sender(
      {.server = server, .from = {k_from, "Community"}, .helo = "pds.community.example", .timeout = timeout},
      pool, clock, rng);
  return explain(run(sender.attempt({.to = k_to, .subject = "Test", .text = "It works."})), server, k_from,
                 k_to);
}

SmtpServer plain(const Sink& sink) {
  return {.host = "127.0.0.1", .port = sink.port(), .security = Security::if_offered};
}
SmtpServer secured(const Sink& sink, Security security, const Certificate& trusted) {
  return {.host = "127.0.0.1", .port = sink.port(), .security = security, .ca_file = trusted.file};
}

// What is wrong is the last line, and the only wrong one.
std::string last(const Findings& findings) {
  for (std::size_t i = 0; i + 1 < findings.size(); ++i) EXPECT_NE(findings[i].mark, Mark::wrong);
  EXPECT_EQ(findings.back().mark, Mark::wrong);
  return findings.back().text;
}

TEST(MailTest, TellsEveryStepOfAGoodDelivery) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.extensions = {"STARTTLS", "AUTH PLAIN"}, .certificate = &certificate});
  auto server = secured(sink, Security::starttls, certificate);
  server.user = "me";
  server.password = Secret<std::string>("hunter2");
  const auto findings = try_out(server);
  std::string all;
  for (const auto& f : findings) {
    EXPECT_EQ(f.mark, Mark::good) << f.text;
    all += f.text + "\n";
  }
  EXPECT_EQ(findings.size(), 6u) << all;
  EXPECT_THAT(all, AllOf(HasSubstr("answers on port"), HasSubstr("encrypted"), HasSubstr("login as \"me\""),
                         HasSubstr("may come from login@community.example"),
                         HasSubstr("may go to alice@example.com"), HasSubstr("250 queued")));
  EXPECT_THAT(all, Not(HasSubstr("hunter2")));
}

TEST(MailTest, SaysWhenTlsComesFirst) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.tls_first = true, .certificate = &certificate});
  const auto findings = try_out(secured(sink, Security::tls, certificate));
  EXPECT_THAT(findings[1].text, HasSubstr("encrypted, and the certificate is good"));
}

TEST(MailTest, MentionsThatASinkDoesNotEncrypt) {
  Sink sink({});
  const auto findings = try_out(plain(sink));
  EXPECT_EQ(findings[1].mark, Mark::note);
  EXPECT_EQ(findings.back().mark, Mark::good);
}

TEST(MailTest, NameNotFound) {
  // No label is longer than 63 (RFC 1035 §2.3.4), so nobody is asked.
  EXPECT_THAT(last(try_out({.host = std::string(64, 'a') + ".invalid"})), HasSubstr("was not found"));
}

TEST(MailTest, PortRefused) {
  std::uint16_t port;
  {
    Sink sink({});
    port = sink.port();
  }
  EXPECT_THAT(last(try_out({.host = "127.0.0.1", .port = port})),
              HasSubstr("does not take connections on port"));
}

TEST(MailTest, Silence) {
  Sink sink({.greeting = ""});
  EXPECT_THAT(last(try_out(plain(sink), std::chrono::milliseconds(50))), HasSubstr("silent"));
}

TEST(MailTest, HangUp) {
  Sink sink({.hang_up_at = "MAIL"});
  EXPECT_THAT(last(try_out(plain(sink))), HasSubstr("ended the conversation"));
}

TEST(MailTest, TlsTrouble) {
  const Certificate certificate("IP:127.0.0.1"), other("IP:127.0.0.1"), named("DNS:mail.example.com"),
      old("IP:127.0.0.1", -3600);
  {
    Sink sink({.extensions = {"STARTTLS"}, .certificate = &certificate});
    EXPECT_THAT(last(try_out(secured(sink, Security::starttls, other))),
                HasSubstr("nobody this machine trusts"));
  }
  {
    Sink sink({.tls_first = true, .certificate = &named});
    EXPECT_THAT(last(try_out(secured(sink, Security::tls, named))), HasSubstr("not one for 127.0.0.1"));
  }
  {
    Sink sink({.tls_first = true, .certificate = &old});
    EXPECT_THAT(last(try_out(secured(sink, Security::tls, old))), HasSubstr("not valid today"));
  }
  {
    Sink sink({});
    EXPECT_THAT(last(try_out(secured(sink, Security::starttls, certificate))), HasSubstr("does not encrypt"));
  }
  {
    Sink sink({});  // speaks first, in plain text, where TLS is expected
    EXPECT_THAT(last(try_out(secured(sink, Security::tls, certificate))), HasSubstr("does not speak TLS"));
  }
}

TEST(MailTest, LoginRefused) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.extensions = {"AUTH PLAIN"},
             .replies = {{"AUTH", "535 5.7.8 no"}},
             .tls_first = true,
             .certificate = &certificate});
  auto server = secured(sink, Security::tls, certificate);
  server.user = "me";
  server.password = Secret<std::string>("hunter2");
  const auto text = last(try_out(server));
  EXPECT_THAT(text, HasSubstr("does not take the user \"me\""));
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
}

TEST(MailTest, LoginMissing) {
  Sink sink({.replies = {{"MAIL", "530 5.7.0 authentication required"}}});
  EXPECT_THAT(last(try_out(plain(sink))), HasSubstr("only after a login"));
}

TEST(MailTest, SenderRefused) {
  Sink sink({.replies = {{"MAIL", "553 5.7.1 not yours"}}});
  EXPECT_THAT(last(try_out(plain(sink))),
              AllOf(HasSubstr("no mails from login@community.example"), HasSubstr("553 5.7.1 not yours")));
}

TEST(MailTest, RecipientRefused) {
  Sink sink({.replies = {{"RCPT", "451 4.7.1 greylisted"}}});
  EXPECT_THAT(last(try_out(plain(sink))),
              AllOf(HasSubstr("no mails for alice@example.com"), HasSubstr("later attempt")));
}

TEST(MailTest, TextRefused) {
  Sink sink({.replies = {{"dot", "554 5.7.0 spam"}}});
  EXPECT_THAT(last(try_out(plain(sink))), HasSubstr("554 5.7.0 spam"));
}

}  // namespace
}  // namespace latchkey::mail
