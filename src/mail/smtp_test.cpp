#include "mail/smtp.h"

#include <gmock/gmock.h>

#include "base/encoding.h"
#include "mail/testing.h"

namespace latchkey::mail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = MailError::Kind;

struct Post {
  FakeClock clock;
  SeededRng rng;
  ThreadPool pool{1};

  Result<void, MailError> send(SmtpServer server,
                               std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    SmtpSender sender({.server = std::move(server),
                       .from = {*EmailAddress::parse("noreply@pds.example.com"), "Latchkey"},
                       .helo = "pds.example.com",
                       .timeout = timeout},
                      pool, clock, rng);
    return run(sender.send({.to = *EmailAddress::parse("alice@example.com"),
                            .subject = "04718252 is your sign-in code",
                            .text = ".dot first\n..two\n",
                            .html = "<p>04718252</p>"}));
  }
};

SmtpServer plain(const Sink& sink) {
  return {.host = "127.0.0.1", .port = sink.port(), .security = Security::if_offered};
}

SmtpServer secured(const Sink& sink, Security security, const Certificate& trusted) {
  return {.host = "127.0.0.1", .port = sink.port(), .security = security, .ca_file = trusted.file};
}

Kind kind(const Result<void, MailError>& r) {
  EXPECT_FALSE(r.has_value());
  return r ? Kind::other : r.error().kind;
}

TEST(Smtp, SpeaksRfc5321) {
  Sink sink({});
  Post post;
  EXPECT_TRUE(post.send(plain(sink)));
  EXPECT_THAT(sink.said(), ElementsAre("EHLO pds.example.com", "MAIL FROM:<noreply@pds.example.com>",
                                       "RCPT TO:<alice@example.com>", "DATA", "QUIT"));
  SeededRng rng;
  FakeClock clock;
  EXPECT_EQ(sink.mail(),
            render({.to = *EmailAddress::parse("alice@example.com"),
                    .subject = "04718252 is your sign-in code",
                    .text = ".dot first\n..two\n",
                    .html = "<p>04718252</p>"},
                   {*EmailAddress::parse("noreply@pds.example.com"), "Latchkey"}, clock.now(), rng));
}

TEST(Smtp, SignsWhenItHasAKey) {  // RFC 6376; the key is RFC 8463 §A.1
  Sink sink({});
  FakeClock clock;
  SeededRng rng;
  ThreadPool pool(1);
  const auto key = crypto::DkimKey::from_pem(
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
      "-----END PRIVATE KEY-----\n");
  SmtpSender sender({.server = plain(sink),
                     .from = {*EmailAddress::parse("noreply@pds.example.com"), ""},
                     .dkim = Dkim{"example.com", "s1", *key}},
                    pool, clock, rng);
  EXPECT_TRUE(run(sender.send({.to = *EmailAddress::parse("alice@example.com"), .text = "x"})));
  const auto& mail = sink.mail();
  const auto end = mail.find("\r\nDate: ");
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(mail.substr(0, end + 2),
            dkim_signature({"example.com", "s1", *key}, mail.substr(end + 2), clock.now()));
}

TEST(Smtp, NamesARefusedSender) {
  Sink sink({.replies = {{"MAIL", "553 5.7.1 not yours"}}});
  Post post;
  const auto sent = post.send(plain(sink));
  EXPECT_EQ(kind(sent), Kind::sender);
  EXPECT_EQ(sent.error().reply, 553);
  EXPECT_FALSE(sent.error().temporary());
}

TEST(Smtp, NamesARefusedRecipientWithoutTheAddress) {
  Sink sink({.replies = {{"RCPT", "550 5.1.1 <Alice@Example.com>: alice@example.com is unknown"}}});
  Post post;
  const auto sent = post.send(plain(sink));
  EXPECT_EQ(kind(sent), Kind::recipient);
  EXPECT_EQ(sent.error().reply, 550);
  EXPECT_EQ(sent.error().detail, "550 5.1.1 <al***@example.com>: al***@example.com is unknown");
  EXPECT_THAT(sink.said(), Not(::testing::Contains("DATA")));
}

TEST(Smtp, KnowsATransientAnswer) {
  Sink sink({.replies = {{"RCPT", "451 4.7.1 greylisted"}}});
  Post post;
  const auto sent = post.send(plain(sink));
  EXPECT_EQ(kind(sent), Kind::recipient);
  EXPECT_TRUE(sent.error().temporary());
}

