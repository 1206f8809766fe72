#include "connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <stdexcept>
#include <utility>

namespace latchkey::bench {

std::vector<std::string> Answer::headers(std::string_view name) const {
  std::vector<std::string> out;
  const std::string_view all = head;
  for (std::size_t at = all.find("\r\n"); at != std::string_view::npos;) {
    const auto begin = at + 2, end = all.find("\r\n", begin);
    if (end == std::string_view::npos) break;
    const auto line = all.substr(begin, end - begin);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      auto value = line.substr(name.size() + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      out.emplace_back(value);
    }
    at = end;
  }
  return out;
}

std::string Answer::header(std::string_view name) const {
  auto all = headers(name);
  return all.empty() ? std::string() : std::move(all.front());
}

Connection::Connection(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int one = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const timeval limit{60, 0};  // a hanging server ends the run
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd_);
    throw std::runtime_error(fmt::format("cannot connect to port {}", port));
  }
}
Connection::~Connection() { ::close(fd_); }

void Connection::send(std::string_view request) {
  while (!request.empty()) {
    const auto n = ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
    if (n <= 0) throw std::runtime_error("the server closed a connection");
    request.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool Connection::receive() {
  constexpr std::size_t k_part = 256 * 1024;
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  }
  const auto before = buffer_.size();
  ssize_t n = 0;
  buffer_.resize_and_overwrite(before + k_part, [&](char* data, std::size_t) {
    n = ::recv(fd_, data + before, k_part, 0);
    return before + static_cast<std::size_t>(n > 0 ? n : 0);
  });
  if (n <= 0) throw std::runtime_error("no answer from the server");
  return parse();
}

bool Connection::parse() {
  std::string_view rest = std::string_view(buffer_).substr(at_);
  const auto skip = [&](std::size_t n) {
    rest.remove_prefix(n);
    at_ += n;
  };
  if (!in_body_) {
    const auto end = rest.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    answer_ = Answer{.status = 0, .head = std::string(rest.substr(0, end + 2)), .body = {}};
    if (answer_.head.size() > 12)
      std::from_chars(answer_.head.data() + 9, answer_.head.data() + 12, answer_.status);
    skip(end + 4);
    chunked_ = answer_.header("transfer-encoding") == "chunked";
    body_left_ = 0;
    const auto length = answer_.header("content-length");
    std::from_chars(length.data(), length.data() + length.size(), body_left_);
    in_body_ = true;
  }
  for (;;) {
    if (body_left_ > 0) {
      const auto n = std::min(body_left_, rest.size());
      answer_.body.append(rest.substr(0, n));
      skip(n);
      body_left_ -= n;
      if (body_left_ > 0) return false;
    }
    if (!chunked_) break;
    // Between chunks: an optional line end of the chunk before, then a size.
    const auto from = rest.starts_with("\r\n") ? std::size_t{2} : 0;
    const auto line = rest.find("\r\n", from);
    if (line == std::string_view::npos) return false;
    std::size_t size = 0;
    std::from_chars(rest.data() + from, rest.data() + line, size, 16);
    if (size == 0) {
      if (rest.size() < line + 4) return false;
      skip(line + 4);
      break;
    }
    skip(line + 2);
    body_left_ = size;
  }
  in_body_ = false;
  return true;
}

Answer Connection::ask(std::string_view request) {
  send(request);
  while (!receive()) {
  }
  return take();
}

std::string request_text(std::string_view method, std::string_view host, std::string_view target,
                         std::string_view headers, std::string_view body) {
  auto out = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}", method, target, host, headers);
  if (method != "GET") out += fmt::format("Content-Length: {}\r\n", body.size());
  out += "\r\n";
  out += body;
  return out;
}

}  // namespace latchkey::bench
