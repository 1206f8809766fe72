#include "mail/smtp.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <set>

#include "base/url.h"

namespace latchkey::mail {

namespace {

struct CurlGlobal {
  CurlGlobal() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::runtime_error("libcurl does not start");
  }
  ~CurlGlobal() { curl_global_cleanup(); }
};

struct FreeCurl {
  void operator()(CURL* c) const { curl_easy_cleanup(c); }
  void operator()(curl_slist* l) const { curl_slist_free_all(l); }
};

/// OpenSSL writes to sockets with write(2): a server that hangs up would raise SIGPIPE and, unless somebody
/// ignores it, end the process. Held back on this thread while this lives, and what came is dropped.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
};

/// Follows the conversation, because libcurl tells "MAIL refused" and "RCPT refused" by the same code.
struct Conversation {
  std::string_view unsent;
  std::string verb;        // of our last command
  int reply = 0;           // to it
  std::string reply_text;  // the last line of it
  bool quitting = false;
  std::set<std::string> taken;  // verbs that were answered with 2yz
};

std::size_t give(char* buffer, std::size_t size, std::size_t count, void* user) {
  auto& c = *static_cast<Conversation*>(user);
  const auto n = std::min(size * count, c.unsent.size());
  std::memcpy(buffer, c.unsent.data(), n);
  c.unsent.remove_prefix(n);
  return n;
}

int overhear(CURL*, curl_infotype type, char* data, std::size_t size, void* user) {
  auto& c = *static_cast<Conversation*>(user);
  const std::string_view line(data, size);
  if (c.quitting) return 0;
  if (type == CURLINFO_HEADER_OUT) {
    // QUIT is polite after a refusal, too; what counts is the reply before it.
    if (line.starts_with("QUIT")) {
      c.quitting = true;
      return 0;
    }
    // What follows AUTH are credentials, not commands. They are not kept.
    const bool in_auth = c.verb == "AUTH" && c.reply == 334;
    if (!in_auth) c.verb = line.substr(0, line.find_first_of(" \r\n"));
    c.reply = 0;
    c.reply_text.clear();
  } else if (type == CURLINFO_HEADER_IN) {
    int code = 0;
    for (const char digit : line.substr(0, 3)) {
      if (digit < '0' || digit > '9') return 0;
      code = code * 10 + (digit - '0');
    }
    if (line.size() < 3) return 0;
    c.reply = code;
    c.reply_text = header_safe(line, 300);
    if (code >= 200 && code < 300) c.taken.insert(c.verb);
  }
  return 0;
}

bool is_tls_error(CURLcode rc) {
  switch (rc) {
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return true;
    default:
      return false;
  }
}

MailError::Kind kind_of(CURLcode rc, const Conversation& c) {
  using Kind = MailError::Kind;
  if (is_tls_error(rc)) return Kind::tls;
  if (rc == CURLE_LOGIN_DENIED) return Kind::login;
  if (c.reply < 400) {  // nobody said no, so the connection failed
    switch (rc) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_CONNECT:
      case CURLE_OPERATION_TIMEDOUT:
      case CURLE_GOT_NOTHING:
      case CURLE_SEND_ERROR:
      case CURLE_RECV_ERROR:
      case CURLE_PARTIAL_FILE:
      case CURLE_WEIRD_SERVER_REPLY:
        return Kind::refused;
      default:
        return Kind::other;
    }
  }
  if (c.reply == 421) return Kind::refused;  // RFC 5321 §3.8: closing the channel, whatever the command
  if (c.reply == 530 || c.reply == 534 || c.reply == 535 || c.reply == 538)
    return Kind::login;  // RFC 4954 §6
  if (c.verb == "AUTH") return Kind::login;
  if (c.verb == "STARTTLS") return Kind::tls;
  if (c.verb == "MAIL") return Kind::sender;
  if (c.verb == "RCPT") return Kind::recipient;
  return Kind::other;
}

