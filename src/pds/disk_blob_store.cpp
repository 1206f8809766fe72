#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>
#include <system_error>

#include "pds/blob_store.h"

namespace latchkey::pds {
namespace {

constexpr const char* k_unfinished = "/unfinished";

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw_errno(path);
}

/// Makes names in it last.
void sync_folder(const std::string& path) {
  const File folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd() < 0 || ::fsync(folder.fd()) != 0) throw_errno(path);
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> out;
  DIR* folder = ::opendir(path.c_str());
  if (!folder) {
    if (errno == ENOENT) return out;
    throw_errno(path);
  }
  while (const auto* entry = ::readdir(folder)) out.emplace_back(entry->d_name);
  ::closedir(folder);
  return out;
}

void unlink_if_there(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno(path);
}

std::string folder_of(const std::string& root, std::int64_t account_id) {
  return root + "/" + std::to_string(account_id);
}
std::string path_of(const std::string& root, const BlobKey& key) {
  return folder_of(root, key.account_id) + "/" + key.cid.str() + "-" + key.upload.str();
}
std::string unfinished_path(const std::string& root, const Tid& upload) {
  return root + k_unfinished + "/" + upload.str();
}

/// Files of others in our folders are none of ours, and stay.
std::optional<BlobKey> key_of(std::int64_t account_id, std::string_view name) {
  if (name.size() <= Cid::k_text_size || name[Cid::k_text_size] != '-') return std::nullopt;
  const auto cid = Cid::parse(name.substr(0, Cid::k_text_size));
  const auto upload = Tid::parse(name.substr(Cid::k_text_size + 1));
  if (!cid || !upload) return std::nullopt;
  return BlobKey{account_id, *cid, *upload};
}

class DiskWriter final : public BlobWriter {
 public:
  DiskWriter(std::string root, std::int64_t account_id, Tid upload, int fd, ThreadPool& pool)
      : root_(std::move(root)), account_id_(account_id), upload_(upload), file_(fd), pool_(pool) {}
  ~DiskWriter() override {
    if (!kept_) ::unlink(unfinished_path(root_, upload_).c_str());
  }

  // Goes into the kernel's memory, which takes no time worth a change of threads.
  Task<void> write(Bytes piece) override {
    BytesView rest(piece);
    while (!rest.empty()) {
      const auto n = ::write(file_.fd(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("blob");
      rest = rest.subspan(static_cast<std::size_t>(n));
    }
    co_return;
  }

  Task<void> keep(Cid cid) override {
    co_await run_on(&pool_, [this, cid] { return keep_now(cid); });
  }

 private:
  bool keep_now(const Cid& cid) {
    if (::fsync(file_.fd()) != 0) throw_errno("blob");
    const auto folder = folder_of(root_, account_id_);
    const auto path = path_of(root_, {account_id_, cid, upload_});
    for (int tries = 1; !kept_; ++tries) {
      if (::mkdir(folder.c_str(), 0700) == 0)
        sync_folder(root_);
      else if (errno != EEXIST)
        throw_errno(folder);
      kept_ = ::rename(unfinished_path(root_, upload_).c_str(), path.c_str()) == 0;
      // The folder went because the account's last blob did.
      if (!kept_ && (errno != ENOENT || tries == 3)) throw_errno(path);
    }
    sync_folder(folder);
    return true;
  }

  const std::string root_;
  const std::int64_t account_id_;
  const Tid upload_;
  const File file_;
  ThreadPool& pool_;
  bool kept_ = false;
};

class DiskReader final : public BlobReader {
 public:
  DiskReader(int fd, std::uint64_t size) : file_(fd), size_(size) {}
  std::uint64_t size() const override { return size_; }
  void seek(std::uint64_t position) override { at_ = position; }
  Task<std::optional<Bytes>> read(std::size_t most) override {
    if (at_ >= size_) co_return std::nullopt;
    Bytes out(std::min<std::uint64_t>(most, size_ - at_));
    std::size_t have = 0;
    while (have < out.size()) {
      const auto n =
          ::pread(file_.fd(), out.data() + have, out.size() - have, static_cast<off_t>(at_ + have));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("blob");
      if (n == 0) throw std::runtime_error("a blob has become shorter");
      have += static_cast<std::size_t>(n);
    }
    at_ += out.size();
    co_return out;
  }

 private:
  const File file_;
  const std::uint64_t size_;
  std::uint64_t at_ = 0;
};

}  // namespace

Task<std::unique_ptr<BlobWriter>> DiskBlobStore::create(std::int64_t account_id, Tid upload) {
  const auto path = unfinished_path(root_, upload);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int fd = ::open(path.c_str(), flags, 0600);
  if (fd < 0 && errno == ENOENT) {
    std::filesystem::create_directories(std::filesystem::path(root_).parent_path());
    make_folder(root_);
    make_folder(root_ + k_unfinished);
    fd = ::open(path.c_str(), flags, 0600);
  }
  if (fd < 0) throw_errno(path);
  co_return std::make_unique<DiskWriter>(root_, account_id, upload, fd, pool_);
}

Task<std::shared_ptr<BlobReader>> DiskBlobStore::open(BlobKey key) {
  const auto path = path_of(root_, key);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) co_return nullptr;
    throw_errno(path);
  }
  struct stat info{};
  const bool known = ::fstat(fd, &info) == 0;
  auto reader = std::make_shared<DiskReader>(fd, static_cast<std::uint64_t>(info.st_size));
  if (!known) throw_errno(path);
  co_return reader;
}

Task<void> DiskBlobStore::remove(std::vector<BlobKey> keys) {
  if (keys.empty()) co_return;
  co_await run_on(&pool_, [this, keys = std::move(keys)] {
    std::set<std::int64_t> accounts;
    for (const auto& key : keys) {
      unlink_if_there(path_of(root_, key));
      accounts.insert(key.account_id);
    }
    // Goes when it is empty.
    for (const auto id : accounts) ::rmdir(folder_of(root_, id).c_str());
    return true;
  });
}

Task<std::vector<std::int64_t>> DiskBlobStore::accounts() {
  co_return co_await run_on(&pool_, [this] {
    std::vector<std::int64_t> out;
    for (const auto& name : names_in(root_)) {
      std::int64_t id = 0;
      const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), id);
      if (bad == std::errc() && end == name.data() + name.size() && id > 0) out.push_back(id);
    }
    return out;
  });
}

Task<std::vector<BlobKey>> DiskBlobStore::list(std::int64_t account_id) {
  co_return co_await run_on(&pool_, [this, account_id] {
    std::vector<BlobKey> out;
    for (const auto& name : names_in(folder_of(root_, account_id)))
      if (const auto key = key_of(account_id, name)) out.push_back(*key);
    return out;
  });
}

Task<void> DiskBlobStore::remove_unfinished(Tid before) {
  co_await run_on(&pool_, [this, before] {
    for (const auto& name : names_in(root_ + k_unfinished))
      if (const auto upload = Tid::parse(name); upload && *upload < before)
        unlink_if_there(unfinished_path(root_, *upload));
    return true;
  });
}

}  // namespace latchkey::pds
