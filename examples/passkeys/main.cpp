// A site whose people sign in with passkeys: the auth framework behind a web server of its own, and two
// pages.
//
//   build/dev/examples/passkeys/example_passkeys 3000      then open http://localhost:3000/
//
// Everything it knows is gone when it ends.

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "auth/core/auth.h"
#include "auth/plugins/passkey/passkey.h"
#include "ui/embedded.h"
#include "web/router.h"
#include "web/server.h"
#include "web/template.h"

using namespace latchkey;

namespace {

std::string page(std::string_view name) {
  std::ifstream file(fmt::format("{}/{}", LATCHKEY_EXAMPLE_PAGES, name));
  return {std::istreambuf_iterator<char>(file), {}};
}
web::Handler page_handler(std::string name) {
  return [name = std::move(name)](web::Request) {
    return web::ready(web::html_page(page(name), {.https = false}));
  };
}
web::Handler script_handler(std::string name) {
  return [name = std::move(name)](web::Request) {
    return web::ready(web::Response::bytes(to_bytes(page(name)), "text/javascript"));
  };
}

}  // namespace

int main(int argc, char** argv) {
  // Blocked before there are threads, so that only sigwait() below sees them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 3000);
  const std::string url = fmt::format("http://localhost:{}", port);
  const auto db = store::open_sqlite_temporary();
  const SystemClock clock;
  OsRng rng;

  std::vector<auth::Plugin> plugins;
  plugins.push_back(auth::passkey({.rp_name = "Passkey example"}));
  auth::Auth auth({.base_url = url,
                   .secret = Secret<std::string>(rng.token(32)),
                   .database = *db,
                   .clock = clock,
                   .rng = rng,
                   .email_and_password = {.enabled = true},
                   .rate_limit = {.enabled = false},
                   .plugins = std::move(plugins)});
  auth.migrate();

  const web::StaticFiles assets(ui::static_files());
  web::Router router;
  router.mount("/api/auth", auth.handler());
  router.get("/", page_handler("signin.html"));
  router.get("/account", page_handler("account.html"));
  router.get("/site.js", script_handler("site.js"));
  router.get("/static/{file*}", assets.handler());

  web::Server server({.threads = 1}, std::move(router));
  server.listen("127.0.0.1", port);
  server.start();
  std::cout << url << std::endl;
  int signal = 0;
  sigwait(&ends, &signal);
  server.stop();
}
