// Uploads read from a source and downloads written to a sink, over a network that streams and one that does
// not.
#include "base/file_body.h"
#include "oauth/client/client_world.h"

namespace latchkey::oauth::client {
namespace {

using namespace testing;

struct Text final : BodySource {
  explicit Text(std::string t) : text(std::move(t)) {}
  std::uint64_t size() const override { return text.size(); }
  bool rewind() override {
    at = 0;
    return ++rewinds <= may_rewind;
  }
  std::optional<std::size_t> read(std::span<std::uint8_t> out) override {
    if (at >= breaks_at) return std::nullopt;
    const auto n = std::min<std::size_t>({out.size(), text.size() - at, 7});
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), n, out.begin());
    at += n;
    return n;
  }
  std::string text;
  std::size_t at = 0, breaks_at = ~std::size_t{0};
  int rewinds = 0, may_rewind = 100;
};
struct Collector final : BodySink {
  bool write(BytesView piece) override {
    got.append(as_text(piece));
    return takes;
  }
  std::string got;
  bool takes = true;
};

class Transfer : public ::testing::TestWithParam<bool> {
 protected:
  Transfer() { w.net.streaming = GetParam(); }
  World w;
};

TEST_P(Transfer, UploadsASource) {
  auto session = w.session();
  const auto source = std::make_shared<Text>("the bytes of a picture");
  const auto answer =
      run(session.call("POST", "com.example.echo", {.content_type = "image/png", .source = source}));
  EXPECT_EQ(body_at(answer, "body"), "the bytes of a picture");
  EXPECT_EQ(body_at(answer, "type"), "image/png");
  EXPECT_EQ(source->rewinds, 2) << "refused once to hand out a nonce, and sent again from its beginning";
}

TEST_P(Transfer, UploadsAgainWithANewToken) {
  auto session = w.session();
  ASSERT_TRUE(run(session.call("GET", "com.example.echo", {})));  // the nonce is known
  w.server.live_access = {"nobody has this"};
  const auto source = std::make_shared<Text>("once more");
  EXPECT_EQ(body_at(run(session.call("POST", "com.example.echo", {.source = source})), "body"), "once more");
  EXPECT_EQ(source->rewinds, 2);
  EXPECT_EQ(w.server.issued, 2);
}

TEST_P(Transfer, EndsWhenTheSourceCannotBeReadAgain) {
  auto session = w.session();
  const auto source = std::make_shared<Text>("only once");
  source->may_rewind = 1;
  auto fault = run(session.call("POST", "com.example.echo", {.source = source})).error();
  EXPECT_EQ(fault.code, Error::unreachable);
  EXPECT_EQ(fault.network, FetchError::Kind::stopped);
  const auto broken = std::make_shared<Text>("a disk that fails");
  broken->breaks_at = 7;
  fault = run(session.call("POST", "com.example.echo", {.source = broken})).error();
  EXPECT_EQ(fault.network, FetchError::Kind::stopped);
  EXPECT_EQ(w.stored_sessions(), 1U) << "that is no reason to sign anybody out";
}

TEST_P(Transfer, HasOneBody) {
  auto session = w.session();
  const auto source = std::make_shared<Text>("x");
  const auto code = [&](std::string method, CallOptions o) {
    o.source = source;
    return run(session.call(std::move(method), "com.example.echo", std::move(o))).error().code;
  };
  EXPECT_EQ(code("GET", {}), Error::invalid_input);
  EXPECT_EQ(code("POST", {.body = "y"}), Error::invalid_input);
  EXPECT_EQ(code("POST", {.json = json::Object{}}), Error::invalid_input);
  EXPECT_EQ(source->rewinds, 0);
}

TEST_P(Transfer, DownloadsIntoASink) {
  auto session = w.session();
  w.server.download = std::string(100'000, 'c');
  const auto sink = std::make_shared<Collector>();
  const auto answer = run(session.call("GET", "com.example.bytes", {.sink = sink}));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "");
  EXPECT_EQ(sink->got, w.server.download) << "and nothing of the answer that demanded a nonce";
}

TEST_P(Transfer, LeavesRefusalsToTheCaller) {
  auto session = w.session();
  const auto sink = std::make_shared<Collector>();
  w.net.pages["https://pds.test/xrpc/com.example.bytes"] = [](const FetchRequest&) {
    return json_answer(400, {{"error", "RepoNotFound"}});
  };
  const auto answer = run(session.call("GET", "com.example.bytes", {.sink = sink}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(body_at(answer, "error"), "RepoNotFound");
  EXPECT_EQ(sink->got, "");
}

TEST_P(Transfer, AttackEndlessBody_StopsAtTheLimit) {
  auto session = w.session();
  w.server.download = std::string(100'001, 'c');
  const auto download = [&](std::size_t max) {
    return run(
        session.call("GET", "com.example.bytes", {.max_answer = max, .sink = std::make_shared<Collector>()}));
  };
  EXPECT_TRUE(download(100'001));
  const auto fault = download(100'000).error();
  EXPECT_EQ(fault.code, Error::unreachable);
  EXPECT_EQ(fault.network, FetchError::Kind::too_large);
}

TEST_P(Transfer, EndsWhenTheSinkHasEnough) {
  auto session = w.session();
  w.server.download = "x";
  const auto sink = std::make_shared<Collector>();
  sink->takes = false;
  EXPECT_EQ(run(session.call("GET", "com.example.bytes", {.sink = sink})).error().network,
            FetchError::Kind::stopped);
}

TEST_P(Transfer, MayTakeLongButNotBeSilent) {
  auto session = w.session();
  std::stop_source stop;
  const auto source = std::make_shared<Text>("x");
  ASSERT_TRUE(run(session.call("POST", "com.example.echo",
                               {.timeout = std::chrono::milliseconds(1500),
                                .source = source,
                                .transfer_timeout = std::chrono::minutes(7),
                                .stop = stop.get_token()})));
  const auto& sent = w.net.requests.back();
  EXPECT_EQ(sent.timeout, std::chrono::minutes(7));
  EXPECT_EQ(sent.max_silence, std::chrono::seconds(2));
  stop.request_stop();
  EXPECT_TRUE(sent.stop.stop_requested());
  ASSERT_TRUE(run(session.call("GET", "com.example.echo", {.timeout = std::chrono::milliseconds(1500)})));
  EXPECT_EQ(w.net.requests.back().timeout, std::chrono::milliseconds(1500)) << "the whole of a small call";
  EXPECT_EQ(w.net.requests.back().max_silence, std::chrono::seconds(0));
}

INSTANTIATE_TEST_SUITE_P(Network, Transfer, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "streams" : "does_not_stream"; });

}  // namespace
}  // namespace latchkey::oauth::client
