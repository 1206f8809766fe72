#pragma once
// Tests only: a blocking socket that says exactly what it is told to.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>

#include "web/http.h"

namespace latchkey::web {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    timeval limit{30, 0};  // a hanging server fails the test instead of stopping the run
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("connect");
  }
  RawClient(const RawClient&) = delete;
  ~RawClient() { close(fd_); }

  /// False when the peer does not want more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void finish_sending() { shutdown(fd_, SHUT_WR); }

  /// Everything until the peer closes.
  std::string read_to_end() {
    while (fill()) {
    }
    return std::exchange(buffer_, {});
  }
  bool at_end() { return buffer_.empty() && !fill(); }

  std::string read_exactly(std::size_t n) {
    while (buffer_.size() < n)
      if (!fill()) throw std::runtime_error("connection ended early");
    auto out = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return out;
  }
  std::string read_until(std::string_view mark) {
    std::size_t at;
    while ((at = buffer_.find(mark)) == std::string::npos)
      if (!fill()) throw std::runtime_error("connection ended early");
    return read_exactly(at + mark.size());
  }

  struct Answer {
    int status = 0;
    Headers headers;
    std::string body;
  };
  /// One response, with a body by content-length or chunks.
  Answer read_answer(bool head = false) {
    auto text = read_until("\r\n\r\n");
    Answer out;
    const auto line_end = text.find("\r\n");
    const auto line = text.substr(0, line_end);
    if (!line.starts_with("HTTP/1.1 ")) throw std::runtime_error("not HTTP: " + line);
    out.status = std::stoi(line.substr(9, 3));
    std::size_t at = line_end + 2;
    while (at + 2 < text.size()) {
      const auto end = text.find("\r\n", at);
      const auto field = text.substr(at, end - at);
      const auto colon = field.find(": ");
      out.headers.add(field.substr(0, colon), field.substr(colon + 2));
      at = end + 2;
    }
    if (head || out.status == 204 || out.status == 304 || out.status < 200) return out;
    if (out.headers.get("transfer-encoding") == "chunked") {
      for (;;) {
        const auto size = std::stoul(read_until("\r\n"), nullptr, 16);
        out.body += read_exactly(size);
        read_exactly(2);
        if (size == 0) return out;
      }
    }
    if (out.headers.has("content-length"))
      out.body = read_exactly(std::stoul(std::string(out.headers.get("content-length"))));
    return out;
  }

 private:
  bool fill() {
    char part[65536];
    const auto n = recv(fd_, part, sizeof part, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("no answer in time");
    if (n <= 0) return false;
    buffer_.append(part, static_cast<std::size_t>(n));
    return true;
  }
  int fd_;
  std::string buffer_;
};

}  // namespace latchkey::web
