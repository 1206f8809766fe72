#pragma once
// A handler of Latchkey behind a server made with Boost.Beast: requests and answers in its types, its
// io_context as the place where coroutines go on.

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/executor.h"
#include "web/http.h"

namespace examples {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using namespace latchkey;

using BeastRequest = http::request<http::string_body>;
using BeastResponse = http::response<http::string_body>;

/// For an io_context that one thread runs.
class BeastExecutor final : public Executor {
 public:
  explicit BeastExecutor(asio::io_context& context) : context_(context) {}
  void post(Job job) override {
    asio::post(context_, [this, job = std::move(job)]() mutable { run(std::move(job)); });
  }
  void post_after(std::chrono::milliseconds delay, Job job) override {
    asio::post(context_, [this, delay, job = std::move(job)]() mutable {
      auto timer = std::make_shared<asio::steady_timer>(context_, delay);
      timer->async_wait(
          [this, timer, job = std::move(job)](boost::system::error_code) mutable { run(std::move(job)); });
    });
  }

 private:
  void run(Job job) {
    Enter enter(this);
    job();
  }
  asio::io_context& context_;
};

inline web::Request from_beast(BeastRequest in, const asio::ip::tcp::endpoint& peer) {
  web::Headers headers;
  for (const auto& field : in) headers.add(std::string(field.name_string()), std::string(field.value()));
  auto out = web::Request::make(std::string(in.method_string()), std::string(in.target()),
                                std::move(in.body()), std::move(headers));
  out.scheme = "http";
  out.host = std::string(in[http::field::host]);
  out.remote_ip = peer.address().to_string();
  return out;
}

/// What has to be known of a request when its answer is ready.
struct Asked {
  unsigned version;
  bool keep_alive;
  bool head;
};

inline BeastResponse to_beast(web::Response in, const Asked& asked) {
  web::add_data_headers(in, false);
  BeastResponse out(static_cast<http::status>(in.status), asked.version);
  for (const auto& [name, value] : in.headers) out.insert(name, value);  // there can be several set-cookie
  out.body() =
      in.shared_body ? std::string(in.shared_body->begin(), in.shared_body->end()) : std::move(in.body);
  out.keep_alive(asked.keep_alive);
  out.prepare_payload();
  if (asked.head) out.body().clear();  // RFC 9110 §9.3.2: the header fields of a GET, and nothing behind them
  return out;
}

/// Runs the handler and hands its answer to `done`. What it throws ends here.
template <class Done>
Task<void> answer_with(web::Handler handler, web::Request request, Done done) {
  web::Response response;
  try {
    response = co_await handler(std::move(request));
  } catch (const std::exception& e) {
    fmt::print(stderr, "beast-app: {}\n", e.what());
    response = web::Response::error(500, "InternalServerError", "Internal Server Error");
  }
  std::move(done)(std::move(response));
}

/// The answer of a handler, awaited in a coroutine of Asio.
inline asio::awaitable<web::Response> ask(BeastExecutor* executor, web::Handler handler,
                                          web::Request request) {
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(web::Response)>(
      [executor](auto done, web::Handler handler, web::Request request) {
        executor->post(
            [done = std::move(done), handler = std::move(handler), request = std::move(request)]() mutable {
              spawn(answer_with(std::move(handler), std::move(request), std::move(done)));
            });
      },
      asio::use_awaitable, std::move(handler), std::move(request));
}

}  // namespace examples
