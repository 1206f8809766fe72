// Writes from several threads until it is killed. Each id goes to stdout after its write was acknowledged;
// one write(2) per id, which a pipe keeps whole. Started by crash_test.cpp.
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "store/database.h"

using namespace latchkey;

namespace {

constexpr store::Sql k_insert{"INSERT INTO acked (id, filler) VALUES (?1, ?2)"};
constexpr store::Sql k_count{"UPDATE total SET n = n + 1"};

void write_forever(store::Database& db, std::int64_t first, std::int64_t step) {
  for (std::int64_t id = first;; id += step) {
    run(db.write([id](store::Tx& tx) {
      tx.exec(k_insert, id, std::string(static_cast<std::size_t>(id * 37 % 3000), 'x'));
      tx.exec(k_count);
    }));
    if (::write(STDOUT_FILENO, &id, sizeof id) != sizeof id) std::_Exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  // Checkpoints as often as possible, so that some are cut short too.
  auto db = store::open_sqlite(argv[1], {.checkpoint_pages = 20, .truncate_pages = 60});
  const std::int64_t first = std::atoll(argv[2]);
  constexpr int k_threads = 4;
  std::vector<std::thread> threads;
  for (int i = 0; i < k_threads; ++i)
    threads.emplace_back([&, i] { write_forever(*db, first + i, k_threads); });
  for (auto& t : threads) t.join();
}
