#pragma once
// Sends requests over several connections at once and says what they cost the server.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection.h"
#include "server_process.h"

namespace latchkey::bench {

struct Figures {
  std::size_t requests = 0;
  std::chrono::nanoseconds wall{0}, server_cpu{0};
  std::vector<std::chrono::nanoseconds> latencies;  // one per request, not sorted

  Figures& operator+=(const Figures& more);
  double cpu_us() const;  // per request
  double per_second() const;
  std::chrono::nanoseconds percentile(double p) const;
};

/// The i-th request of connection c; `previous` is the answer to its (i-1)-th, nullptr for the first. Called
/// while the clock runs, so whatever is dear is prepared before.
using Script = std::function<std::string(std::size_t c, std::size_t i, const Answer* previous)>;

struct Load {
  std::size_t connections = 8;
  std::size_t each = 100;     // requests per connection
  int expected_status = 200;  // any other answer ends the run
  std::function<void(std::size_t c, std::size_t i, const Answer&)> seen = {};
};

class Driver {
 public:
  explicit Driver(const ServerProcess& server) : server_(server) {}
  Figures run(const Load& load, const Script& script);
  /// The connection c of every run.
  Connection& connection(std::size_t c);

 private:
  const ServerProcess& server_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace latchkey::bench
