#include "web/client.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/log.h"
#include "web/raw_client.h"
#include "web/server.h"

namespace latchkey::web {
namespace {

using Kind = FetchError::Kind;
using std::chrono::milliseconds;

Task<Response> answer(Request r) {
  if (r.path == "/redirect")
    co_return Response::redirect(302, r.query.empty() ? "http://127.0.0.1:1/secret" : r.query);
  if (r.path == "/gzip") {
    auto out = Response::bytes(Bytes(10), "application/json");
    out.headers.set("content-encoding", "gzip");
    co_return out;
  }
  if (r.path == "/size") co_return Response::text(std::string(std::stoul(r.query), 'x'));
  if (r.path == "/headers") {
    Response out;
    for (int i = 0; i < 50; ++i) out.headers.add("x-h", std::string(1000, 'h'));
    co_return out;
  }
  if (r.path == "/digest") {  // of a body that is not sent back
    auto out = Response::text(fmt::format("{} {}", r.body.size(), std::hash<std::string>{}(r.body)));
    out.headers.set("x-length", std::string(r.headers.get("content-length")));
    co_return out;
  }
  if (r.path == "/no") {
    auto out = Response::text(std::string(std::stoul(r.query), 'x'), 401);
    out.headers.set("DPoP-Nonce", "abc");
    co_return out;
  }
  json::Object out{{"method", r.method}, {"target", r.target}, {"body", r.body}};
  json::Object fields;
  for (const auto& [n, v] : r.headers) fields.set(n, v);
  out.set("headers", std::move(fields));
  auto response = Response::json(std::move(out), r.path == "/404" ? 404 : 200);
  response.headers.set("DPoP-Nonce", "abc");
  co_return response;
}

struct Site {
  Site() : server({.threads = 1, .max_body = 4 << 20}, Handler(answer)) {
    log::set_level(log::Level::off);
    port = server.listen("127.0.0.1", 0);
    server.start();
  }
  std::string url(std::string_view path) const { return fmt::format("http://127.0.0.1:{}{}", port, path); }
  Server server;
  std::uint16_t port;
};

Result<FetchResponse, FetchError> get(GuardedClient& client, std::string url) {
  return run(client.fetch({.url = std::move(url)}));
}

ClientOptions local() { return {.guard = Guard::local_network}; }

TEST(GuardedClient, SendsWhatItIsTold) {
  Site site;
  GuardedClient client(local());
  FetchRequest request{.method = "POST", .url = site.url("/a/../b?x=%20#frag"), .body = "hello"};
  request.headers = {{"DPoP", "proof"}, {"content-type", "text/plain"}, {"x-empty", ""}};
  const auto r = run(client.fetch(request));
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(r->status, 200);
  EXPECT_EQ(r->header("dpop-nonce"), "abc");
  const auto seen = *json::parse(r->body);
  EXPECT_EQ(*seen.string_at("method"), "POST");
  EXPECT_EQ(*seen.string_at("target"), "/a/../b?x=%20");
  EXPECT_EQ(*seen.string_at("body"), "hello");
  const auto& headers = *seen.find("headers");
  EXPECT_EQ(*headers.string_at("DPoP"), "proof");
  EXPECT_EQ(*headers.string_at("content-type"), "text/plain");
  EXPECT_EQ(*headers.string_at("x-empty"), "");
  EXPECT_EQ(*headers.string_at("User-Agent"), "latchkey");
  EXPECT_EQ(headers.find("Expect"), nullptr);
  EXPECT_EQ(headers.find("Accept-Encoding"), nullptr);
}

TEST(GuardedClient, MethodsAndStatuses) {
  Site site;
  GuardedClient client(local());
  for (const auto* method : {"GET", "POST", "PUT", "DELETE", "PATCH"}) {
    const auto r = run(client.fetch({.method = method, .url = site.url("/404")}));
    ASSERT_TRUE(r.has_value()) << method;
    EXPECT_EQ(r->status, 404);
    const auto seen = *json::parse(r->body);
    EXPECT_EQ(*seen.string_at("method"), method);
    EXPECT_EQ(seen.find("headers")->find("Content-Type"), nullptr) << "nobody asked for a form";
  }
  const auto head = run(client.fetch({.method = "HEAD", .url = site.url("/")}));
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->body, "");
}

TEST(GuardedClient, RedirectsAreNotFollowed) {  // attacks.md 2, 3: redirect to private
  Site site;
  GuardedClient client(local());
  const auto r = get(client, site.url("/redirect"));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, 302);
  EXPECT_EQ(r->header("location"), "http://127.0.0.1:1/secret");
}

