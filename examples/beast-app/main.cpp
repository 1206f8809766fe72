// A server made with Boost.Beast whose users sign in with Bluesky, or any AT Protocol account: the auth
// framework answers below /api/auth, and one page knows who is there.
//
//   beast-app [--dev <PDS> <PLC directory>] <port> <database>       e.g. beast-app 3000 app.db
//
// A page of yours starts a sign-in with POST /api/auth/bsky/sign-in {"handle": …} and goes to the `url` of
// the answer; clients/js does it for the client of better-auth.
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <span>

#include "auth/core/auth.h"
#include "auth/plugins/atproto/atproto.h"
#include "base/secrets_file.h"
#include "beast_handler.h"
#include "common/network.h"

using namespace examples;
using asio::ip::tcp;

namespace {

std::string text_of(const json::Object& fields, std::string_view name) {
  const auto* value = fields.find(name);
  const auto* text = value ? value->string() : nullptr;
  return text ? *text : "";
}

Task<web::Response> front_page(auth::Auth* auth, web::Request request) {
  const auto who = co_await auth->session_of(std::move(request));
  if (!who) co_return web::Response::text("Please sign in.\n");
  co_return web::Response::text(
      fmt::format("Hello, {}. You are {}.\n", who->user.name, text_of(who->user.fields, "bskyDid")));
}

Task<web::Response> answer(auth::Auth* auth, web::Request request) {
  if (request.path == "/") return front_page(auth, std::move(request));
  if (request.path.starts_with("/api/auth/")) return auth->handle(std::move(request));
  return web::ready(web::Response::error(404, "NotFound", "Not Found"));
}

asio::awaitable<void> serve(tcp::socket socket, BeastExecutor* executor, web::Handler handler) try {
  const tcp::endpoint peer = socket.remote_endpoint();
  boost::beast::tcp_stream stream(std::move(socket));
  boost::beast::flat_buffer buffer;
  for (bool keep_alive = true; keep_alive;) {
    stream.expires_after(std::chrono::seconds(30));
    http::request_parser<http::string_body> parser;
    parser.body_limit(1 << 20);
    co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
    keep_alive = parser.keep_alive();
    const Asked asked{parser.get().version(), keep_alive, parser.get().method() == http::verb::head};
    stream.expires_never();  // the handler has limits of its own
    web::Response response = co_await ask(executor, handler, from_beast(parser.release(), peer));
    stream.expires_after(std::chrono::seconds(30));
    const BeastResponse out = to_beast(std::move(response), asked);
    co_await http::async_write(stream, out, asio::use_awaitable);
  }
} catch (const std::exception&) {  // gone, too slow, or no HTTP
}

asio::awaitable<void> accept(tcp::acceptor* acceptor, BeastExecutor* executor, web::Handler handler) {
  for (;;) {
    tcp::socket socket = co_await acceptor->async_accept(asio::use_awaitable);
    asio::co_spawn(acceptor->get_executor(), serve(std::move(socket), executor, handler), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  std::span<char*> args(argv + 1, static_cast<std::size_t>(argc - 1));
  std::optional<DevNetwork> dev;
  if (args.size() == 5 && args[0] == std::string_view("--dev")) {
    dev = {args[1], args[2]};
    args = args.subspan(3);
  }
  if (args.size() != 2) {
    fmt::print(stderr, "usage: beast-app [--dev <PDS> <PLC directory>] <port> <database>\n");
    return 2;
  }
  const std::string database = args[1];

  asio::io_context context(1);
  BeastExecutor executor(context);
  tcp::acceptor acceptor(context,
                         {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(args[0]))});
  const std::string url = fmt::format("http://127.0.0.1:{}", acceptor.local_endpoint().port());

  Network network(dev);
  auto db = store::open_database(database);
  // On https it has a key and publishes who it is; on 127.0.0.1 it is a client of development, and needs
  // neither.
  std::vector<auth::Plugin> plugins;
  plugins.push_back(auth::atproto({.fetch = network.fetch,
                                   .resolver = network.resolver,
                                   .client = {.client_name = "Beast example"},
                                   .plain_http = network.plain_http,
                                   .allowed_calls = {{.method = "com.atproto.server.getSession"}}}));
  auth::Auth auth({.base_url = url,
                   .secret = SecretsFile(database + ".secrets", network.rng).get("auth"),
                   .database = *db,
                   .clock = network.clock,
                   .rng = network.rng,
                   .plugins = std::move(plugins)});
  auth.migrate();

  const web::Handler handler = [&auth](web::Request request) { return answer(&auth, std::move(request)); };
  asio::co_spawn(context, accept(&acceptor, &executor, handler), asio::detached);
  asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&context](boost::system::error_code, int) { context.stop(); });
  fmt::print("{}\n", url);
  std::fflush(stdout);
  context.run();
} catch (const std::exception& e) {
  fmt::print(stderr, "beast-app: {}\n", e.what());
  return 1;
}