MailError::Cause cause_of(CURL* curl, CURLcode rc, const Conversation& c) {
  using Cause = MailError::Cause;
  if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_ISSUER_ERROR) {
    long verified = X509_V_OK;
    curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &verified);
    switch (verified) {
      case X509_V_OK:
      case X509_V_ERR_UNSPECIFIED:  // libcurl's start value: the handshake went well, so it is the name
        return Cause::wrong_name;
      case X509_V_ERR_CERT_HAS_EXPIRED:
      case X509_V_ERR_CERT_NOT_YET_VALID:
        return Cause::outdated;
      default:
        return Cause::unknown_issuer;
    }
  }
  if (rc == CURLE_USE_SSL_FAILED || rc == CURLE_SSL_CONNECT_ERROR) return Cause::no_tls;
  if (c.reply >= 400 || rc == CURLE_LOGIN_DENIED) return Cause::said_no;
  switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return Cause::name_not_found;
    case CURLE_COULDNT_CONNECT: {
      long error = 0;
      curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
      return error == ETIMEDOUT ? Cause::no_answer : Cause::port_closed;
    }
    case CURLE_OPERATION_TIMEDOUT:
      return Cause::no_answer;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
      return Cause::hung_up;
    default:
      return Cause::unknown;
  }
}

// Servers like to repeat the address. Logs never carry it whole.
std::string without_address(std::string text, const EmailAddress& address) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  const std::string masked = address.masked();
  auto from = text.begin();
  while (true) {
    const auto at = std::search(from, text.end(), address.str().begin(), address.str().end(), same);
    if (at == text.end()) return text;
    const auto begin = at - text.begin();
    text.replace(static_cast<std::size_t>(begin), address.str().size(), masked);
    from = text.begin() + begin + static_cast<std::ptrdiff_t>(masked.size());
  }
}

SmtpAttempt deliver(const SmtpOptions& o, const std::string& from, const EmailAddress& to,
                    std::string_view mail) {
  const NoSigpipe quiet;  // first, so that it also covers the closing of the connection
  const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  const std::unique_ptr<curl_slist, FreeCurl> recipients(
      curl_slist_append(nullptr, fmt::format("<{}>", to.str()).c_str()));
  if (!curl || !recipients) throw std::bad_alloc();
  Conversation conversation{.unsent = mail, .verb = {}, .reply_text = {}, .taken = {}};
  char words[CURL_ERROR_SIZE] = "";

  const auto set = [&](CURLoption option, auto value) {
    if (curl_easy_setopt(curl.get(), option, value) != CURLE_OK)
      throw std::runtime_error("libcurl lacks an SMTP option");
  };
  const SmtpServer& server = o.server;
  const bool tls = server.security == Security::tls;
  set(CURLOPT_URL,
      fmt::format("{}://{}:{}/{}", tls ? "smtps" : "smtp", server.host, server.port, percent_encode(o.helo))
          .c_str());
  set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  set(CURLOPT_PROXY, "");  // not from the environment
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(o.connect_timeout.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(o.timeout.count()));
  set(CURLOPT_ERRORBUFFER, words);

  const bool login = !server.user.empty();
  if (tls || server.security == Security::starttls || login)
    set(CURLOPT_USE_SSL, static_cast<long>(CURLUSESSL_ALL));
  else
    set(CURLOPT_USE_SSL, static_cast<long>(CURLUSESSL_TRY));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!server.ca_file.empty()) set(CURLOPT_CAINFO, server.ca_file.c_str());
  if (login) {
    set(CURLOPT_USERNAME, server.user.c_str());
    set(CURLOPT_PASSWORD, server.password.reveal().c_str());
  }

  set(CURLOPT_MAIL_FROM, fmt::format("<{}>", from).c_str());
  set(CURLOPT_MAIL_RCPT, recipients.get());
  set(CURLOPT_UPLOAD, 1L);
  set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(mail.size()));
  set(CURLOPT_READFUNCTION, &give);
  set(CURLOPT_READDATA, static_cast<void*>(&conversation));
  set(CURLOPT_VERBOSE, 1L);  // what feeds DEBUGFUNCTION
  set(CURLOPT_DEBUGFUNCTION, &overhear);
  set(CURLOPT_DEBUGDATA, static_cast<void*>(&conversation));

  const CURLcode rc = curl_easy_perform(curl.get());
  SmtpAttempt attempt;
  const char* peer = nullptr;
  curl_off_t connected = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_PRIMARY_IP, &peer);
  curl_easy_getinfo(curl.get(), CURLINFO_CONNECT_TIME_T, &connected);
  if (peer && (connected > 0 || is_tls_error(rc))) attempt.peer = peer;
  // The greeting comes after the handshake, or the handshake after the answer to STARTTLS.
  attempt.tls = !is_tls_error(rc) && conversation.taken.contains(tls ? "" : "STARTTLS");
  attempt.logged_in = conversation.taken.contains("AUTH");
  attempt.sender_taken = conversation.taken.contains("MAIL");
  attempt.recipient_taken = conversation.taken.contains("RCPT");
  attempt.reply = without_address(conversation.reply_text, to);
  if (rc == CURLE_OK) return attempt;
  std::string detail = conversation.reply >= 400 ? conversation.reply_text
                       : words[0] != '\0'        ? std::string(words)
                                                 : std::string(curl_easy_strerror(rc));
  attempt.outcome =
      fail(MailError{kind_of(rc, conversation), conversation.reply, without_address(std::move(detail), to),
                     cause_of(curl.get(), rc, conversation)});
  return attempt;
}

