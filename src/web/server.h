#pragma once
// HTTP/1.1 server: N threads, one event loop each; a connection stays on its thread, and so do the coroutines
// of its requests (each loop is an Executor). No TLS here: a reverse proxy stands in front.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/rng.h"
#include "base/time.h"
#include "web/http.h"
#include "web/router.h"

namespace latchkey::web {

struct ServerOptions {
  unsigned threads = 0;  // 0: one per core
  std::size_t max_header = 16 * 1024;
  std::size_t max_body = 1024 * 1024;  // routes may say otherwise, see max_body_of
  std::size_t max_connections = 10'000;
  std::chrono::milliseconds header_timeout{10'000};   // from a request's first byte to the end of its header
  std::chrono::milliseconds body_timeout{60'000};     // the whole body
  std::chrono::milliseconds idle_timeout{75'000};     // between requests
  std::chrono::milliseconds write_timeout{60'000};    // without any progress
  std::chrono::milliseconds drain_timeout{10'000};    // stop(): for requests under way
  std::chrono::milliseconds websocket_ping{30'000};   // a peer silent for two of these is dropped
  std::size_t websocket_max_message = 1024 * 1024;    // inbound
  std::size_t websocket_max_queue = 8 * 1024 * 1024;  // outbound bytes waiting
  /// Addresses or networks ("10.0.0.0/8") whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id count.
  /// X-Forwarded-Host, -Uri and -Method of others are dropped; nothing here reads them.
  std::vector<std::string> trusted_proxies;
  bool access_log =
      false;  // one line per request: id, method, path, status, µs. No query: it may hold secrets.
  const Clock* clock = nullptr;  // for Date and logs; the system's when null
  Rng* rng = nullptr;            // for request ids; the system's when null
  /// The body limit for a request whose header was read; 0 for max_body. Server(…, Router) sets it.
  std::function<std::size_t(const Request&)> max_body_of;
  /// Whether its handler reads the body itself (Request::body_stream). Such a body has body_timeout and a
  /// second for every 32 KiB it may have. Server(…, Router) sets it.
  std::function<bool(const Request&)> streams_body_of;
};

class Server {
 public:
  Server(ServerOptions options, Handler handler);
  Server(ServerOptions options, Router router);
  /// Stops, and waits for every running handler.
  ~Server();
  Server(const Server&) = delete;

  /// Binds; port 0 takes a free one. Returns the port. Throws std::system_error (address in use …). May be
  /// called several times before start().
  std::uint16_t listen(std::string_view address, std::uint16_t port);
  void start();
  /// Stops accepting, closes idle connections, lets running requests finish for at most drain_timeout, then
  /// cuts their connections. Returns when all handlers have ended. Thread-safe; a second call waits as well.
  void stop();

  unsigned threads() const;
  /// The loop of thread i: for background tasks and for posting work from outside.
  Executor& executor(unsigned i);

  struct Stats {
    std::uint64_t requests, connections_accepted, connections_open, connections_refused;
  };
  Stats stats() const;

  struct Impl;  // server.cpp

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::web
