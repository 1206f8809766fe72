// Signs in on the command line with any AT Protocol account, and says who it is.
//
//   login-cli alice.bsky.social          a handle, a DID, or the address of a server
//   login-cli --dev http://localhost:2583 http://localhost:2582 http://localhost:2583
//                                        with the PDS and the PLC directory `latchkey dev` prints: over plain
//                                        HTTP
#include <fmt/format.h>

#include <cstdio>
#include <span>

#include "common/loopback.h"
#include "common/network.h"

using namespace examples;

namespace {

Task<Result<void, client::Fault>> log_in(client::OauthClient* oauth, std::string account) {
  CO_TRY(auto signed_in, co_await sign_in(oauth, std::move(account)));
  client::Session& session = signed_in.session;
  fmt::print("DID     {}\n", session.did().str());
  fmt::print("handle  {}\n", signed_in.handle ? signed_in.handle->str() : "none that is valid");
  CO_TRY(const auto answer, co_await session.call("GET", "com.atproto.server.getSession", {}));
  fmt::print("its server, {}, answers {}:\n{}\n", session.pds(), answer.status, answer.body);
  co_await session.sign_out();
  co_return {};
}

}  // namespace

int main(int argc, char** argv) try {
  const std::span<char*> args(argv + 1, static_cast<std::size_t>(argc - 1));
  std::optional<DevNetwork> dev;
  if (args.size() == 4 && args[0] == std::string_view("--dev"))
    dev = {args[1], args[2]};
  else if (args.size() != 1) {
    fmt::print(stderr, "usage: login-cli [--dev <PDS> <PLC directory>] <handle, DID or server>\n");
    return 2;
  }

  Network network(dev);
  client::MemoryStateStore states;
  client::MemorySessionStore sessions;
  client::OauthClient oauth({.metadata = loopback_client("atproto"), .plain_http = network.plain_http},
                            {network.fetch, network.resolver, network.clock, network.rng, states, sessions});
  const auto done = run(log_in(&oauth, args.back()));
  if (done) return 0;
  fmt::print(stderr, "login-cli: {} ({})\n", done.error().message, done.error().detail);
  return 1;
} catch (const std::exception& e) {
  fmt::print(stderr, "login-cli: {}\n", e.what());
  return 1;
}
