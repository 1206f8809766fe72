#include "drive.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <stdexcept>

namespace latchkey::bench {

Figures& Figures::operator+=(const Figures& more) {
  requests += more.requests;
  wall += more.wall;
  server_cpu += more.server_cpu;
  latencies.insert(latencies.end(), more.latencies.begin(), more.latencies.end());
  return *this;
}
double Figures::cpu_us() const {
  return requests ? static_cast<double>(server_cpu.count()) / 1e3 / static_cast<double>(requests) : 0;
}
double Figures::per_second() const {
  return wall.count() ? static_cast<double>(requests) * 1e9 / static_cast<double>(wall.count()) : 0;
}
std::chrono::nanoseconds Figures::percentile(double p) const {
  if (latencies.empty()) return {};
  auto sorted = latencies;
  std::sort(sorted.begin(), sorted.end());
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(p * static_cast<double>(sorted.size())))];
}

Connection& Driver::connection(std::size_t c) {
  while (connections_.size() <= c) connections_.push_back(std::make_unique<Connection>(server_.pds_port()));
  return *connections_[c];
}

Figures Driver::run(const Load& load, const Script& script) {
  using Clock = std::chrono::steady_clock;
  std::vector<pollfd> fds;
  for (std::size_t c = 0; c < load.connections; ++c)
    fds.push_back({.fd = connection(c).fd(), .events = POLLIN, .revents = 0});
  std::vector<Clock::time_point> sent_at(load.connections);
  std::vector<std::size_t> count(load.connections, 0);
  Figures out;
  out.latencies.reserve(load.connections * load.each);

  const auto cpu_before = server_.cpu();
  const auto begin = Clock::now();
  for (std::size_t c = 0; c < load.connections; ++c) {
    const auto request = script(c, 0, nullptr);
    sent_at[c] = Clock::now();
    connection(c).send(request);
  }
  for (std::size_t open = load.connections; open > 0;) {
    if (::poll(fds.data(), fds.size(), 60'000) <= 0) throw std::runtime_error("the server is silent");
    for (std::size_t c = 0; c < load.connections; ++c) {
      if (!fds[c].revents || !connection(c).receive()) continue;
      const auto now = Clock::now();
      const Answer answer = connection(c).take();
      out.latencies.push_back(now - sent_at[c]);
      const auto i = count[c]++;
      if (answer.status != load.expected_status)
        throw std::runtime_error(
            fmt::format("answer {} instead of {}: {}", answer.status, load.expected_status, answer.body));
      if (load.seen) load.seen(c, i, answer);
      if (count[c] == load.each) {
        fds[c].fd = -1;
        --open;
        continue;
      }
      const auto request = script(c, i + 1, &answer);
      sent_at[c] = Clock::now();
      connection(c).send(request);
    }
  }
  out.wall = Clock::now() - begin;
  out.server_cpu = server_.cpu() - cpu_before;
  out.requests = load.connections * load.each;
  return out;
}

}  // namespace latchkey::bench
