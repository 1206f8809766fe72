#include "pds/repo_export.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "atproto/repo/export.h"
#include "pds/records.h"
#include "pds/repo_heads.h"

namespace latchkey::pds {
namespace {

/// Values of one collection in key order, a batch at a time: what Exporter asks for, path by path.
class RecordSource {
 public:
  RecordSource(store::Tx& tx, std::int64_t account_id) : tx_(tx), account_id_(account_id) {}

  bool read(std::string_view path, const Cid& cid, Bytes& out) {
    const auto slash = path.find('/');
    const auto collection = path.substr(0, slash);
    const auto rkey = path.substr(slash + 1);
    if (!collection_ || collection_->str() != collection) {
      collection_ = Nsid::parse(collection).value();
      batch_.clear();
      next_ = 0;
      last_.reset();
    }
    if (next_ == batch_.size()) {
      batch_ = records::list(tx_, account_id_, *collection_, k_batch, last_, records::Order::oldest_first);
      next_ = 0;
      if (batch_.empty()) return false;
      last_ = batch_.back().rkey;
    }
    const auto& record = batch_[next_++];
    if (record.rkey != rkey || record.cid != cid) return false;
    append(out, record.value);
    return true;
  }

 private:
  static constexpr std::int64_t k_batch = 200;
  store::Tx& tx_;
  std::int64_t account_id_;
  std::optional<Nsid> collection_;
  std::optional<std::string> last_;
  std::vector<StoredRecord> batch_;
  std::size_t next_ = 0;
};

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

Task<std::optional<Bytes>> next_piece(std::shared_ptr<Spool> spool) { co_return spool->read(); }

}  // namespace

Spool::~Spool() {
  if (fd_ >= 0) ::close(fd_);
}

void Spool::write(BytesView bytes) {
  size_ += bytes.size();
  if (fd_ < 0 && size_ <= memory_limit_) {
    append(memory_, bytes);
    return;
  }
  if (fd_ < 0) {
    const std::string directory = std::filesystem::temp_directory_path().string();
    fd_ = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) {  // a file system without O_TMPFILE
      std::string name = directory + "/latchkey-export-XXXXXX";
      fd_ = ::mkostemp(name.data(), O_CLOEXEC);
      if (fd_ < 0) throw_errno("temporary file");
      ::unlink(name.c_str());
    }
    write_file(memory_);
    Bytes().swap(memory_);
  }
  write_file(bytes);
}

void Spool::write_file(BytesView bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("temporary file");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

std::optional<Bytes> Spool::read(std::size_t chunk) {
  if (read_ == size_) return std::nullopt;
  Bytes out;
  if (fd_ < 0) {
    if (read_ == 0 && size_ <= chunk) {
      out = std::move(memory_);
    } else {
      const auto piece = BytesView(memory_).subspan(read_, std::min<std::size_t>(chunk, size_ - read_));
      out = to_bytes(piece);
    }
  } else {
    out.resize(std::min<std::uint64_t>(chunk, size_ - read_));
    std::size_t have = 0;
    while (have < out.size()) {
      const auto n = ::pread(fd_, out.data() + have, out.size() - have, static_cast<off_t>(read_ + have));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw_errno("temporary file");
      have += static_cast<std::size_t>(n);
    }
  }
  read_ += out.size();
  return out;
}

Task<std::shared_ptr<Spool>> export_repo(store::Database* db, TreeCache* cache, Account account,
                                         std::size_t memory_limit) {
  auto cached = cache->get(account.id);
  co_return co_await db->read([&](store::Tx& tx) -> std::shared_ptr<Spool> {
    auto head = repo_heads::get(tx, account.id);
    if (!head) return nullptr;
    mst::Tree tree;
    if (cached && cached->head.commit == head->commit) {
      tree = cached->tree;
    } else {
      mst::Builder builder;
      for (const auto& leaf : records::leaves(tx, account.id)) builder.add(leaf.path, leaf.cid);
      tree = builder.finish();
      if (tree.root() != head->data)
        throw std::runtime_error("records of " + account.did.str() + " do not match its signed commit");
    }
    auto spool = std::make_shared<Spool>(memory_limit);
    RecordSource source(tx, account.id);
    repo::Exporter exporter(
        head->commit, head->block, tree,
        [&](std::string_view path, const Cid& cid, Bytes& out) { return source.read(path, cid, out); });
    Bytes piece;
    while (!exporter.done() && !exporter.failed()) {
      piece.clear();
      exporter.read(piece);
      spool->write(piece);
    }
    if (exporter.failed()) throw std::runtime_error("a record of " + account.did.str() + " is missing");
    return spool;
  });
}

web::Response car_response(std::shared_ptr<Spool> spool) {
  const auto length = spool->size();
  return web::Response::streamed("application/vnd.ipld.car", [spool] { return next_piece(spool); }, length);
}

}  // namespace latchkey::pds
