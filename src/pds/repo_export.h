#pragma once
// com.atproto.sync.getRepo: the whole repository as one CAR, as of one commit.

#include <memory>
#include <optional>

#include "pds/repo_service.h"
#include "web/http.h"

namespace latchkey::pds {

/// Bytes written once and read once: in memory up to `memory_limit`, beyond that in a temporary file that has
/// no name any more.
class Spool {
 public:
  explicit Spool(std::size_t memory_limit) : memory_limit_(memory_limit) {}
  ~Spool();
  Spool(const Spool&) = delete;
  void write(BytesView bytes);
  /// The next piece; std::nullopt at the end.
  std::optional<Bytes> read(std::size_t chunk = 64 * 1024);
  std::uint64_t size() const { return size_; }
  bool in_file() const { return fd_ >= 0; }

 private:
  void write_file(BytesView bytes);
  const std::size_t memory_limit_;
  Bytes memory_;
  int fd_ = -1;
  std::uint64_t size_ = 0, read_ = 0;
};

/// Collected inside one read transaction, because a record replaced while a slow client reads would be
/// missing from the old tree. nullptr when there is no repository.
Task<std::shared_ptr<Spool>> export_repo(store::Database* db, TreeCache* cache, Account account,
                                         std::size_t memory_limit);

web::Response car_response(std::shared_ptr<Spool> spool);

}  // namespace latchkey::pds
