#include "mail/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/log.h"

namespace latchkey::mail {

Folder::Folder(std::string path, From from, Sender& next, const Clock& clock, Rng& rng, std::size_t limit)
    : path_(std::move(path)), from_(std::move(from)), next_(next), clock_(clock), rng_(rng), limit_(limit) {
  std::filesystem::create_directories(path_);
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    if (entry.path().extension() == ".eml") files_.push_back(entry.path().string());
  std::ranges::sort(files_);
}

Task<Result<void, MailError>> Folder::send(Message message) {
  try {
    write(message);
  } catch (const std::exception& e) {
    log::warn("a mail could not be kept as a file", {{"detail", e.what()}});
  }
  return next_.send(std::move(message));
}

void Folder::write(const Message& message) {
  const Time now = clock_.now();
  const std::string mail = render(message, from_, now, rng_);
  std::lock_guard lock(mutex_);
  const std::string file = fmt::format("{}/{:016}-{}.eml", path_, unix_micros(now), rng_.token(6));
  std::ofstream out(file, std::ios::binary);
  if (!(out << mail).flush()) throw std::runtime_error(file + " cannot be written");
  files_.push_back(file);
  for (std::error_code ignored; files_.size() > limit_; files_.pop_front())
    std::filesystem::remove(files_.front(), ignored);
}

}  // namespace latchkey::mail
