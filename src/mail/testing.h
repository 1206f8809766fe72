#pragma once
// A mail server for tests: one scripted SMTP conversation on a loopback socket, with TLS where the script
// says so.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace latchkey::mail {

// A certificate nobody has signed but itself, for one name.
struct Certificate {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  std::string file;

  explicit Certificate(const char* name, long not_after = 3600) {
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x509), not_after);
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

}  // namespace latchkey::mail
