#include "base/secrets_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "base/encoding.h"
#include "base/json.h"

namespace latchkey {
namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void write_durably(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) throw_errno(path);
  bool ok = true;
  while (ok && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n > 0)
      text.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      ok = false;
  }
  ok = ok && ::fsync(fd) == 0;
  ok = ::close(fd) == 0 && ok;
  if (!ok) throw_errno(path);
}

void sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_errno(path);
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

SecretsFile::SecretsFile(std::string path, Rng& rng) : path_(std::move(path)), rng_(rng) {
  struct stat info;
  if (::stat(path_.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    throw_errno(path_);
  }
  if ((info.st_mode & 077) != 0)
    throw std::runtime_error(fmt::format("{} can be read by other users; run: chmod 600 {}", path_, path_));
  std::ifstream in(path_);
  std::stringstream text;
  text << in.rdbuf();
  const auto document = json::parse(text.str());
  if (!in || !document || !document->object()) throw std::runtime_error(path_ + " is damaged");
  for (const auto& [name, value] : *document->object()) {
    if (!value.string()) throw std::runtime_error(path_ + " is damaged");
    secrets_.emplace_back(name, *value.string());
  }
}

Secret<std::string> SecretsFile::get(const std::string& name, std::size_t bytes) {
  for (const auto& [n, value] : secrets_)
    if (n == name) return Secret<std::string>(value);
  secrets_.emplace_back(name, hex(rng_.bytes(bytes)));
  save();
  return Secret<std::string>(secrets_.back().second);
}

void SecretsFile::save() const {
  json::Object document;
  for (const auto& [name, value] : secrets_) document.append(name, value);
  const std::string next = path_ + ".new";
  write_durably(next, json::Value(document).dump() + "\n");
  if (::rename(next.c_str(), path_.c_str()) != 0) throw_errno(path_);
  sync_directory(std::filesystem::path(path_).parent_path().string());
}

}  // namespace latchkey