bool has_control(std::string_view s) {
  return std::ranges::any_of(s, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

std::string_view name(MailError::Kind kind) {
  switch (kind) {
    case MailError::Kind::refused:
      return "refused";
    case MailError::Kind::tls:
      return "tls";
    case MailError::Kind::login:
      return "login";
    case MailError::Kind::sender:
      return "sender";
    case MailError::Kind::recipient:
      return "recipient";
    case MailError::Kind::other:
      return "other";
  }
  std::abort();
}

Result<SmtpServer, std::string> parse_smtp_url(std::string_view text) {
  const auto url = Url::parse(text);
  if (!url || (url->scheme != "smtp" && url->scheme != "smtps"))
    return fail(std::string("expected smtp://host:port or smtps://user:password@host"));
  if ((!url->path.empty() && url->path != "/") || url->query || url->fragment)
    return fail(std::string("expected nothing after the host and port"));
  SmtpServer server{.host = url->host};
  if (!url->userinfo.empty()) {
    const auto colon = url->userinfo.find(':');
    if (colon == std::string::npos) return fail(std::string("there is a user but no password"));
    auto user = percent_decode(std::string_view(url->userinfo).substr(0, colon));
    auto password = percent_decode(std::string_view(url->userinfo).substr(colon + 1));
    if (!user || !password || user->empty() || password->empty() || has_control(*user) ||
        has_control(*password))
      return fail(std::string("user and password must be percent-encoded text and not empty"));
    server.user = *std::move(user);
    server.password = Secret<std::string>(*std::move(password));
  }
  const bool tls = url->scheme == "smtps" || url->port == 465;
  server.port = url->port.value_or(tls ? 465 : 587);
  server.security = tls ? Security::tls : !server.user.empty() ? Security::starttls : Security::if_offered;
  return server;
}

SmtpSender::SmtpSender(SmtpOptions options, ThreadPool& pool, const Clock& clock, Rng& rng)
    : options_(std::move(options)), pool_(pool), clock_(clock), rng_(rng) {
  static const CurlGlobal k_curl;
}

Task<Result<void, MailError>> SmtpSender::send(Message message) {
  SmtpAttempt done = co_await attempt(std::move(message));
  co_return std::move(done.outcome);
}

Task<SmtpAttempt> SmtpSender::attempt(Message message) {
  std::string mail = render(message, options_.from, clock_.now(), rng_);
  if (options_.dkim) mail.insert(0, dkim_signature(*options_.dkim, mail, clock_.now()));
  std::string from = (message.from ? *message.from : options_.from.address).str();
  try {
    co_return co_await run_on(&pool_, [this, from = std::move(from), to = message.to,
                                       mail = std::move(mail)] { return deliver(options_, from, to, mail); });
  } catch (const Overloaded&) {
    SmtpAttempt none;
    none.outcome =
        fail(MailError{MailError::Kind::other, 0, "too many mails are waiting", MailError::Cause::full});
    co_return none;
  }
}

}  // namespace latchkey::mail
