#include "mail/smtp.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/encoding.h"

namespace latchkey::mail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = MailError::Kind;

// A certificate nobody has signed but itself, for one name.
struct Certificate {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  std::string file;

  explicit Certificate(const char* name) {
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    add(NID_basic_constraints, "critical,CA:TRUE");
    add(NID_subject_alt_name, name);
    X509_sign(x509, key, EVP_sha256());
    char path[] = "/tmp/latchkey-mail-test-XXXXXX";
    ::close(::mkstemp(path));
    file = path;
    std::FILE* out = std::fopen(path, "w");
    PEM_write_X509(out, x509);
    std::fclose(out);
  }
  ~Certificate() {
    std::filesystem::remove(file);
    X509_free(x509);
    EVP_PKEY_free(key);
  }
  void add(int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
};

struct Script {
  std::string greeting = "220 sink.test ESMTP";
  std::vector<std::string> extensions = {};         // of EHLO
  std::map<std::string, std::string> replies = {};  // verb → reply, instead of the friendly one
  std::string hang_up_at = {};                      // verb, or "greeting"
  bool tls_first = false;
  const Certificate* certificate = nullptr;
};

// One SMTP conversation on a loopback socket, written down.
class Sink {
 public:
  explicit Sink(Script script) : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 1) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no loopback socket");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Sink() { finish(); }

  std::uint16_t port() const { return port_; }
  /// What the client said. Waits for the end of the conversation.
  const std::vector<std::string>& said() {
    finish();
    return said_;
  }
  /// The mail as it came after DATA, dot-stuffing undone.
  const std::string& mail() {
    finish();
    return mail_;
  }

 private:
  void finish() {
    if (!thread_.joinable()) return;
    ::shutdown(listener_, SHUT_RDWR);  // wakes an accept nobody came to
    thread_.join();
    ::close(listener_);
  }

  bool start_tls() {
    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context_, script_.certificate->x509);
    SSL_CTX_use_PrivateKey(context_, script_.certificate->key);
    tls_ = SSL_new(context_);
    SSL_set_fd(tls_, connection_);
    return SSL_accept(tls_) == 1;
  }

  void say(const std::string& text) {
    const std::string line = text + "\r\n";
    if (tls_)
      SSL_write(tls_, line.data(), static_cast<int>(line.size()));
    else if (::send(connection_, line.data(), line.size(), MSG_NOSIGNAL) < 0)
      return;
  }

  std::optional<std::string> line() {
    std::string out;
    char c;
    while ((tls_ ? SSL_read(tls_, &c, 1) : static_cast<int>(::recv(connection_, &c, 1, 0))) == 1) {
      out += c;
      if (out.ends_with("\r\n")) return out.substr(0, out.size() - 2);
    }
    return std::nullopt;
  }

  void serve() {
    sigset_t pipe;  // SSL_write to a client that has gone
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    connection_ = ::accept(listener_, nullptr, nullptr);
    if (connection_ < 0) return;
    if ((!script_.tls_first || start_tls()) && script_.hang_up_at != "greeting") {
      if (!script_.greeting.empty()) say(script_.greeting);
      converse();
    }
    SSL_free(tls_);
    SSL_CTX_free(context_);
    ::close(connection_);
  }

  void converse() {
    while (auto command = line()) {
      said_.push_back(*command);
      const auto verb = command->substr(0, command->find(' '));
      if (script_.hang_up_at == verb) return;
      if (const auto reply = script_.replies.find(verb); reply != script_.replies.end()) {
        say(reply->second);
      } else if (verb == "EHLO") {
        for (const auto& extension : script_.extensions) say("250-" + extension);
        say("250 HELP");
      } else if (verb == "STARTTLS") {
        say("220 go ahead");
        if (!start_tls()) return;
      } else if (verb == "AUTH") {
        say("334 ");
        if (auto credentials = line()) said_.push_back(*credentials);
        say("235 welcome");
      } else if (verb == "DATA") {
        say("354 go ahead");
        while (auto text = line()) {
          if (*text == ".") break;
          mail_ += (text->starts_with('.') ? text->substr(1) : *text) + "\r\n";
        }
        if (script_.hang_up_at == "dot") return;
        const auto reply = script_.replies.find("dot");
        say(reply != script_.replies.end() ? reply->second : "250 queued");
      } else if (verb == "QUIT") {
        say("221 bye");
        return;
      } else {
        say("250 fine");
      }
    }
  }

  Script script_;
  int listener_, connection_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
  SSL_CTX* context_ = nullptr;
  SSL* tls_ = nullptr;
  std::vector<std::string> said_;
  std::string mail_;
};

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
