// A bot that posts. The first run signs it in through a browser; later ones find the session, which rests
// sealed in a database, and need nobody.
//
//   bot [--dev <PDS> <PLC directory>] <database> <handle or DID> <text>       e.g. bot bot.db
//   news.example.com "It rains."
#include <fmt/format.h>

#include <cstdio>
#include <span>

#include "base/encoding.h"
#include "base/secrets_file.h"
#include "common/loopback.h"
#include "common/network.h"
#include "oauth/client/database_stores.h"
#include "store/migrate.h"

using namespace examples;

namespace {

constexpr const char* k_collection = "app.bsky.feed.post";
constexpr std::string_view k_scope = "atproto repo:app.bsky.feed.post?action=create";

struct Bot {
  Network& network;
  client::OauthClient& oauth;

  /// A session that works. A new token is asked for now: what was taken away meanwhile shows before there is
  /// something to say.
  Task<Result<client::Session, client::Fault>> session_of(std::string account) {
    const auto who = co_await network.resolver.identify_text(account);
    if (who)
      for (const std::string& id : co_await oauth.sessions_of(who->did())) {
        auto session = co_await oauth.restore(id);
        if (!session) continue;
        const auto fresh = co_await session->refresh();
        if (fresh) co_return *session;
        if (fresh.error().code != client::Error::session_ended) co_return fail(fresh.error());
      }
    CO_TRY(auto signed_in, co_await sign_in(&oauth, account));
    co_return signed_in.session;
  }

  Task<Result<FetchResponse, client::Fault>> post(std::string account, std::string text) {
    CO_TRY(auto session, co_await session_of(account));
    const json::Object record{
        {"$type", k_collection}, {"text", text}, {"createdAt", rfc3339(network.clock.now())}};
    client::CallOptions call;
    call.json = json::Object{{"repo", session.did().str()}, {"collection", k_collection}, {"record", record}};
    co_return co_await session.call("POST", "com.atproto.repo.createRecord", std::move(call));
  }
};

}  // namespace

int main(int argc, char** argv) try {
  std::span<char*> args(argv + 1, static_cast<std::size_t>(argc - 1));
  std::optional<DevNetwork> dev;
  if (args.size() == 6 && args[0] == std::string_view("--dev")) {
    dev = {args[1], args[2]};
    args = args.subspan(3);
  }
  if (args.size() != 3) {
    fmt::print(stderr, "usage: bot [--dev <PDS> <PLC directory>] <database> <handle or DID> <text>\n");
    return 2;
  }
  const std::string database = args[0];

  Network network(dev);
  auto db = store::open_database(database);
  store::migrate(*db, client::client_migrations());
  const crypto::Sealer sealer(
      Secret<Bytes>(*from_hex(SecretsFile(database + ".secrets", network.rng).get("sessions").reveal())));
  client::DatabaseStateStore states(*db, sealer, network.rng, network.clock);
  client::DatabaseSessionStore sessions(*db, sealer, network.rng);
  client::OauthClient oauth(
      {.metadata = loopback_client(std::string(k_scope)), .plain_http = network.plain_http},
      {network.fetch, network.resolver, network.clock, network.rng, states, sessions});

  const auto answer = run(Bot{network, oauth}.post(args[1], args[2]));
  if (!answer) {
    fmt::print(stderr, "bot: {} ({})\n", answer.error().message, answer.error().detail);
    return 1;
  }
  fmt::print("{}\n", answer->body);
  return answer->status == 200 ? 0 : 1;
} catch (const std::exception& e) {
  fmt::print(stderr, "bot: {}\n", e.what());
  return 1;
}
