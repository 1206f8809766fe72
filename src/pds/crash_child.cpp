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

/// A record that refers to a new upload.
Task<pds::RecordWrite> picture(pds::Pds* server, pds::Account account, std::string content) {
  auto request = web::Request::make("POST", "/", std::move(content));
  auto received = co_await server->blobs().receive(account, web::BodyReader(request));
  if (!received) std::_Exit(5);
  const auto blob = co_await server->blobs().keep(account, *std::move(received), "text/plain");
  if (!blob) std::_Exit(6);
  const json::Object reference{{"$type", "blob"},
                               {"ref", json::Object{{"$link", blob->cid.str()}}},
                               {"mimeType", blob->mime_type},
                               {"size", blob->size}};
  const auto collection = Nsid::parse("com.example.note").value();
  co_return pds::RecordWrite{
      .kind = pds::RecordWrite::Kind::create,
      .collection = collection,
      .rkey = RecordKey(server->repos().next_tid()),
      .record =
          pds::prepare_record(collection, json::Object{{"picture", reference}}, pds::Validate::skip).value()};
}

Task<void> write_one(pds::Pds* server, pds::Account account, pds::RecordWrite write) {
  if (!co_await server->repos().write(std::move(account), {std::move(write)}, std::nullopt)) std::_Exit(4);
}

Task<void> work_forever(pds::Pds* server, std::string name) {
  for (int i = 0;; ++i) {
    const auto email = mail::EmailAddress::parse(name + "-" + std::to_string(i) + "@mail.test").value();
    auto account =
        co_await server->accounts().create_account({.email = email, .email_proof = pds::EmailProof::proven});
    if (!account) std::_Exit(3);
    acknowledge(account->did, "");
    for (int k = 0; k < 3; ++k) {
      auto kept = co_await picture(server, *account, std::to_string(k));
      const std::string rkey = kept.rkey.str();
      co_await write_one(server, *account, std::move(kept));
      acknowledge(account->did, rkey);
      // And one that is gone again.
      auto passing = co_await picture(server, *account, "passing");
      auto removal = passing;
      removal.kind = pds::RecordWrite::Kind::remove;
      removal.record.reset();
      co_await write_one(server, *account, std::move(passing));
      co_await write_one(server, *account, std::move(removal));
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
  pds::DiskBlobStore blob_store(std::string(argv[1]) + "-blobs", reads);
  pds::Pds server(pds::crash_config(), {.db = *db,
                                        .clock = clock,
                                        .rng = rng,
                                        .passwords = passwords,
                                        .reads = reads,
                                        .plc = plc,
                                        .blobs = blob_store,
                                        .sealer = pds::crash_sealer()});
  InlineExecutor executor;
  for (int i = 0; i < 6; ++i)
    executor.post([&, i] { spawn(work_forever(&server, std::string(argv[3]) + "-" + std::to_string(i))); });
  executor.run_until([] { return false; });
}
