#include "base/file_body.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace latchkey {
namespace {

struct Folder {
  Folder() : path(::testing::TempDir() + "latchkey-file-body-" + std::to_string(getpid())) {
    std::filesystem::create_directory(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string text(const std::string& name) const {
    std::ifstream in(file(name));
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }
  std::string path;
};

TEST(FileSource, ReadsAFileAndReadsItAgain) {
  Folder folder;
  std::ofstream(folder.file("a")) << "hello world";
  const auto source = FileSource::open(folder.file("a"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->size(), 11U);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(source->rewind());
    std::string got;
    std::uint8_t piece[4];
    while (const auto n = source->read(piece)) {
      if (*n == 0) break;
      got.append(reinterpret_cast<const char*>(piece), *n);
    }
    EXPECT_EQ(got, "hello world");
  }
}

TEST(FileSource, SeesThatTheFileShrankAndNotThatItGrew) {
  Folder folder;
  std::ofstream(folder.file("a")) << "hello";
  const auto source = FileSource::open(folder.file("a"));
  std::uint8_t piece[16];
  std::ofstream(folder.file("a"), std::ios::app) << " and more";
  ASSERT_TRUE(source->rewind());
  EXPECT_EQ(source->read(piece), 5U) << "what was announced";
  EXPECT_EQ(source->read(piece), 0U);
  std::filesystem::resize_file(folder.file("a"), 3);
  ASSERT_TRUE(source->rewind());
  EXPECT_EQ(source->read(piece), std::nullopt);
}

TEST(FileSource, IsARegularFile) {
  Folder folder;
  EXPECT_FALSE(FileSource::open(folder.file("nothing")));
  EXPECT_FALSE(FileSource::open(folder.path));
}

TEST(FileSink, IsThereOnceItIsFinished) {
  Folder folder;
  auto sink = FileSink::create(folder.file("a"));
  ASSERT_TRUE(sink);
  EXPECT_TRUE(sink->write(as_bytes("hello ")));
  EXPECT_TRUE(sink->write(as_bytes("world")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("a")));
  EXPECT_TRUE(sink->finish());
  EXPECT_EQ(folder.text("a"), "hello world");
  EXPECT_EQ(sink->size(), 11U);
  EXPECT_FALSE(sink->finish()) << "once";

  sink = FileSink::create(folder.file("b"));
  EXPECT_TRUE(sink->write(as_bytes("half")));
  sink.reset();
  EXPECT_FALSE(std::filesystem::exists(folder.file("b.part")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("b")));
  EXPECT_FALSE(FileSink::create(folder.file("no/such/folder")));
}

struct Text final : BodySource {
  std::string text;
  std::size_t announced, at = 0;
  explicit Text(std::string t, std::size_t n) : text(std::move(t)), announced(n) {}
  std::uint64_t size() const override { return announced; }
  bool rewind() override { return at = 0, true; }
  std::optional<std::size_t> read(std::span<std::uint8_t> out) override {
    const auto n = std::min<std::size_t>({out.size(), text.size() - at, 2});
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), n, out.begin());
    at += n;
    return n;
  }
};
struct Piece final : BodySink {
  std::string got;
  bool takes = true;
  bool write(BytesView piece) override {
    got.append(as_text(piece));
    return takes;
  }
};

TEST(Fetch, WithoutStreamingGetsWholeBodies) {
  FetchRequest request{.source = std::make_shared<Text>("hello", 5)};
  EXPECT_TRUE(read_source(request));
  EXPECT_EQ(request.body, "hello");
  EXPECT_FALSE(request.source);
  FetchRequest shorter{.source = std::make_shared<Text>("hell", 5)};
  EXPECT_FALSE(read_source(shorter));

  Piece sink;
  FetchResponse answer{200, {}, "body"};
  EXPECT_TRUE(pass_to_sink(sink, answer));
  EXPECT_EQ(sink.got, "body");
  EXPECT_EQ(answer.body, "");
  FetchResponse refused{401, {}, "error"};
  EXPECT_TRUE(pass_to_sink(sink, refused));
  EXPECT_EQ(sink.got, "body") << "of 2xx alone";
  EXPECT_EQ(refused.body, "error");
  sink.takes = false;
  FetchResponse more{200, {}, "x"};
  EXPECT_FALSE(pass_to_sink(sink, more));
}

}  // namespace
}  // namespace latchkey
