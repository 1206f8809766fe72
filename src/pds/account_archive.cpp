#include "pds/account_archive.h"

#include <cstdio>
#include <cstring>

#include "pds/pds.h"
#include "pds/repo_access.h"

namespace latchkey::pds {
namespace {

constexpr std::size_t k_block = 512;
constexpr std::size_t k_piece = 64 * 1024;
constexpr std::size_t k_batch = 100;                               // blobs asked for at a time
constexpr std::uint64_t k_largest = (std::uint64_t{1} << 33) - 1;  // eleven octal digits

template <std::size_t n>
void put(char (&field)[n], std::string_view text) {
  std::memcpy(field, text.data(), std::min(text.size(), n));
}
/// With leading zeros and a NUL at the end.
template <std::size_t n>
void put_octal(char (&field)[n], std::uint64_t value) {
  for (std::size_t i = n - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

Bytes header(std::string_view name, std::uint64_t size, Time modified) {
  struct {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag[1], linkname[100],
        magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], unused[12];
  } h;
  static_assert(sizeof h == k_block);
  if (name.size() > sizeof h.name || size > k_largest) throw std::length_error("does not fit into a tar");
  std::memset(&h, 0, sizeof h);
  put(h.name, name);
  put_octal(h.mode, 0644);
  put_octal(h.uid, 0);
  put_octal(h.gid, 0);
  put_octal(h.size, size);
  put_octal(h.mtime, static_cast<std::uint64_t>(std::max<std::int64_t>(unix_seconds(modified), 0)));
  put(h.chksum, "        ");  // counts as spaces while it is summed up
  put(h.typeflag, "0");
  put(h.magic, "ustar");
  put(h.version, "00");
  Bytes out(k_block);
  std::memcpy(out.data(), &h, k_block);
  std::uint64_t sum = 0;
  for (const auto byte : out) sum += byte;
  char digits[7] = {};
  put_octal(digits, sum);
  std::memcpy(out.data() + offsetof(decltype(h), chksum), digits, sizeof digits);
  return out;
}

class Archive {
 public:
  Archive(Pds* pds, Account account, std::shared_ptr<Spool> repo)
      : pds_(pds), account_(std::move(account)), repo_(std::move(repo)), now_(pds->clock().now()) {}

  static Task<std::optional<Bytes>> next(std::shared_ptr<Archive> self) {
    if (self->ended_) co_return std::nullopt;
    if (!self->began_) {
      self->began_ = true;
      co_return self->begin("repo.car", self->repo_->size());
    }
    if (auto piece = co_await self->contents()) co_return self->padded(*std::move(piece));
    self->repo_.reset();
    self->reader_.reset();
    while (auto blob = co_await self->next_blob()) {
      // One that went since it was listed is left out.
      self->reader_ = co_await self->pds_->blobs().open(self->account_, *blob);
      if (self->reader_) co_return self->begin("blobs/" + blob->cid.str(), self->reader_->size());
    }
    self->ended_ = true;
    co_return Bytes(2 * k_block);
  }

 private:
  Bytes begin(const std::string& name, std::uint64_t size) {
    left_ = size;
    return header(name, size, now_);
  }
  Task<std::optional<Bytes>> contents() {
    if (left_ == 0) co_return std::nullopt;
    auto piece = repo_ ? repo_->read(k_piece) : co_await reader_->read(k_piece);
    if (!piece) throw std::runtime_error("a file of the archive is too short");
    co_return piece;
  }
  /// The last piece of a file is filled up to whole blocks.
  Bytes padded(Bytes piece) {
    left_ -= piece.size();
    file_ += piece.size();
    if (left_ == 0) {
      piece.resize(piece.size() + (k_block - file_ % k_block) % k_block);
      file_ = 0;
    }
    return piece;
  }
  Task<std::optional<Blob>> next_blob() {
    if (next_ == batch_.size() && (next_ == 0 || next_ == k_batch)) {
      batch_ = co_await pds_->db().read([this](store::Tx& tx) {
        return blobs::list(tx, account_.id, std::nullopt, last_, static_cast<std::int64_t>(k_batch));
      });
      next_ = 0;
    }
    if (next_ == batch_.size()) co_return std::nullopt;
    last_ = batch_[next_].cid;
    co_return batch_[next_++];
  }

  Pds* const pds_;
  const Account account_;
  std::shared_ptr<Spool> repo_;
  const Time now_;
  std::shared_ptr<BlobReader> reader_;
  std::vector<Blob> batch_;
  std::size_t next_ = 0;
  std::optional<Cid> last_;
  std::uint64_t left_ = 0, file_ = 0;  // bytes of the file to come, and gone
  bool began_ = false, ended_ = false;
};

}  // namespace

Task<std::optional<web::Response>> download_archive(Pds* pds, Account account) {
  auto repo = co_await download_repo(pds, account);
  if (!repo) co_return std::nullopt;
  auto archive = std::make_shared<Archive>(pds, std::move(account), std::move(repo));
  co_return web::Response::streamed("application/x-tar", [archive] { return Archive::next(archive); });
}

}  // namespace latchkey::pds
