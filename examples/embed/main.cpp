// A program of its own that gives its users accounts: the auth framework below /api/auth, a page that knows
// who is there.
//
//   embed [port] [database]      e.g. embed 3000 app.db
//   curl -c jar -H 'content-type: application/json' localhost:3000/api/auth/sign-up/email
//     -d '{"name":"Ada","email":"ada@example.com","password":"correct horse"}'
//   curl -b jar localhost:3000/
#include <fmt/format.h>

#include <csignal>
#include <string>

#include "auth/core/auth.h"
#include "base/secrets_file.h"
#include "web/router.h"
#include "web/server.h"

using namespace latchkey;

namespace {

Task<web::Response> front_page(auth::Auth* auth, web::Request request) {
  const auto who = co_await auth->session_of(std::move(request));
  co_return web::Response::text(who ? fmt::format("Hello, {}.\n", who->user.name) : "Please sign in.\n");
}

}  // namespace

int main(int argc, char** argv) try {
  const int port = argc > 1 ? std::stoi(argv[1]) : 3000;
  const std::string database = argc > 2 ? argv[2] : "app.db";

  // Signals are waited for below, by this thread only.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  SystemClock clock;
  OsRng rng;
  auto db = store::open_database(database);
  ThreadPool passwords(2, 100);

  auth::Auth auth({.base_url = fmt::format("http://localhost:{}", port),
                   .secret = SecretsFile(database + ".secrets", rng).get("auth"),
                   .database = *db,
                   .clock = clock,
                   .rng = rng,
                   .password_pool = &passwords,
                   .email_and_password = {.enabled = true}});
  auth.migrate();

  web::Router router;
  router.mount("/api/auth", auth.handler());
  router.get("/", [&auth](web::Request request) { return front_page(&auth, std::move(request)); });

  web::Server server({}, std::move(router));
  fmt::print("http://localhost:{}\n", server.listen("127.0.0.1", static_cast<std::uint16_t>(port)));
  std::fflush(stdout);
  server.start();
  int signal = 0;
  sigwait(&ends, &signal);
  server.stop();
} catch (const std::exception& e) {
  fmt::print(stderr, "embed: {}\n", e.what());
  return 1;
}