TEST(GuardedClient, BodyLimitBothSides) {  // attacks.md 2: 10 MB body
  Site site;
  GuardedClient client(local());
  EXPECT_TRUE(run(client.fetch({.url = site.url("/size?1000"), .max_body = 1000})).has_value());
  const auto r = run(client.fetch({.url = site.url("/size?1001"), .max_body = 1000}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::too_large);
}

TEST(GuardedClient, HeaderLimit) {
  Site site;
  GuardedClient client(local());
  const auto r = get(client, site.url("/headers"));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::too_large);
}

TEST(GuardedClient, CompressionThatWasNotAskedForIsRefused) {  // attacks.md 2: gzip bomb
  Site site;
  GuardedClient client(local());
  const auto r = get(client, site.url("/gzip"));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::bad_answer);
  const auto asked = run(client.fetch({.url = site.url("/gzip"), .headers = {{"accept-encoding", "gzip"}}}));
  ASSERT_TRUE(asked.has_value()) << "a proxied request passes it on as it is";
  EXPECT_EQ(asked->body.size(), 10u);
}

TEST(GuardedClient, ProxiesOfTheEnvironmentAreIgnored) {
  Site site;
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
  GuardedClient client(local());
  EXPECT_TRUE(get(client, site.url("/")).has_value());
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
}

/// Accepts and says only what it is told to.
struct MuteServer {
  explicit MuteServer(std::string say) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
    listen(fd, 5);
    socklen_t n = sizeof at;
    getsockname(fd, reinterpret_cast<sockaddr*>(&at), &n);
    port = ntohs(at.sin_port);
    thread = std::thread([this, say = std::move(say)] {
      const int c = accept(fd, nullptr, nullptr);
      if (c < 0) return;
      if (!say.empty()) send(c, say.data(), say.size(), MSG_NOSIGNAL);
      char rest[1024];
      while (recv(c, rest, sizeof rest, 0) > 0) {
      }
      close(c);
    });
  }
  ~MuteServer() {
    shutdown(fd, SHUT_RDWR);
    thread.join();
    close(fd);
  }
  int fd;
  std::uint16_t port;
  std::thread thread;
};

TEST(GuardedClient, SlowAnswersTimeOut) {  // attacks.md 2: slow body
  GuardedClient client(local());
  for (const auto* say : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}) {
    MuteServer mute(say);
    const auto r = run(
        client.fetch({.url = fmt::format("http://127.0.0.1:{}/", mute.port), .timeout = milliseconds(60)}));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, Kind::timeout);
  }
}

TEST(GuardedClient, BrokenAnswersAreErrors) {
  GuardedClient client(local());
  for (const auto* say : {"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    MuteServer mute(say);
    const auto r = run(
        client.fetch({.url = fmt::format("http://127.0.0.1:{}/", mute.port), .timeout = milliseconds(2000)}));
    EXPECT_FALSE(r.has_value()) << say;
  }
}

TEST(GuardedClient, NobodyThereIsUnreachable) {
  std::uint16_t port;
  {
    Site site;
    port = site.port;
  }
  GuardedClient client(local());
  const auto r = get(client, fmt::format("http://127.0.0.1:{}/", port));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::unreachable);
}

TEST(GuardedClient, ManyAtOnceAndTheLimit) {
  MuteServer mute("");
  auto o = local();
  o.max_parallel = 1;
  GuardedClient client(o);
  InlineExecutor executor;
  std::optional<Result<FetchResponse, FetchError>> first;
  const auto start = [](GuardedClient* c, std::string url, auto* out) -> Task<void> {
    out->emplace(co_await c->fetch({.url = std::move(url), .timeout = milliseconds(100)}));
  };
  const auto url = fmt::format("http://127.0.0.1:{}/", mute.port);
  executor.post([&] { spawn(start(&client, url, &first)); });
  executor.post([] {});
  std::optional<Result<FetchResponse, FetchError>> second;
  executor.post([&] { spawn(start(&client, url, &second)); });
  executor.run_until([&] { return second.has_value(); });
  EXPECT_FALSE(first.has_value());
  EXPECT_EQ(second->error().kind, Kind::unreachable);
  executor.run_until([&] { return first.has_value(); });
  EXPECT_EQ(first->error().kind, Kind::timeout);
}

