#include <algorithm>

#include "crypto/hash.h"
#include "oauth/server/replay.h"

namespace latchkey::oauth {
namespace {

using store::Sql;

constexpr Sql k_insert{"INSERT INTO oauth_seen (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING"};
constexpr Sql k_clean{"DELETE FROM oauth_seen WHERE expires_at <= ?1"};

class OneProcess final : public Replay {
 public:
  OneProcess(const Clock& clock, std::size_t capacity) : clock_(clock), seen_(capacity) {}
  Task<FirstUse> use(std::string who, std::string id, Time until) override {
    co_return seen_.use(who, id, until, clock_.now());
  }
  Task<void> clean() override { co_return; }

 private:
  const Clock& clock_;
  ReplayCache seen_;
};

class ManyProcesses final : public Replay {
 public:
  ManyProcesses(store::Database& db, const Clock& clock, std::string purpose, std::size_t capacity)
      : db_(db), clock_(clock), purpose_(crypto::sha256(as_bytes(purpose))), seen_here_(capacity) {}

  Task<FirstUse> use(std::string who, std::string id, Time until) override {
    // What this node saw needs no question, and a node that is full asks none.
    const FirstUse here = seen_here_.use(who, id, until, clock_.now());
    if (here != FirstUse::yes) co_return here;
    const Bytes key = key_of(who, id);
    const std::int64_t fresh =
        co_await db_.write([&](store::Tx& tx) { return tx.exec(k_insert, key, unix_micros(until)); });
    co_return fresh == 1 ? FirstUse::yes : FirstUse::no;
  }

  Task<void> clean() override {
    const Time now = clock_.now();
    co_await db_.write([now](store::Tx& tx) { return tx.exec(k_clean, unix_micros(now)); });
  }

 private:
  // Parts of fixed length, so that (purpose, who, id) cannot be split in another way.
  Bytes key_of(std::string_view who, std::string_view id) const {
    crypto::Sha256 hash;
    hash.update(purpose_);
    hash.update(crypto::sha256(as_bytes(who)));
    hash.update(as_bytes(id));
    const auto digest = hash.finish();
    return Bytes(digest.begin(), digest.begin() + 16);
  }

  store::Database& db_;
  const Clock& clock_;
  crypto::Digest purpose_;
  ReplayCache seen_here_;
};

}  // namespace

std::unique_ptr<Replay> make_replay(store::Database& db, const Clock& clock, std::string purpose,
                                    std::size_t capacity) {
  if (db.engine() == store::Engine::postgres)
    return std::make_unique<ManyProcesses>(db, clock, std::move(purpose), capacity);
  return std::make_unique<OneProcess>(clock, capacity);
}

}  // namespace latchkey::oauth
