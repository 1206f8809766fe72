#pragma once
// A keep-alive HTTP/1.1 connection to 127.0.0.1, as thin as a client can be: what it costs is not what is
// measured.

#include <string>
#include <string_view>
#include <vector>

namespace latchkey::bench {

struct Answer {
  int status = 0;
  std::string head;  // status line and header fields
  std::string body;

  /// The first field of that name; "" when absent.
  std::string header(std::string_view name) const;
  std::vector<std::string> headers(std::string_view name) const;
};

class Connection {
 public:
  explicit Connection(std::uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;

  int fd() const { return fd_; }
  void send(std::string_view request);
  /// One recv. True when a whole answer is there; take() it then. Throws when the peer closed.
  bool receive();
  Answer take() { return std::move(answer_); }
  /// Sends and waits.
  Answer ask(std::string_view request);

 private:
  bool parse();
  int fd_;
  std::string buffer_;
  std::size_t at_ = 0;  // where in buffer_ the next unread byte is
  bool in_body_ = false, chunked_ = false;
  std::size_t body_left_ = 0;
  Answer answer_;
};

/// A request as text. `headers` are whole lines, each ended by "\r\n".
std::string request_text(std::string_view method, std::string_view host, std::string_view target,
                         std::string_view headers, std::string_view body = {});

}  // namespace latchkey::bench