TEST(GuardedClient, EndsWhatIsUnderWayWhenItGoes) {
  MuteServer mute("");
  auto client = std::make_unique<GuardedClient>(local());
  InlineExecutor executor;
  std::optional<Result<FetchResponse, FetchError>> out;
  const auto start = [](GuardedClient* c, std::string url, auto* into) -> Task<void> {
    into->emplace(co_await c->fetch({.url = std::move(url), .timeout = milliseconds(60'000)}));
  };
  executor.post([&] { spawn(start(client.get(), fmt::format("http://127.0.0.1:{}/", mute.port), &out)); });
  executor.post([&] { client.reset(); });
  executor.run_until([&] { return out.has_value(); });
  EXPECT_EQ(out->error().kind, Kind::unreachable);
}

// --- bodies that are not kept in memory ---

/// Bytes that are made up as they are read.
struct Pattern final : BodySource {
  explicit Pattern(std::uint64_t n) : total(n) {}
  std::uint64_t size() const override { return total; }
  bool rewind() override {
    ++rewinds;
    at = 0;
    return rewinds <= may_rewind;
  }
  std::optional<std::size_t> read(std::span<std::uint8_t> out) override {
    largest = std::max(largest, out.size());
    if (at >= breaks_at) return std::nullopt;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>({out.size(), total - at, 10'000}));
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>((at + i) * 7 % 251);
    at += n;
    return n;
  }
  std::string text() const {
    std::string all(total, '\0');
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 7 % 251);
    return all;
  }
  std::uint64_t total, at = 0, breaks_at = ~std::uint64_t{0};
  std::size_t largest = 0;
  int rewinds = 0, may_rewind = 1'000;
};

struct Counter final : BodySink {
  bool write(BytesView piece) override {
    largest = std::max(largest, piece.size());
    received += piece.size();
    return received <= stops_after;
  }
  std::uint64_t received = 0, stops_after = ~std::uint64_t{0};
  std::size_t largest = 0;
};

TEST(Streaming, SendsASourceWithItsLength) {
  Site site;
  GuardedClient client(local());
  auto source = std::make_shared<Pattern>(3'000'000);
  source->at = 5;  // somewhere in the middle
  const auto r = run(client.fetch({.method = "POST", .url = site.url("/digest"), .source = source}));
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(r->header("x-length"), "3000000");
  EXPECT_EQ(r->body, fmt::format("3000000 {}", std::hash<std::string>{}(source->text())));
  EXPECT_LT(source->largest, 1'000'000U) << "piece by piece";
  const auto empty = run(
      client.fetch({.method = "POST", .url = site.url("/digest"), .source = std::make_shared<Pattern>(0)}));
  ASSERT_TRUE(empty.has_value()) << empty.error().detail;
  EXPECT_TRUE(empty->body.starts_with("0 "));
}

TEST(Streaming, AnEarlyRefusalIsTheAnswer) {
  Site site;
  GuardedClient client(local());
  auto source = std::make_shared<Pattern>(200'000'000);
  const auto r = run(client.fetch({.method = "POST", .url = site.url("/digest"), .source = source}));
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(r->status, 413);
  EXPECT_LT(source->at, source->total) << "the rest was not sent";
}

TEST(Streaming, ASourceThatBreaksEndsTheRequest) {
  Site site;
  GuardedClient client(local());
  auto source = std::make_shared<Pattern>(3'000'000);
  source->breaks_at = 1'000'000;
  const auto r = run(client.fetch({.method = "POST", .url = site.url("/digest"), .source = source}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::stopped);
  auto fixed = std::make_shared<Pattern>(10);
  fixed->may_rewind = 0;
  const auto never = run(client.fetch({.method = "POST", .url = site.url("/digest"), .source = fixed}));
  ASSERT_FALSE(never.has_value());
  EXPECT_EQ(never.error().kind, Kind::stopped);
}

TEST(Streaming, GivesABodyToItsSink) {
  Site site;
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  const auto r = run(client.fetch({.url = site.url("/size?9000000"), .max_body = 9'000'000, .sink = sink}));
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(r->status, 200);
  EXPECT_EQ(r->body, "");
  EXPECT_EQ(sink->received, 9'000'000U);
  EXPECT_LT(sink->largest, 1'000'000U) << "piece by piece";
}

TEST(Streaming, KeepsRefusalsOutOfTheSink) {
  Site site;
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  const auto ask = [&](std::size_t n) {
    return run(client.fetch({.url = site.url(fmt::format("/no?{}", n)), .max_body = 1 << 30, .sink = sink}));
  };
  const auto r = ask(1 << 20);
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(r->status, 401);
  EXPECT_EQ(r->body.size(), std::size_t{1} << 20);
  EXPECT_EQ(r->header("dpop-nonce"), "abc");
  EXPECT_EQ(ask((1 << 20) + 1).error().kind, Kind::too_large) << "an error has no gigabyte";
  EXPECT_EQ(sink->received, 0U);
}

TEST(Streaming, AttackEndlessBody_StopsAtTheLimitOfASink) {
  Site site;
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  EXPECT_TRUE(run(client.fetch({.url = site.url("/size?1000"), .max_body = 1000, .sink = sink})).has_value());
  const auto r = run(client.fetch({.url = site.url("/size?1001"), .max_body = 1000, .sink = sink}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::too_large);
  // Without Content-Length nothing but counting helps.
  MuteServer endless("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(5000, 'x'));
  auto counted = std::make_shared<Counter>();
  const auto more = run(client.fetch(
      {.url = fmt::format("http://127.0.0.1:{}/", endless.port), .max_body = 4999, .sink = counted}));
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().kind, Kind::too_large);
  EXPECT_LE(counted->received, 4999U);
}

TEST(Streaming, AttackCompression_ReachesNoSink) {
  Site site;
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  const auto r = run(client.fetch({.url = site.url("/gzip"), .sink = sink}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::bad_answer);
  EXPECT_EQ(sink->received, 0U);
}

TEST(Streaming, ASinkMayStopIt) {
  Site site;
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  sink->stops_after = 100'000;
  const auto r = run(client.fetch({.url = site.url("/size?9000000"), .max_body = 9'000'000, .sink = sink}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::stopped);
  EXPECT_LT(sink->received, 9'000'000U);
}

TEST(Streaming, StopsWhenAsked) {
  MuteServer mute("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  GuardedClient client(local());
  std::stop_source stop;
  InlineExecutor executor;
  std::optional<Result<FetchResponse, FetchError>> out;
  const auto start = [](GuardedClient* c, std::string url, std::stop_token token, auto* into) -> Task<void> {
    into->emplace(co_await c->fetch({.url = std::move(url), .timeout = milliseconds(60'000), .stop = token}));
  };
  executor.post(
      [&] { spawn(start(&client, fmt::format("http://127.0.0.1:{}/", mute.port), stop.get_token(), &out)); });
  executor.post([&] { stop.request_stop(); });
  executor.run_until([&] { return out.has_value(); });
  EXPECT_EQ(out->error().kind, Kind::stopped);
  EXPECT_EQ(run(client.fetch({.url = "http://127.0.0.1:1/", .stop = stop.get_token()})).error().kind,
            Kind::stopped)
      << "not even begun";
}

TEST(Streaming, AttackSlowBody_SilenceEndsIt) {
  MuteServer mute("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  GuardedClient client(local());
  auto sink = std::make_shared<Counter>();
  const auto r = run(client.fetch({.url = fmt::format("http://127.0.0.1:{}/", mute.port),
                                   .timeout = milliseconds(60'000),
                                   .sink = sink,
                                   .max_silence = std::chrono::seconds(1)}));
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::timeout);
  EXPECT_EQ(sink->received, 4U);
}

// --- SSRF (attacks.md 3) ---

struct Ssrf {
  std::string_view attack;
  std::string url;
  std::string resolve;  // what the name stands for
};

class SsrfAttack : public ::testing::TestWithParam<Ssrf> {};

TEST_P(SsrfAttack, IsRefusedByTheGuard) {
  log::set_level(log::Level::off);
  ClientOptions o;
  if (!GetParam().resolve.empty()) o.resolve = {"evil.example:443:" + GetParam().resolve};
  GuardedClient client(o);
  const auto r = run(client.fetch({.url = GetParam().url, .timeout = milliseconds(3000)}));
  ASSERT_FALSE(r.has_value()) << GetParam().attack;
  EXPECT_EQ(r.error().kind, Kind::refused_by_guard) << GetParam().attack << ": " << r.error().detail;
}

constexpr const char* k_evil = "https://evil.example/";

INSTANTIATE_TEST_SUITE_P(
    Guard, SsrfAttack,
    ::testing::Values(
        Ssrf{"name for loopback", k_evil, "127.0.0.1"},
        Ssrf{"name for loopback, elsewhere", k_evil, "127.9.9.9"},
        Ssrf{"name for IPv6 loopback", k_evil, "[::1]"},
        Ssrf{"name for mapped private", k_evil, "[::ffff:10.0.0.1]"},
        Ssrf{"name for private 10/8", k_evil, "10.0.0.1"},
        Ssrf{"name for private 172.16/12", k_evil, "172.31.0.1"},
        Ssrf{"name for private 192.168/16", k_evil, "192.168.1.1"},
        Ssrf{"cloud metadata", k_evil, "169.254.169.254"}, Ssrf{"carrier-grade NAT", k_evil, "100.64.0.1"},
        Ssrf{"unspecified", k_evil, "0.0.0.0"}, Ssrf{"IPv6 unspecified", k_evil, "[::]"},
        Ssrf{"NAT64 of loopback", k_evil, "[64:ff9b::7f00:1]"},
        Ssrf{"NAT64 of metadata", k_evil, "[64:ff9b::a9fe:a9fe]"},
        Ssrf{"local NAT64 prefix", k_evil, "[64:ff9b:1::1]"},
        Ssrf{"6to4 of private", k_evil, "[2002:a00:1::1]"}, Ssrf{"unique local", k_evil, "[fd00::1]"},
        Ssrf{"link local", k_evil, "[fe80::1]"}, Ssrf{"multicast", k_evil, "224.0.0.1"},
        Ssrf{"broadcast", k_evil, "255.255.255.255"}, Ssrf{"documentation", k_evil, "192.0.2.1"},
        Ssrf{"several private addresses", k_evil, "10.0.0.1,127.0.0.1,[::1]"},
        Ssrf{"localhost", "https://localhost/", ""}, Ssrf{"localhost below", "https://x.localhost/", ""},
        Ssrf{"IP literal, private", "https://127.0.0.1/", ""},
        Ssrf{"IP literal, public", "https://8.8.8.8/", ""},
        Ssrf{"IPv6 literal", "https://[2001:4860:4860::8888]/", ""},
        Ssrf{"decimal address", "https://2130706433/", ""}, Ssrf{"octal address", "https://0177.0.0.1/", ""},
        Ssrf{"hexadecimal address", "https://0x7f000001/", ""}, Ssrf{"short address", "https://127.1/", ""},
        Ssrf{"address with trailing dot", "https://127.0.0.1./", ""},
        Ssrf{"plain http", "http://evil.example/", "127.0.0.1"}, Ssrf{"file", "file:///etc/passwd", ""},
        Ssrf{"gopher", "gopher://evil.example/", ""}, Ssrf{"no scheme", "//evil.example/", ""},
        Ssrf{"userinfo", "https://good.example@evil.example/", "127.0.0.1"},
        Ssrf{"space", "https://evil.example/ x", ""},
        Ssrf{"line break", "https://evil.example/\r\nX: y", ""}),
    [](const auto& row) {
      std::string name(row.param.attack);
      for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      return name;
    });

// The first answer is a public address where nobody answers (of a block that is not given out), the second
// one is ours.
TEST(GuardedClient, AttackRebinding_EveryAddressOfANameIsJudged) {
  Site site;
  ClientOptions o;
  o.resolve = {fmt::format("evil.example:{}:[3000::1],127.0.0.1", site.port)};
  GuardedClient client(o);
  const auto r = run(client.fetch(
      {.url = fmt::format("https://evil.example:{}/", site.port), .timeout = milliseconds(1500)}));
  EXPECT_FALSE(r.has_value());
  EXPECT_EQ(site.server.stats().connections_accepted, 0u);
}

TEST(GuardedClient, AttackRedirect_APrivateAddressBehindARedirectIsNotAsked) {
  Site site;
  Site secret;
  GuardedClient client(local());
  const auto r = get(client, site.url(fmt::format("/redirect?http://127.0.0.1:{}/", secret.port)));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, 302);
  EXPECT_EQ(secret.server.stats().connections_accepted, 0u);
}

TEST(GuardedClient, HeaderInjectionIsRefused) {  // attacks.md 18
  Site site;
  GuardedClient client(local());
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"x", "a\r\nHost: evil"}, {"x: y\r\nz", "a"}, {"", "a"}, {"x", std::string("a\0b", 3)}}) {
    const auto r = run(client.fetch({.url = site.url("/"), .headers = {{name, value}}}));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, Kind::refused_by_guard);
  }
  const auto r = run(client.fetch({.method = "GET / HTTP/1.1\r\nX:", .url = site.url("/")}));
  EXPECT_FALSE(r.has_value());
}

// --- TLS ---

struct TlsServer {
  TlsServer() {
    key = EVP_EC_gen("P-256");
    cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    auto* name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1,
                               -1, 0);
    X509_set_issuer_name(cert, name);
    auto* alt = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:good.example");
    X509_add_ext(cert, alt, -1);
    X509_EXTENSION_free(alt);
    X509_sign(cert, key, EVP_sha256());
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, cert);
    SSL_CTX_use_PrivateKey(context, key);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
    listen(fd, 5);
    socklen_t n = sizeof at;
    getsockname(fd, reinterpret_cast<sockaddr*>(&at), &n);
    port = ntohs(at.sin_port);
    thread = std::thread([this] {
      sigset_t pipe;  // OpenSSL writes without MSG_NOSIGNAL
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      for (;;) {
        const int c = accept(fd, nullptr, nullptr);
        if (c < 0) return;
        auto* ssl = SSL_new(context);
        SSL_set_fd(ssl, c);
        if (SSL_accept(ssl) == 1) {
          char in[4096];
          SSL_read(ssl, in, sizeof in);
          constexpr std::string_view out =
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
          SSL_write(ssl, out.data(), static_cast<int>(out.size()));
          SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(c);
      }
    });
  }
  ~TlsServer() {
    shutdown(fd, SHUT_RDWR);
    thread.join();
    close(fd);
    SSL_CTX_free(context);
    X509_free(cert);
    EVP_PKEY_free(key);
  }
  std::string write_certificate() const {
    auto path = ::testing::TempDir() + "latchkey_client_test_" + std::to_string(getpid()) + ".pem";
    auto* f = std::fopen(path.c_str(), "w");
    PEM_write_X509(f, cert);
    std::fclose(f);
    return path;
  }
  EVP_PKEY* key;
  X509* cert;
  SSL_CTX* context;
  int fd;
  std::uint16_t port;
  std::thread thread;
};

TEST(GuardedClient, CertificatesAreVerified) {
  log::set_level(log::Level::off);
  TlsServer tls;
  const auto url = [&](std::string_view host) { return fmt::format("https://{}:{}/", host, tls.port); };
  auto o = local();
  o.resolve = {fmt::format("good.example:{}:127.0.0.1", tls.port),
               fmt::format("other.example:{}:127.0.0.1", tls.port)};
  {
    GuardedClient client(o);
    const auto r = get(client, url("good.example"));
    ASSERT_FALSE(r.has_value()) << "nobody vouches for this certificate";
    EXPECT_EQ(r.error().kind, Kind::unreachable);
  }
  o.ca_file = tls.write_certificate();
  {
    GuardedClient client(o);
    const auto r = get(client, url("good.example"));
    ASSERT_TRUE(r.has_value()) << r.error().detail;
    EXPECT_EQ(r->body, "ok");
    EXPECT_FALSE(get(client, url("other.example")).has_value()) << "the certificate names another host";
  }
  std::remove(o.ca_file.c_str());
}

}  // namespace
}  // namespace latchkey::web
