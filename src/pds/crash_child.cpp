// Signs people up and writes records until it is killed, several at a time. Each did and each record key goes
// to stdout after it was acknowledged. Started by crash_test.cpp.
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "pds/crash_plc.h"
#include "pds/schema.h"

using namespace latchkey;

namespace {

void acknowledge(const Did& did, std::string_view rkey) {
  pds::Ack ack{};
  std::memcpy(ack.did, did.str().data(), std::min(did.str().size(), sizeof ack.did - 1));
  std::memcpy(ack.rkey, rkey.data(), std::min(rkey.size(), sizeof ack.rkey - 1));
  if (::write(STDOUT_FILENO, &ack, sizeof ack) != sizeof ack) std::_Exit(1);
}

Task<void> work_forever(pds::Pds* server, std::string name) {
  const auto collection = Nsid::parse("com.example.note").value();
  for (int i = 0;; ++i) {
    const auto email = mail::EmailAddress::parse(name + "-" + std::to_string(i) + "@mail.test").value();
    auto account =
        co_await server->accounts().create_account({.email = email, .email_proof = pds::EmailProof::proven});
    if (!account) std::_Exit(3);
    acknowledge(account->did, "");
    for (int k = 0; k < 3; ++k) {
      const RecordKey rkey(server->repos().next_tid());
      auto record = pds::prepare_record(collection, json::Object{{"n", k}}, pds::Validate::skip).value();
      auto written = co_await server->repos().write(*account,
                                                    {{.kind = pds::RecordWrite::Kind::create,
                                                      .collection = collection,
                                                      .rkey = rkey,
                                                      .record = std::move(record)}},
                                                    std::nullopt);
      if (!written) std::_Exit(4);
      acknowledge(account->did, rkey.str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  auto db = store::open_sqlite(argv[1]);
  pds::FilePlc plc(argv[2]);
  SystemClock clock;
  OsRng rng;
  ThreadPool passwords(1), reads(1);
  pds::Pds server(pds::crash_config(), {.db = *db,
                                        .clock = clock,
                                        .rng = rng,
                                        .passwords = passwords,
                                        .reads = reads,
                                        .plc = plc,
                                        .sealer = pds::crash_sealer()});
  InlineExecutor executor;
  for (int i = 0; i < 6; ++i)
    executor.post([&, i] { spawn(work_forever(&server, std::string(argv[3]) + "-" + std::to_string(i))); });
  executor.run_until([] { return false; });
}
