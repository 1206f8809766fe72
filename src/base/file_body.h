#pragma once
// Bodies in files, for FetchRequest::source and ::sink.

#include <cstdio>
#include <memory>
#include <string>

#include "base/fetch.h"

namespace latchkey {

/// Reads a file as it was long when it was opened.
class FileSource final : public BodySource {
 public:
  /// nullptr when it cannot be opened or is no regular file.
  static std::shared_ptr<FileSource> open(const std::string& path);
  std::uint64_t size() const override { return size_; }
  bool rewind() override;
  std::optional<std::size_t> read(std::span<std::uint8_t> out) override;

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  FileSource(File file, std::uint64_t size) : file_(std::move(file)), size_(size) {}
  File file_;
  std::uint64_t size_, left_ = 0;
};

/// Writes "<path>.part"; finish() makes it `path`. What was never finished is removed.
class FileSink final : public BodySink {
 public:
  /// nullptr when the file cannot be made.
  static std::shared_ptr<FileSink> create(const std::string& path);
  ~FileSink() override;
  bool write(BytesView piece) override;
  /// Once, after the answer arrived in full. False when the disk did not take it.
  [[nodiscard]] bool finish();
  std::uint64_t size() const { return size_; }

 private:
  FileSink(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  std::string part() const { return path_ + ".part"; }
  int fd_;
  std::string path_;
  std::uint64_t size_ = 0;
};

}  // namespace latchkey
