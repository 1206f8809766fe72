#pragma once
// How a program on this computer signs somebody in: their browser comes back to a page on a free port of
// 127.0.0.1 (RFC 8252 §7.3).

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/network.h"
#include "web/router.h"
#include "web/server.h"

namespace examples {

/// The port may be another each time: servers do not compare it, and the client_id stays the same.
inline client::ClientMetadata loopback_client(std::string scope) {
  return *client::ClientMetadata::loopback({"http://127.0.0.1/callback"}, std::move(scope));
}

class Loopback {
 public:
  Loopback() : server_({.threads = 1}, routes()), port_(server_.listen("127.0.0.1", 0)) {}
  std::string redirect_uri() const { return fmt::format("http://127.0.0.1:{}/callback", port_); }

  /// The parameters the browser comes back with. Once. `state` is that of the request: other programs and
  /// pages can knock here too.
  Task<FormFields> wait_for(std::string state) {
    state_ = std::move(state);
    server_.start();
    co_return co_await came_back_;
  }

 private:
  web::Router routes() {
    web::Router router;
    router.get("/callback", [this](web::Request request) { return web::ready(callback(request)); });
    return router;
  }
  web::Response callback(const web::Request& request) {
    auto fields = request.query_fields();
    if (!fields || single(*fields, "state") != state_)
      return web::Response::text("Nobody waits for this.\n", 400);
    came_back_.deliver(std::move(*fields));
    return web::Response::text("Done. You can close this page.\n");
  }

  std::string state_;
  Completion<FormFields> came_back_;
  web::Server server_;
  std::uint16_t port_;
};

/// Signs somebody in through their browser.
inline Task<Result<client::SignedIn, client::Fault>> sign_in(client::OauthClient* oauth,
                                                             std::string account) {
  Loopback loopback;
  CO_TRY(const auto started,
         co_await oauth->authorize(std::move(account), {.redirect_uri = loopback.redirect_uri()}));
  fmt::print("Open this address in your browser:\n\n  {}\n\n", started.url);
  std::fflush(stdout);
  FormFields answer = co_await loopback.wait_for(started.state);
  co_return co_await oauth->callback(std::move(answer), {});
}

}  // namespace examples