TEST(Smtp, ReportsAMailRefusedAfterItsText) {
  Sink sink({.replies = {{"dot", "554 5.7.0 spam"}}});
  Post post;
  const auto sent = post.send(plain(sink));
  EXPECT_EQ(kind(sent), Kind::other);
  EXPECT_EQ(sent.error().reply, 554);
}

TEST(Smtp, ReportsARefusedData) {
  Sink sink({.replies = {{"DATA", "554 no"}}});
  Post post;
  EXPECT_EQ(kind(post.send(plain(sink))), Kind::other);
}

TEST(Smtp, ReportsAClosedPort) {
  std::uint16_t port;
  {
    Sink sink({});
    port = sink.port();
  }
  Post post;
  const auto sent = post.send({.host = "127.0.0.1", .port = port, .security = Security::if_offered});
  EXPECT_EQ(kind(sent), Kind::refused);
  EXPECT_EQ(sent.error().reply, 0);
  EXPECT_TRUE(sent.error().temporary());
}

class SmtpDropped : public ::testing::TestWithParam<const char*> {};

TEST_P(SmtpDropped, IsNoSuccess) {
  Sink sink({.hang_up_at = GetParam()});
  Post post;
  EXPECT_EQ(kind(post.send(plain(sink))), Kind::refused);
}

INSTANTIATE_TEST_SUITE_P(At, SmtpDropped,
                         ::testing::Values("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot"));

TEST(Smtp, TreatsAClosingServerAsUnreachable) {
  Sink sink({.replies = {{"MAIL", "421 4.3.2 shutting down"}}});
  Post post;
  const auto sent = post.send(plain(sink));
  EXPECT_EQ(kind(sent), Kind::refused);
  EXPECT_TRUE(sent.error().temporary());
}

TEST(Smtp, DoesNotWaitForASilentServer) {
  Sink sink({.greeting = ""});
  Post post;
  EXPECT_EQ(kind(post.send(plain(sink), std::chrono::milliseconds(50))), Kind::refused);
}

TEST(Smtp, SendsNothingWhenStarttlsIsDemandedAndNotOffered) {
  Sink sink({});
  Post post;
  auto server = plain(sink);
  server.security = Security::starttls;
  EXPECT_EQ(kind(post.send(server)), Kind::tls);
  EXPECT_THAT(sink.said(), Not(::testing::Contains(HasSubstr("MAIL"))));
}

TEST(Smtp, NeverLogsInWithoutTls) {
  Sink sink({.extensions = {"AUTH PLAIN LOGIN"}});
  Post post;
  auto server = plain(sink);
  server.user = "user";
  server.password = Secret<std::string>("hunter2");
  EXPECT_EQ(kind(post.send(server)), Kind::tls);
  EXPECT_THAT(sink.said(), Not(::testing::Contains(HasSubstr("AUTH"))));
}

TEST(Smtp, LogsInAfterStarttls) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.extensions = {"STARTTLS", "AUTH PLAIN"}, .certificate = &certificate});
  Post post;
  auto server = secured(sink, Security::starttls, certificate);
  server.user = "user";
  server.password = Secret<std::string>("hunter2");
  EXPECT_TRUE(post.send(server));
  EXPECT_THAT(sink.said(),
              ElementsAre("EHLO pds.example.com", "STARTTLS", "EHLO pds.example.com", "AUTH PLAIN",
                          base64(as_bytes(std::string_view("\0user\0hunter2", 13))), HasSubstr("MAIL FROM"),
                          HasSubstr("RCPT TO"), "DATA", "QUIT"));
}

TEST(Smtp, SpeaksTlsFromTheFirstByte) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.tls_first = true, .certificate = &certificate});
  Post post;
  EXPECT_TRUE(post.send(secured(sink, Security::tls, certificate)));
  EXPECT_THAT(sink.mail(), HasSubstr("Subject: 04718252"));
}

TEST(Smtp, NamesAWrongPassword) {
  const Certificate certificate("IP:127.0.0.1");
  Sink sink({.extensions = {"AUTH PLAIN"},
             .replies = {{"AUTH", "535 5.7.8 no"}},
             .tls_first = true,
             .certificate = &certificate});
  Post post;
  auto server = secured(sink, Security::tls, certificate);
  server.user = "user";
  server.password = Secret<std::string>("hunter2");
  const auto sent = post.send(server);
  EXPECT_EQ(kind(sent), Kind::login);
  EXPECT_THAT(sent.error().detail, Not(HasSubstr("hunter2")));
}

