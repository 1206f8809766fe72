#include "base/file_body.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace latchkey {

std::shared_ptr<FileSource> FileSource::open(const std::string& path) {
  File file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  struct stat info{};
  if (!file || ::fstat(::fileno(file.get()), &info) != 0 || !S_ISREG(info.st_mode)) return nullptr;
  // Pieces are large, and a second reading sees the file and not a buffer.
  std::setvbuf(file.get(), nullptr, _IONBF, 0);
  return std::shared_ptr<FileSource>(
      new FileSource(std::move(file), static_cast<std::uint64_t>(info.st_size)));
}

bool FileSource::rewind() {
  left_ = size_;
  return std::fseek(file_.get(), 0, SEEK_SET) == 0;
}

std::optional<std::size_t> FileSource::read(std::span<std::uint8_t> out) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_));
  const auto n = std::fread(out.data(), 1, wanted, file_.get());
  if (n < wanted) return std::nullopt;  // shorter than it was
  left_ -= n;
  return n;
}

std::shared_ptr<FileSink> FileSink::create(const std::string& path) {
  const int fd = ::open((path + ".part").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  return fd < 0 ? nullptr : std::shared_ptr<FileSink>(new FileSink(fd, path));
}

FileSink::~FileSink() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part().c_str());
}

bool FileSink::write(BytesView piece) {
  size_ += piece.size();
  while (!piece.empty()) {
    const auto n = ::write(fd_, piece.data(), piece.size());
    if (n > 0)
      piece = piece.subspan(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return false;
  }
  return true;
}

bool FileSink::finish() {
  if (fd_ < 0) return false;
  const bool durable = ::fsync(fd_) == 0;
  const bool closed = ::close(std::exchange(fd_, -1)) == 0;
  if (durable && closed && ::rename(part().c_str(), path_.c_str()) == 0) return true;
  ::unlink(part().c_str());
  return false;
}

}  // namespace latchkey
