// What the pages of an account ask: which apps are signed in, and out with them.

#include "oauth/server/server.h"

namespace latchkey::oauth {

Task<std::vector<Session>> Server::sessions_of(std::string did) {
  const Time now = clock_.now();
  co_return co_await db_.read([&](store::Tx& tx) { return sessions::of_account(tx, did, now); });
}

Task<bool> Server::end_session(std::string did, std::string id) {
  const Time now = clock_.now();
  co_return co_await db_.write([&](store::Tx& tx) { return sessions::end(tx, did, id, now); });
}

Task<std::size_t> Server::end_sessions(std::string did) {
  const Time now = clock_.now();
  co_return static_cast<std::size_t>(
      co_await db_.write([&](store::Tx& tx) { return sessions::end_all(tx, did, now); }));
}

}  // namespace latchkey::oauth
