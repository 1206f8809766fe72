// The server over loopback. `server_us` is the CPU time of the server's thread per request (DESIGN: _health 8
// µs).
#include <benchmark/benchmark.h>
#include <time.h>

#include <future>

#include "base/log.h"
#include "web/raw_client.h"
#include "web/server.h"
#include "web/template.h"
#include "web/websocket.h"

namespace {

using namespace latchkey;
using namespace latchkey::web;

double thread_cpu_us(Server& server) {
  std::promise<double> out;
  server.executor(0).post([&] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    out.set_value(static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3);
  });
  return out.get_future().get();
}

Task<std::optional<Bytes>> pieces(std::shared_ptr<int> left) {
  if ((*left)-- == 0) co_return std::nullopt;
  co_return Bytes(65536);
}

Router routes() {
  Router r;
  r.get("/health", [](Request) { return ready(Response::json_text(R"({"version":"0.1.0"})")); });
  r.get("/x/{id}", [](Request q) { return ready(Response::text(q.param("id"))); });
  r.post("/upload", [](Request q) { return ready(Response::text(std::to_string(q.body.size()))); });
  r.get("/stream", [](Request) {
    auto left = std::make_shared<int>(16);
    return ready(Response::streamed("application/octet-stream", [left] { return pieces(left); }, 16 * 65536));
  });
  return r;
}

void measure(benchmark::State& state, const std::string& request, std::size_t depth = 1) {
  log::set_level(log::Level::off);
  Server server({.threads = 1}, routes());
  const auto port = server.listen("127.0.0.1", 0);
  server.start();
  RawClient client(port);
  client.send(request);
  client.read_answer();
  std::string many;
  for (std::size_t i = 0; i < depth; ++i) many += request;
  const auto before = thread_cpu_us(server);
  for (auto _ : state) {
    client.send(many);
    for (std::size_t i = 0; i < depth; ++i) client.read_answer();
  }
  const auto used = thread_cpu_us(server) - before;
  state.counters["server_us"] =
      used / static_cast<double>(state.iterations() * static_cast<std::int64_t>(depth));
}

// What a client's HTTP library sends besides the request line.
constexpr std::string_view k_fields =
    "Host: pds.example.com\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nUser-Agent: bench\r\n\r\n";

void Health(benchmark::State& state) { measure(state, "GET /health HTTP/1.1\r\n" + std::string(k_fields)); }
BENCHMARK(Health)->UseRealTime();

void HealthPipelined(benchmark::State& state) {
  measure(state, "GET /health HTTP/1.1\r\n" + std::string(k_fields), 16);
}
BENCHMARK(HealthPipelined)->UseRealTime();

void Capture(benchmark::State& state) { measure(state, "GET /x/abc HTTP/1.1\r\n" + std::string(k_fields)); }
BENCHMARK(Capture)->UseRealTime();

void Upload100k(benchmark::State& state) {
  measure(state, "POST /upload HTTP/1.1\r\nContent-Length: 102400\r\n" + std::string(k_fields) +
                     std::string(102400, 'x'));
}
BENCHMARK(Upload100k)->UseRealTime();

void Stream1M(benchmark::State& state) { measure(state, "GET /stream HTTP/1.1\r\n" + std::string(k_fields)); }
BENCHMARK(Stream1M)->UseRealTime();

void RenderPage(benchmark::State& state) {
  const EmbeddedFile files[] = {
      {"page.html", as_bytes("<h1>{{title}}</h1>{{#scopes}}<li>{{name}}: {{detail}}</li>{{/scopes}}")}};
  const Templates templates(files, nullptr);
  json::Array scopes;
  for (int i = 0; i < 10; ++i)
    scopes.push_back(json::Object{{"name", "repo:app.example.x"}, {"detail", "Read & write"}});
  const View view = json::Object{{"title", "Authorize"}, {"scopes", std::move(scopes)}};
  for (auto _ : state) benchmark::DoNotOptimize(templates.render("page", view));
}
BENCHMARK(RenderPage);

}  // namespace
