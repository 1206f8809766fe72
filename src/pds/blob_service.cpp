#include "pds/blob_service.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/hash.h"
#include "pds/blob_rules.h"
#include "pds/call.h"

namespace latchkey::pds {

using xrpc::Error;
using xrpc::Fault;

namespace {

constexpr std::int64_t k_batch = 500;  // rows dropped in one transaction

std::unexpected<Fault> too_many() {
  return refuse(Error::RateLimitExceeded, "Too many uploads that no record refers to");
}

Fault fault_of(web::BodyError error) {
  switch (error) {
    case web::BodyError::too_large:
      return {Error::PayloadTooLarge, "request entity too large"};
    case web::BodyError::malformed:
      return {Error::InvalidRequest, "Malformed request body"};
    case web::BodyError::incomplete:
      return {Error::InvalidRequest, "The request body did not arrive whole"};
  }
  std::abort();
}

}  // namespace

BlobService::BlobService(Shared shared, const Config& config, BlobStore& store)
    : shared_(shared), config_(config), store_(store), uploads_(shared.rng.below(1024)) {}

Task<Result<ReceivedBlob, Fault>> BlobService::receive(Account account, web::BodyReader body) {
  const auto waiting =
      co_await shared_.db.read([id = account.id](store::Tx& tx) { return blobs::count_temporary(tx, id); });
  if (waiting >= k_max_temporary) co_return too_many();

  const Tid upload = uploads_.next(shared_.clock.now());
  auto writer = co_await store_.create(account.id, upload);
  crypto::Sha256 hash;
  Bytes head;
  std::uint64_t size = 0;
  for (;;) {
    auto piece = co_await body.next();
    if (!piece) co_return fail(fault_of(piece.error()));
    if (!*piece) break;
    size += (*piece)->size();
    if (size > config_.blob_upload_limit) co_return fail(fault_of(web::BodyError::too_large));
    hash.update(**piece);
    if (head.size() < k_sniffed_bytes)
      append(head, BytesView(**piece).first(std::min((*piece)->size(), k_sniffed_bytes - head.size())));
    co_await writer->write(**std::move(piece));
  }
  // A reference has a size above zero: https://atproto.com/specs/data-model#blob-type.
  if (size == 0) co_return invalid("A request body is expected but none was provided");
  co_return ReceivedBlob{.writer = std::move(writer),
                         .upload = upload,
                         .cid = Cid::raw_of_digest(hash.finish()),
                         .size = static_cast<std::int64_t>(size),
                         .head = std::move(head)};
}

Task<Result<Blob, Fault>> BlobService::keep(Account account, ReceivedBlob received, std::string mime_type) {
  co_await received.writer->keep(received.cid);
  const Blob upload{.cid = received.cid,
                    .upload = received.upload,
                    .mime_type = std::move(mime_type),
                    .size = received.size};
  const Time now = shared_.clock.now();
  auto stored = co_await shared_.db.write([&](store::Tx& tx) -> Result<blobs::Stored, Fault> {
    auto put = blobs::put(tx, account.id, upload, now);
    if (!put) return refuse(Error::AccountNotFound, "Account not found");
    if (blobs::count_temporary(tx, account.id) > k_max_temporary) return too_many();
    return *std::move(put);
  });
  if (!stored) {
    co_await remove_files({upload.key(account.id)});
    co_return fail(std::move(stored).error());
  }
  if (stored->unused) co_await remove_files({*stored->unused});
  co_return std::move(stored->blob);
}

Task<std::shared_ptr<BlobReader>> BlobService::open(Account account, Blob blob) {
  auto reader = co_await store_.open(blob.key(account.id));
  if (reader && reader->size() == static_cast<std::uint64_t>(blob.size)) co_return reader;
  log::error("a blob is not in the store", {{"did", account.did.str()}, {"cid", blob.cid.str()}});
  co_return nullptr;
}

Task<void> BlobService::remove_files(std::vector<BlobKey> keys) {
  if (keys.empty()) co_return;
  try {
    co_await store_.remove(std::move(keys));
  } catch (const std::exception& e) {
    log::error("blobs not removed from the store", {{"detail", e.what()}});
  }
}

Task<void> BlobService::expire() {
  const Time until = shared_.clock.now() - k_temporary_lifetime;
  for (;;) {
    auto gone =
        co_await shared_.db.write([until](store::Tx& tx) { return blobs::take_expired(tx, until, k_batch); });
    const bool more = gone.size() == k_batch;
    co_await remove_files(std::move(gone));
    if (!more) co_return;
  }
}

Task<void> BlobService::sweep() {
  // On SQLite there is one process, and it has just started: nobody else is between file and row.
  const Time now = shared_.clock.now();
  const Time until = shared_.db.engine() == store::Engine::sqlite ? now : now - k_longest_upload;
  const Tid before = Tid::from(static_cast<std::uint64_t>(std::max<std::int64_t>(unix_micros(until), 0)), 0);
  std::size_t removed = 0;
  co_await store_.remove_unfinished(before);
  for (const auto account_id : co_await store_.accounts()) {
    auto keys = co_await store_.list(account_id);
    std::erase_if(keys, [&before](const BlobKey& key) { return key.upload >= before; });
    if (keys.empty()) continue;
    auto orphans = co_await shared_.db.read([&keys](store::Tx& tx) { return blobs::unknown(tx, keys); });
    removed += orphans.size();
    co_await remove_files(std::move(orphans));
  }
  if (removed > 0) log::info("blobs without a row removed", {{"count", std::to_string(removed)}});
}

}  // namespace latchkey::pds