TEST(Smtp, NamesAMissingLogin) {
  Sink sink({.replies = {{"MAIL", "530 5.7.0 authentication required"}}});
  Post post;
  EXPECT_EQ(kind(post.send(plain(sink))), Kind::login);
}

TEST(Smtp, RefusesACertificateNobodyKnows) {
  const Certificate certificate("IP:127.0.0.1"), other("IP:127.0.0.1");
  for (const auto security : {Security::tls, Security::starttls, Security::if_offered}) {
    Sink sink(
        {.extensions = {"STARTTLS"}, .tls_first = security == Security::tls, .certificate = &certificate});
    Post post;
    EXPECT_EQ(kind(post.send(secured(sink, security, other))), Kind::tls);
    EXPECT_THAT(sink.said(), Not(::testing::Contains(HasSubstr("MAIL"))));
  }
}

TEST(Smtp, RefusesACertificateForAnotherName) {
  const Certificate certificate("DNS:mail.example.com");
  Sink sink({.tls_first = true, .certificate = &certificate});
  Post post;
  EXPECT_EQ(kind(post.send(secured(sink, Security::tls, certificate))), Kind::tls);
}

TEST(Smtp, SaysSoWhenTooManyMailsWait) {
  FakeClock clock;
  SeededRng rng;
  ThreadPool full(1, 0);
  SmtpSender sender(
      {.server = {.host = "127.0.0.1", .port = 9}, .from = {*EmailAddress::parse("a@example.com"), ""}}, full,
      clock, rng);
  const auto sent = run(sender.send({.to = *EmailAddress::parse("alice@example.com"), .text = "x"}));
  EXPECT_EQ(kind(sent), Kind::other);
}

TEST(SmtpUrl, GivesServerAndSecurity) {
  struct Row {
    const char* url;
    std::string host;
    std::uint16_t port;
    Security security;
    std::string user, password;
  };
  for (const auto& row : {
           Row{"smtps://user:pass@mail.example.com", "mail.example.com", 465, Security::tls, "user", "pass"},
           Row{"smtps://resend:re_1@smtp.resend.com:465/", "smtp.resend.com", 465, Security::tls, "resend",
               "re_1"},
           Row{"smtp://u%40x.com:p%3A%2F@mail.example.com", "mail.example.com", 587, Security::starttls,
               "u@x.com", "p:/"},
           Row{"smtp://u:p@mail.example.com:2525", "mail.example.com", 2525, Security::starttls, "u", "p"},
           Row{"smtp://u:p@mail.example.com:465", "mail.example.com", 465, Security::tls, "u", "p"},
           Row{"smtp://localhost:1025", "localhost", 1025, Security::if_offered, "", ""},
           Row{"smtp://[::1]:1025", "[::1]", 1025, Security::if_offered, "", ""},
       }) {
    const auto server = parse_smtp_url(row.url);
    ASSERT_TRUE(server) << row.url << ": " << server.error();
    EXPECT_EQ(server->host, row.host) << row.url;
    EXPECT_EQ(server->port, row.port) << row.url;
    EXPECT_EQ(server->security, row.security) << row.url;
    EXPECT_EQ(server->user, row.user) << row.url;
    EXPECT_EQ(server->password.reveal(), row.password) << row.url;
  }
}

TEST(SmtpUrl, RefusesWhatItDoesNotUnderstand) {
  for (const char* url :
       {"", "mail.example.com", "https://mail.example.com", "smtp://", "smtp://user@mail.example.com",
        "smtp://:pass@mail.example.com", "smtp://user:@mail.example.com",
        "smtp://us%0Aer:pass@mail.example.com", "smtp://user:pa%00ss@mail.example.com",
        "smtp://mail.example.com/path", "smtp://mail.example.com?x=1"})
    EXPECT_FALSE(parse_smtp_url(url)) << url;
}

TEST(MailErrorKind, HasAName) {
  EXPECT_EQ(name(Kind::refused), "refused");
  EXPECT_EQ(name(Kind::recipient), "recipient");
}

}  // namespace
}  // namespace latchkey::mail
