#include "web/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/log.h"
#include "web/raw_client.h"
#include "web/websocket.h"

namespace latchkey::web {
namespace {

using std::chrono::milliseconds;
using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view k_get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// Lets a test hold handlers back and see them arrive.
struct Gate {
  Completion<bool> open;
  std::promise<void> reached;
  std::atomic<int> ended{0};
};

Task<Response> wait_at(Gate* gate, Request) {
  gate->reached.set_value();
  co_await gate->open;
  ++gate->ended;
  co_return Response::text("after the gate");
}

Task<Response> echo(Request r) {
  json::Object out{{"method", r.method}, {"path", r.path}, {"query", r.query}, {"host", r.host}};
  out.set("ip", r.remote_ip).set("scheme", r.scheme).set("id", r.id).set("body", r.body);
  out.set("fields", static_cast<std::int64_t>(r.headers.size()));
  std::string forwarded;
  for (const auto* name : {"x-forwarded-host", "x-forwarded-uri", "x-forwarded-method"})
    for (const auto& value : r.headers.all(name)) forwarded += value + " ";
  out.set("forwarded", forwarded);
  co_return Response::json(std::move(out));
}

std::int64_t number(const json::Value& value, std::string_view name) { return *value.find(name)->integer(); }

/// Reads the body as it comes, or gives it up after `pieces`.
Task<Response> measure(Request r, std::size_t pieces = 1'000'000) {
  BodyReader body(r);
  std::int64_t bytes = 0, most = 0;
  for (; pieces > 0; --pieces) {
    const auto piece = co_await body.next();
    if (!piece) co_return Response::text(std::to_string(static_cast<int>(piece.error())), 400);
    if (!*piece) break;
    bytes += static_cast<std::int64_t>((*piece)->size());
    most = std::max(most, static_cast<std::int64_t>((*piece)->size()));
  }
  co_return Response::json(
      json::Object{{"bytes", bytes}, {"most", most}, {"held", static_cast<std::int64_t>(r.body.size())}});
}

struct Counter {
  static Task<std::optional<Bytes>> next(std::shared_ptr<int> left, std::size_t size) {
    if (*left == 0) co_return std::nullopt;
    --*left;
    co_return Bytes(size, std::uint8_t('x'));
  }
  static Task<std::optional<Bytes>> fail_after(std::shared_ptr<int> left) {
    if ((*left)-- == 0) throw std::runtime_error("disk gone");
    co_return Bytes(10, std::uint8_t('x'));
  }
};

Router routes() {
  Router r;
  r.add("*", "/", echo);
  r.add("*", "/{rest*}", echo);
  r.post("/small", echo, 100);
  r.get("/throws", [](Request) -> Task<Response> { throw std::runtime_error("boom"); });
  r.get("/injects", [](Request) {
    Response bad;
    bad.headers.set("location", "/x\r\nset-cookie: a=b");
    return ready(std::move(bad));
  });
  r.get("/stream", [](Request) {
    auto left = std::make_shared<int>(3);
    return ready(Response::streamed("text/plain", [left] { return Counter::next(left, 10); }));
  });
  r.get("/stream-known", [](Request) {
    auto left = std::make_shared<int>(3);
    return ready(Response::streamed("text/plain", [left] { return Counter::next(left, 10); }, 30));
  });
  r.get("/stream-short", [](Request) {
    auto left = std::make_shared<int>(3);
    return ready(Response::streamed("text/plain", [left] { return Counter::next(left, 10); }, 31));
  });
  r.get("/stream-breaks", [](Request) {
    auto left = std::make_shared<int>(2);
    return ready(Response::streamed("text/plain", [left] { return Counter::fail_after(left); }));
  });
  r.get("/stream-breaks-at-once", [](Request) {
    auto left = std::make_shared<int>(0);
    return ready(Response::streamed("text/plain", [left] { return Counter::fail_after(left); }));
  });
  r.add_streamed("POST", "/measure", [](Request q) { return measure(std::move(q)); }, 3'000'000);
  r.add_streamed("POST", "/refuse", [](Request) { return ready(Response::text("no", 401)); }, 3'000'000);
  r.add_streamed("POST", "/begin", [](Request q) { return measure(std::move(q), 1); }, 3'000'000);
  r.get("/big", [](Request) { return ready(Response::text(std::string(3'000'000, 'b'))); });
  r.get("/ws-only", [](Request) {
    return ready(Response::websocket([](std::shared_ptr<WebSocket>) -> Task<void> { co_return; }));
  });
  return r;
}

ServerOptions options() {
  ServerOptions o;
  o.threads = 2;
  return o;
}

struct Running {
  explicit Running(ServerOptions o = options(), Router r = routes()) : server(std::move(o), std::move(r)) {
    log::set_level(log::Level::off);
    port = server.listen("127.0.0.1", 0);
    server.start();
  }
  Server server;
  std::uint16_t port;
};

json::Value body_of(const RawClient::Answer& a) {
  auto v = json::parse(a.body);
  return v ? *v : json::Value();
}

TEST(Server, AnswersAndKeepsTheConnection) {
  Running s;
  RawClient c(s.port);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(c.send("GET /a%20b?x=1 HTTP/1.1\r\nHost: A.Test:80\r\n\r\n"));
    const auto a = c.read_answer();
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(*body_of(a).string_at("path"), "/a%20b");
    EXPECT_EQ(*body_of(a).string_at("query"), "x=1");
    EXPECT_EQ(*body_of(a).string_at("host"), "a.test:80");
    EXPECT_EQ(*body_of(a).string_at("ip"), "127.0.0.1");
    EXPECT_EQ(a.headers.get("x-request-id").size(), 16u);
    EXPECT_TRUE(a.headers.has("date"));
    EXPECT_FALSE(a.headers.has("connection"));
  }
  EXPECT_EQ(s.server.stats().connections_accepted, 1u);
}

TEST(Server, DateComesFromTheClock) {
  FakeClock clock(from_unix_seconds(784111777));
  auto o = options();
  o.clock = &clock;
  Running s(o);
  RawClient c(s.port);
  c.send(k_get);
  EXPECT_EQ(c.read_answer().headers.get("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
  clock.advance(std::chrono::seconds(1));
  c.send(k_get);
  EXPECT_EQ(c.read_answer().headers.get("date"), "Sun, 06 Nov 1994 08:49:38 GMT");
}

TEST(Server, PipelinedRequestsAreAnsweredInOrderEvenWhenTheFirstIsSlow) {
  Gate gate;
  auto r = routes();
  r.get("/gate", [&](Request q) { return wait_at(&gate, std::move(q)); });
  Running s(options(), std::move(r));
  RawClient c(s.port);
  c.send(
      "GET /gate HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /3 "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
  gate.reached.get_future().wait();
  gate.open.deliver(true);
  EXPECT_EQ(c.read_answer().body, "after the gate");
  const auto second = c.read_answer();
  EXPECT_EQ(*body_of(second).string_at("path"), "/2");
  EXPECT_EQ(*body_of(second).string_at("body"), "hi");
  EXPECT_EQ(*body_of(c.read_answer()).string_at("path"), "/3");
}

TEST(Server, AHeaderMayArriveByteByByte) {
  Running s;
  RawClient c(s.port);
  for (const char b : std::string("\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
    c.send({&b, 1});
  EXPECT_EQ(*body_of(c.read_answer()).string_at("body"), "abc");
}

TEST(Server, HeadHasTheLengthAndNoBody) {
  Running s;
  RawClient c(s.port);
  c.send(
      "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream-known HTTP/1.1\r\nHost: a\r\n\r\nGET / "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.read_answer(true).headers.get("content-length"), "3000000");
  EXPECT_EQ(c.read_answer(true).headers.get("content-length"), "30");
  EXPECT_EQ(c.read_answer().status, 200);
}

TEST(Server, ChunkedBodiesAreJoinedAndTheirTrailersDropped) {
  Running s;
  RawClient c(s.port);
  c.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
  const auto a = body_of(c.read_answer());
  EXPECT_EQ(*a.string_at("body"), "hello!");
  EXPECT_EQ(*a.find("fields")->integer(), 2);
  c.send(k_get);
  EXPECT_EQ(c.read_answer().status, 200);
}

TEST(Server, AbsoluteFormNamesTheHost) {  // RFC 9112 §3.2.2
  Running s;
  RawClient c(s.port);
  c.send("GET http://Other.test:81?q=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto a = body_of(c.read_answer());
  EXPECT_EQ(*a.string_at("host"), "other.test:81");
  EXPECT_EQ(*a.string_at("path"), "/");
  EXPECT_EQ(*a.string_at("query"), "q=1");
}

TEST(Server, Http10ClosesAfterTheAnswer) {
  Running s;
  RawClient c(s.port);
  c.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(c.read_answer().status, 200);
  c.finish_sending();
  EXPECT_TRUE(c.at_end());
}

TEST(Server, Http10StreamsUntilTheEnd) {
  Running s;
  RawClient c(s.port);
  c.send("GET /stream HTTP/1.0\r\n\r\n");
  c.finish_sending();
  const auto text = c.read_to_end();
  EXPECT_TRUE(text.ends_with("\r\n\r\n" + std::string(30, 'x'))) << text;
  EXPECT_EQ(text.find("chunked"), std::string::npos);
}

struct Hostile {
  std::string_view attack;
  std::string bytes;
  int status;
};

class HostileRequest : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileRequest, IsRefusedAndTheConnectionEnds) {
  Running s;
  RawClient c(s.port);
  c.send(GetParam().bytes);
  const auto a = c.read_answer();
  EXPECT_EQ(a.status, GetParam().status) << GetParam().attack;
  EXPECT_EQ(a.headers.get("connection"), "close");
  EXPECT_TRUE(body_of(a).string_at("error"));
  c.finish_sending();
  EXPECT_TRUE(c.at_end()) << "nothing more may be answered: " << GetParam().attack;
}

INSTANTIATE_TEST_SUITE_P(
    Requests, HostileRequest,
    ::testing::Values(
        Hostile{"no Host (RFC 9112 §3.2)", "GET / HTTP/1.1\r\n\r\n", 400},
        Hostile{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        Hostile{"Host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
        Hostile{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        Hostile{"Host with a long port", "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400},
        Hostile{"Host with a name for a port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
        Hostile{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
        Hostile{
            "smuggling CL.TE",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            400},
        Hostile{
            "smuggling TE.CL",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            400},
        Hostile{"smuggling CL.CL, different",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        Hostile{"smuggling CL.CL, equal",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
        Hostile{"smuggling, length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", 400},
        Hostile{"smuggling, signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400},
        Hostile{"smuggling, hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na",
                400},
        Hostile{"length overflow",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na", 400},
        Hostile{"smuggling TE.TE",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                "identity\r\n\r\n0\r\n\r\n",
                400},
        Hostile{"smuggling, unknown coding before chunked",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        Hostile{"smuggling, misspelt coding",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
        Hostile{"smuggling, TE in HTTP/1.0",
                "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Hostile{"smuggling, space before the colon",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", 400},
        Hostile{"smuggling, bare LF after the request line", "GET / HTTP/1.1\nHost: a\n\r\n\r\n", 505},
        Hostile{"smuggling, bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
        Hostile{"smuggling, NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, 400},
        Hostile{"bad chunk size",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", 400},
        Hostile{"chunk size overflow",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n",
                400},
        Hostile{"chunk without its line end",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc0\r\n\r\n", 400},
        Hostile{"fragment in the target", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"relative target", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"authority form", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"absolute form of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"absolute form with userinfo", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"bytes outside ASCII in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Hostile{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Hostile{"TLS on the plain port", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n\r\n", 400},
        Hostile{"unknown expectation",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: miracle\r\n\r\n", 417}));

TEST(Server, HeaderLimitBothSides) {
  auto o = options();
  o.max_header = 16 * 1024;
  Running s(o);
  const std::string_view before = "GET / HTTP/1.1\r\nHost: a\r\nX: ", after = "\r\n\r\n";
  {
    RawClient c(s.port);
    c.send(std::string(before) + std::string(o.max_header - before.size() - after.size(), 'x') +
           std::string(after));
    EXPECT_EQ(c.read_answer().status, 200);
  }
  {
    RawClient c(s.port);
    c.send(std::string(before) + std::string(o.max_header - before.size() - after.size() + 1, 'x') +
           std::string(after));
    EXPECT_EQ(c.read_answer().status, 431);
  }
  {
    RawClient c(s.port);  // no line end at all
    c.send("GET /" + std::string(20'000, 'x'));
    EXPECT_EQ(c.read_answer().status, 431);
  }
}

TEST(Server, FieldCountLimitBothSides) {
  Running s;
  const auto request = [](int fields) {
    std::string out = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 1; i < fields; ++i) out += "a:b\r\n";
    return out + "\r\n";
  };
  RawClient c(s.port);
  c.send(request(100));
  EXPECT_EQ(c.read_answer().status, 200);
  c.send(request(101));
  EXPECT_EQ(c.read_answer().status, 431);
}

TEST(Server, BodyLimitBothSidesAndPerRoute) {
  auto o = options();
  o.max_body = 1000;
  Running s(o);
  const auto plain = [&](std::string_view path, std::size_t n) {
    RawClient c(s.port);
    c.send(fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", path, n,
                       std::string(n, 'b')));
    return c.read_answer().status;
  };
  const auto chunked = [&](std::string_view path, std::size_t n) {
    RawClient c(s.port);
    c.send(fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path));
    for (std::size_t i = 0; i < n; i += 10) c.send(fmt::format("a\r\n{}\r\n", std::string(10, 'b')));
    c.send("0\r\n\r\n");
    return c.read_answer().status;
  };
  EXPECT_EQ(plain("/", 1000), 200);
  EXPECT_EQ(plain("/", 1001), 413);
  EXPECT_EQ(plain("/small", 100), 200);
  EXPECT_EQ(plain("/small", 101), 413);
  EXPECT_EQ(chunked("/", 1000), 200);
  EXPECT_EQ(chunked("/", 1010), 413);
  EXPECT_EQ(chunked("/small", 100), 200);
  EXPECT_EQ(chunked("/small", 110), 413);
}

TEST(Server, ALargeRefusedBodyDoesNotLoseTheAnswer) {
  Running s;
  RawClient c(s.port);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + std::string(900'000, 'b'));
  EXPECT_EQ(c.read_answer().status, 413);
}

TEST(Server, ARefusedBodyIsReadToItsEndSoThatTheAnswerArrives) {
  Running s;
  RawClient c(s.port);
  EXPECT_TRUE(
      c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n\r\n" + std::string(16'000'000, 'b')))
      << "not reset under a client that looks only when it has sent everything";
  EXPECT_EQ(c.read_answer().status, 413);
  c.finish_sending();
  EXPECT_TRUE(c.at_end());
}

TEST(Server, EndlessChunkExtensionsAreRefused) {
  Running s;
  RawClient c(s.port);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunk = "1;" + std::string(200, 'e') + "\r\nx\r\n", many;
  for (int i = 0; i < 500; ++i) many += chunk;
  c.send(many);
  EXPECT_EQ(c.read_answer().status, 400);
}

TEST(Server, LargeBodiesBothWays) {
  auto o = options();
  o.max_body = 4'000'000;
  Running s(o);
  RawClient c(s.port);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'b'));
  EXPECT_EQ(body_of(c.read_answer()).string_at("body")->size(), 3'000'000u);
  c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.read_answer().body.size(), 3'000'000u);
}

TEST(Server, Expect100IsAnsweredBeforeTheBodyAndNotWhenTheBodyIsRefused) {  // RFC 9110 §10.1.1
  Running s;
  RawClient c(s.port);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(c.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  c.send("ok");
  EXPECT_EQ(*body_of(c.read_answer()).string_at("body"), "ok");
  c.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(c.read_answer().status, 413);
}

TEST(StreamedBody, ComesInPiecesAndLeavesTheConnectionUsable) {
  Running s;
  RawClient c(s.port);
  for (int i = 0; i < 2; ++i) {
    c.send("POST /measure HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" +
           std::string(2'000'000, 'b'));
    const auto got = body_of(c.read_answer());
    EXPECT_EQ(number(got, "bytes"), 2'000'000);
    EXPECT_EQ(number(got, "held"), 0) << "nothing is collected beside the pieces";
    EXPECT_LE(number(got, "most"), 64 * 1024);
    std::string chunks = "POST /measure HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int k = 0; k < 100; ++k) chunks += "3e8\r\n" + std::string(1000, 'c') + "\r\n";
    c.send(chunks + "0\r\n\r\n");
    EXPECT_EQ(number(body_of(c.read_answer()), "bytes"), 100'000);
  }
  c.send("POST /measure HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(number(body_of(c.read_answer()), "bytes"), 0);
}

TEST(StreamedBody, LimitBothSides) {
  Running s;
  const auto send = [&](std::string head, std::string body) {
    RawClient c(s.port);
    c.send("POST /measure HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n" + body);
    return c.read_answer();
  };
  EXPECT_EQ(send("Content-Length: 3000000", std::string(3'000'000, 'b')).status, 200);
  EXPECT_EQ(send("Content-Length: 3000001", "").status, 413) << "before the handler";
  const auto chunks = [](std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; i += 100'000) out += "186a0\r\n" + std::string(100'000, 'b') + "\r\n";
    return out + "0\r\n\r\n";
  };
  EXPECT_EQ(send("Transfer-Encoding: chunked", chunks(3'000'000)).status, 200);
  const auto long_one = send("Transfer-Encoding: chunked", chunks(3'100'000));
  EXPECT_EQ(long_one.status, 400);
  EXPECT_EQ(long_one.body, std::to_string(static_cast<int>(BodyError::too_large))) << "told to the handler";
  EXPECT_EQ(send("Transfer-Encoding: chunked", "zz\r\n").body,
            std::to_string(static_cast<int>(BodyError::malformed)));
}

TEST(StreamedBody, ARefusalDoesNotWaitForIt) {
  Running s;
  RawClient c(s.port);
  c.send("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
  const auto refused = c.read_answer();
  EXPECT_EQ(refused.status, 401) << "not asked to continue";
  RawClient d(s.port);
  d.send("POST /measure HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(d.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  d.send("ok");
  EXPECT_EQ(number(body_of(d.read_answer()), "bytes"), 2);
}

TEST(StreamedBody, AttackSmuggling_WhatTheHandlerLeftIsNoNextRequest) {  // RFC 9112 §9.6
  for (const auto* path : {"/refuse", "/begin"}) {
    Running s;
    RawClient c(s.port);
    const std::string inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    c.send(fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", path, 200'000));
    c.send(std::string(200'000 - inner.size(), 'b') + inner);
    c.read_answer();
    EXPECT_TRUE(c.at_end()) << path;
  }
}

TEST(StreamedBody, OneThatStopsEndsForTheHandler) {
  auto o = options();
  o.body_timeout = milliseconds(40);
  Running s(o);
  RawClient c(s.port);
  c.send("POST /measure HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nab");
  EXPECT_EQ(c.read_answer().body, std::to_string(static_cast<int>(BodyError::incomplete)));
  EXPECT_TRUE(c.at_end());
}

TEST(Server, SlowHeaderGets408) {  // slowloris
  auto o = options();
  o.header_timeout = milliseconds(40);
  Running s(o);
  RawClient c(s.port);
  c.send("GET / HTTP/1.1\r\nHost:");
  EXPECT_EQ(c.read_answer().status, 408);
  EXPECT_TRUE(c.at_end());
}

TEST(Server, SlowBodyGets408) {
  auto o = options();
  o.body_timeout = milliseconds(40);
  Running s(o);
  RawClient c(s.port);
  c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(c.read_answer().status, 408);
  RawClient d(s.port);
  d.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
  EXPECT_EQ(d.read_answer().status, 408);
}

TEST(Server, IdleConnectionsAreClosedWithoutAWord) {
  auto o = options();
  o.idle_timeout = milliseconds(40);
  Running s(o);
  RawClient fresh(s.port), used(s.port);
  used.send(k_get);
  EXPECT_EQ(used.read_answer().status, 200);
  EXPECT_TRUE(used.at_end());
  EXPECT_TRUE(fresh.at_end());
}

TEST(Server, ARunningHandlerHasNoReadTimeout) {
  Gate gate;
  auto o = options();
  o.header_timeout = o.idle_timeout = milliseconds(20);
  Router r;
  r.get("/gate", [&](Request q) { return wait_at(&gate, std::move(q)); });
  Running s(o, std::move(r));
  RawClient waits(s.port), idle(s.port);
  waits.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
  gate.reached.get_future().wait();
  EXPECT_TRUE(idle.at_end());  // its timeout has passed, so the other's would have too
  gate.open.deliver(true);
  EXPECT_EQ(waits.read_answer().body, "after the gate");
}

TEST(Server, ConnectionLimitBothSides) {
  auto o = options();
  o.max_connections = 2;
  Running s(o);
  RawClient a(s.port), b(s.port);
  a.send(k_get);
  b.send(k_get);
  EXPECT_EQ(a.read_answer().status, 200);
  EXPECT_EQ(b.read_answer().status, 200);
  RawClient c(s.port);
  EXPECT_THAT(c.read_to_end(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(s.server.stats().connections_refused, 1u);
}

TEST(Server, AnExceptionIs500WithTheRequestIdAndNoDetail) {
  Running s;
  RawClient c(s.port);
  c.send("GET /throws HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto a = c.read_answer();
  EXPECT_EQ(a.status, 500);
  EXPECT_EQ(*body_of(a).string_at("error"), "InternalServerError");
  EXPECT_THAT(*body_of(a).string_at("message"), HasSubstr(std::string(a.headers.get("x-request-id"))));
  EXPECT_THAT(a.body, Not(HasSubstr("boom")));
  c.send(k_get);
  EXPECT_EQ(c.read_answer().status, 200);
}

TEST(Server, HeaderInjectionIsA500) {  // attacks.md 18
  Running s;
  RawClient c(s.port);
  c.send("GET /injects HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto a = c.read_answer();
  EXPECT_EQ(a.status, 500);
  EXPECT_FALSE(a.headers.has("set-cookie"));
}

TEST(Server, StreamsArriveWhole) {
  Running s;
  RawClient c(s.port);
  for (const auto* path : {"/stream", "/stream-known"}) {
    c.send(fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path));
    const auto a = c.read_answer();
    EXPECT_EQ(a.body, std::string(30, 'x'));
    EXPECT_EQ(a.headers.has("content-length"), std::string_view(path) == "/stream-known");
  }
}

TEST(Server, ABrokenStreamIsNeverAWholeBody) {
  Running s;
  for (const auto* path : {"/stream-breaks", "/stream-short"}) {
    RawClient c(s.port);
    c.send(fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path));
    EXPECT_THROW(c.read_answer(), std::runtime_error) << path;
  }
  RawClient c(s.port);
  c.send("GET /stream-breaks-at-once HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(c.read_answer().status, 500);
}

TEST(Server, AStreamIsPulledOnlyAsFastAsItIsRead) {
  constexpr std::size_t k_piece = 65536, k_pieces = 2000;
  std::atomic<std::size_t> pulled{0};
  Router r;
  r.get("/", [&](Request) {
    auto left = std::make_shared<int>(k_pieces);
    return ready(Response::streamed("text/plain", [left, &pulled] {
      ++pulled;
      return Counter::next(left, k_piece);
    }));
  });
  Running s(options(), std::move(r));
  RawClient c(s.port, 65536);
  c.send(k_get);
  c.read_until("\r\n\r\n");
  std::size_t got = 0;
  while (got < k_piece * k_pieces / 4) got += c.read_exactly(k_piece).size();
  // What is ahead of us sits in socket buffers, which hold a few megabytes.
  EXPECT_LT(pulled * k_piece, got + 16 * 1024 * 1024);
}

TEST(Server, AClientThatLeavesDoesNotHurt) {
  Running s;
  for (int i = 0; i < 20; ++i) {
    RawClient c(s.port, 4096);
    c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  RawClient c(s.port);
  c.send(k_get);
  EXPECT_EQ(c.read_answer().status, 200);
}

TEST(Server, ForwardedHeadersOfStrangersAreIgnored) {  // attacks.md 17
  Running s;
  RawClient c(s.port);
  c.send(
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: "
      "https\r\nX-Forwarded-Host: evil\r\nX-Request-Id: mine\r\n\r\n");
  const auto a = body_of(c.read_answer());
  EXPECT_EQ(*a.string_at("ip"), "127.0.0.1");
  EXPECT_EQ(*a.string_at("scheme"), "http");
  EXPECT_EQ(*a.string_at("host"), "a");
  EXPECT_NE(*a.string_at("id"), "mine");
}

TEST(Server, AttackForwardAuth_WhatWasAskedForIsWhatATrustedProxySays) {
  constexpr const char* k_says =
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: b\r\nX-Forwarded-Host: c\r\nX-Forwarded-Uri: /d\r\n"
      "X-Forwarded-Method: PUT\r\n\r\n";
  Running stranger;
  RawClient c(stranger.port);
  c.send(k_says);
  EXPECT_EQ(*body_of(c.read_answer()).string_at("forwarded"), "");
  auto o = options();
  o.trusted_proxies = {"127.0.0.1"};
  Running proxy(o);
  RawClient p(proxy.port);
  p.send(k_says);
  EXPECT_EQ(*body_of(p.read_answer()).string_at("forwarded"), "b c /d PUT ");
}

struct Forwarded {
  std::string_view header;
  std::string_view ip;
  std::string_view why;
};

TEST(Server, TheClientIsTheLastAddressThatIsNotAProxyOfOurs) {  // attacks.md 17: limits dodged by spoofing
  auto o = options();
  o.trusted_proxies = {"127.0.0.0/8", "10.1.0.0/16"};
  Running s(o);
  for (const auto& [header, ip, why] : {
           Forwarded{"X-Forwarded-For: 9.9.9.9", "9.9.9.9", "one hop"},
           Forwarded{"X-Forwarded-For: 1.1.1.1, 9.9.9.9", "9.9.9.9", "the client wrote the left one"},
           Forwarded{"X-Forwarded-For: 9.9.9.9, 10.1.2.3", "9.9.9.9", "two proxies"},
           Forwarded{"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 10.1.2.3", "9.9.9.9", "two fields"},
           Forwarded{"X-Forwarded-For: junk, 10.1.2.3", "10.1.2.3", "stops where it cannot read"},
           Forwarded{"X-Forwarded-For: junk", "127.0.0.1", "nothing to read"},
           Forwarded{"X-Forwarded-For: ::ffff:9.9.9.9", "9.9.9.9", "mapped"},
           Forwarded{"X-Forwarded-For: 2001:4860:4860::8888", "2001:4860:4860::8888", "IPv6"},
       }) {
    RawClient c(s.port);
    c.send(fmt::format("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", header));
    EXPECT_EQ(*body_of(c.read_answer()).string_at("ip"), ip) << why;
  }
}

TEST(Server, ATrustedProxyNamesSchemeAndRequestId) {
  auto o = options();
  o.trusted_proxies = {"127.0.0.1"};
  Running s(o);
  RawClient c(s.port);
  c.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Request-Id: abc-1.2_3\r\n\r\n");
  const auto a = c.read_answer();
  EXPECT_EQ(*body_of(a).string_at("scheme"), "https");
  EXPECT_EQ(a.headers.get("x-request-id"), "abc-1.2_3");
  for (const auto& odd : {std::string("a b"), std::string("\"x\""), std::string(65, 'a')}) {
    c.send(fmt::format("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {}\r\n\r\n", odd));
    EXPECT_EQ(c.read_answer().headers.get("x-request-id").size(), 16u);
  }
}

TEST(Server, AMistypedProxyIsAnError) {
  auto o = options();
  o.trusted_proxies = {"10.0.0.0/33"};
  EXPECT_THROW(Server(o, routes()), std::invalid_argument);
}

TEST(Server, AnAddressInUseIsAnError) {
  Running s;
  Server second(options(), routes());
  EXPECT_THROW(second.listen("127.0.0.1", s.port), std::system_error);
}

TEST(Server, StopLetsARunningRequestFinishAndClosesTheRest) {
  Gate gate;
  auto r = routes();
  r.get("/gate", [&](Request q) { return wait_at(&gate, std::move(q)); });
  auto one_thread = options();
  one_thread.threads = 1;  // the end of one connection tells that the other's thread is stopping, too
  Running s(one_thread, std::move(r));
  RawClient busy(s.port), idle(s.port);
  idle.send(k_get);
  EXPECT_EQ(idle.read_answer().status, 200);
  busy.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
  gate.reached.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { s.server.stop(); });
  EXPECT_TRUE(idle.at_end());
  gate.open.deliver(true);
  const auto a = busy.read_answer();
  EXPECT_EQ(a.body, "after the gate");
  EXPECT_EQ(a.headers.get("connection"), "close");
  EXPECT_TRUE(busy.at_end());
  stopped.wait();
  EXPECT_THROW(RawClient(s.port), std::runtime_error);
}

TEST(Server, StopCutsConnectionsAfterTheDrainTimeButWaitsForHandlers) {
  Gate gate;
  auto o = options();
  o.drain_timeout = milliseconds(20);
  Router r;
  r.get("/gate", [&](Request q) { return wait_at(&gate, std::move(q)); });
  Running s(o, std::move(r));
  RawClient busy(s.port);
  busy.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
  gate.reached.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { s.server.stop(); });
  EXPECT_TRUE(busy.at_end());  // cut
  EXPECT_EQ(gate.ended, 0);
  gate.open.deliver(true);
  stopped.wait();
  EXPECT_EQ(gate.ended, 1);
}

TEST(Server, TheDestructorWaitsForHandlers) {
  Gate gate;
  Router r;
  r.get("/gate", [&](Request q) { return wait_at(&gate, std::move(q)); });
  auto s = std::make_unique<Running>(options(), std::move(r));
  RawClient busy(s->port);
  busy.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
  gate.reached.get_future().wait();
  auto gone = std::async(std::launch::async, [&] { s.reset(); });
  gate.open.deliver(true);
  gone.wait();
  EXPECT_EQ(gate.ended, 1);
}

Task<void> hop(Executor* home, ThreadPool* pool, std::promise<bool>* out) {
  Completion<bool> elsewhere;
  static_cast<void>(pool->try_post([elsewhere] { elsewhere.deliver(true); }));
  co_await elsewhere;
  const bool at_home = Executor::current() == home;
  co_await sleep_for(milliseconds(1));
  out->set_value(at_home && Executor::current() == home);
}

TEST(Server, TasksResumeOnTheirThread) {
  ThreadPool pool(1);
  Running s;
  for (unsigned i = 0; i < s.server.threads(); ++i) {
    std::promise<bool> result;
    auto& home = s.server.executor(i);
    home.post([&] { spawn(hop(&home, &pool, &result)); });
    EXPECT_TRUE(result.get_future().get());
  }
}

// --- WebSocket over a real socket ---

std::string masked(std::uint8_t first, std::string_view payload) {
  const char key[4] = {1, 2, 3, 4};
  std::string out{static_cast<char>(first)};
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() < 65536) {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  } else {
    out += static_cast<char>(0x80 | 127);
    for (int i = 7; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i));
  }
  out.append(key, 4);
  for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ key[i & 3]);
  return out;
}

std::string frame(std::uint8_t first, std::string_view payload) {
  return to_string(ws_encode(static_cast<WsOpcode>(first & 15), as_bytes(payload)));
}

constexpr std::string_view k_handshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

Task<void> ws_echo(std::shared_ptr<WebSocket> ws) {
  while (auto m = co_await ws->receive()) {
    if (m->data == "bye") co_return;
    if (m->data == "burst") {
      for (int i = 0; i < 200; ++i) ws->send(ws_text(std::to_string(i)));
      continue;
    }
    ws->send(m->text ? ws_text(m->data) : ws_binary(as_bytes(m->data)));
  }
}

struct Flood {
  std::promise<std::size_t> taken;
  std::promise<bool> drained_after_close;
};

Task<void> ws_flood(Flood* flood, std::shared_ptr<WebSocket> ws) {
  const auto frame = ws_binary(Bytes(60'000));
  std::size_t n = 0;
  while (ws->send(frame)) ++n;  // one go: nothing is written meanwhile
  ws->close(1008, "too slow", ws_text("ConsumerTooSlow"));
  flood->taken.set_value(n);
  flood->drained_after_close.set_value(co_await ws->drain(0));
  while (co_await ws->receive()) {
  }
}

Task<void> ws_replay(std::promise<std::size_t>* most, std::shared_ptr<WebSocket> ws) {
  std::size_t seen = 0;
  const auto frame = ws_binary(Bytes(50'000));
  for (int i = 0; i < 100; ++i) {
    if (!ws->send(frame)) break;
    seen = std::max(seen, ws->queued_bytes());
    if (!co_await ws->drain(100'000)) break;
  }
  most->set_value(seen);
}

Task<void> ws_throws(std::shared_ptr<WebSocket>) {
  throw std::runtime_error("boom");
  co_return;
}

struct WsServer : Running {
  WsServer(ServerOptions o = options(), Response::Upgrade run = ws_echo) : Running(std::move(o), make(run)) {}
  static Router make(Response::Upgrade run) {
    Router r;
    r.get("/ws", [run](Request) { return ready(Response::websocket(run)); });
    return r;
  }
};

RawClient& shake(RawClient& c) {
  c.send(k_handshake);
  const auto a = c.read_answer();
  EXPECT_EQ(a.status, 101);
  EXPECT_EQ(a.headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 §1.3
  return c;
}

TEST(WebSocketServer, EchoesAndAnswersPings) {
  WsServer s;
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x81, "Hello"));
  EXPECT_EQ(c.read_exactly(7), frame(1, "Hello"));
  c.send(masked(0x89, "beat"));
  EXPECT_EQ(c.read_exactly(6), frame(10, "beat"));
  const std::string big(300'000, 'x');
  c.send(masked(0x82, big));
  EXPECT_EQ(c.read_exactly(10 + big.size()), frame(2, big));
}

TEST(WebSocketServer, FramesSentWithTheHandshakeAreNotLost) {
  WsServer s;
  RawClient c(s.port);
  c.send(std::string(k_handshake) + masked(0x81, "early"));
  EXPECT_EQ(c.read_answer().status, 101);
  EXPECT_EQ(c.read_exactly(7), frame(1, "early"));
}

TEST(WebSocketServer, FragmentsWithAPingBetweenThem) {  // RFC 6455 §5.4
  WsServer s;
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x01, "Hel") + masked(0x89, "") + masked(0x80, "lo"));
  EXPECT_EQ(c.read_exactly(2), frame(10, ""));
  EXPECT_EQ(c.read_exactly(7), frame(1, "Hello"));
}

TEST(WebSocketServer, ManyFramesKeepTheirOrder) {
  WsServer s;
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x81, "burst"));
  for (int i = 0; i < 200; ++i) {
    const auto want = frame(1, std::to_string(i));
    EXPECT_EQ(c.read_exactly(want.size()), want);
  }
}

TEST(WebSocketServer, CloseIsAnsweredWithItsCode) {
  WsServer s;
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x88,
                "\x03\xe8"
                "done"));
  EXPECT_EQ(c.read_to_end(), frame(8, "\x03\xe8"));
}

TEST(WebSocketServer, TheHandlersEndClosesTheConnection) {
  WsServer s;
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x81, "bye"));
  EXPECT_EQ(c.read_exactly(4), frame(8, "\x03\xe8"));
  c.send(masked(0x88, "\x03\xe8"));
  EXPECT_TRUE(c.at_end());
}

TEST(WebSocketServer, AnExceptionClosesWith1011) {
  WsServer s(options(), ws_throws);
  RawClient c(s.port);
  shake(c);
  EXPECT_EQ(c.read_exactly(4), frame(8, "\x03\xf3"));
}

TEST(WebSocketServer, ProtocolErrorsCloseWithTheirCode) {
  const std::string big_header = [] {
    auto s = masked(0x82, std::string(70'000, 'x'));
    return s.substr(0, 14);  // refused by its length alone
  }();
  for (const auto& [bytes, code, why] : std::initializer_list<std::tuple<std::string, int, const char*>>{
           {frame(1, "Hello"), 1002, "unmasked"},
           {masked(0xC1, "x"), 1002, "RSV1 without extension"},
           {masked(0x83, "x"), 1002, "unknown opcode"},
           {masked(0x09, "x"), 1002, "fragmented ping"},
           {masked(0x89, std::string(126, 'x')), 1002, "ping of 126 bytes"},
           {masked(0x80, "x"), 1002, "continuation of nothing"},
           {masked(0x01, "x") + masked(0x81, "y"), 1002, "new message inside another"},
           {masked(0x88, "\x03"), 1002, "close with half a code"},
           {masked(0x88, "\x03\xed"), 1002, "close with 1005"},
           {masked(0x81, "\xff"), 1007, "text that is not UTF-8"},
           {big_header, 1009, "over the limit"},
       }) {
    auto o = options();
    o.websocket_max_message = 65536;
    WsServer s(o);
    RawClient c(s.port);
    shake(c);
    c.send(bytes);
    c.finish_sending();
    const auto answer = c.read_to_end();
    ASSERT_GE(answer.size(), 4u) << why;
    EXPECT_EQ(answer[0], '\x88') << why;
    EXPECT_EQ(static_cast<std::uint8_t>(answer[2]) << 8 | static_cast<std::uint8_t>(answer[3]), code) << why;
  }
}

TEST(WebSocketServer, MessageLimitBothSides) {
  auto o = options();
  o.websocket_max_message = 1000;
  WsServer s(o);
  RawClient c(s.port);
  shake(c);
  c.send(masked(0x01, std::string(600, 'x')) + masked(0x80, std::string(400, 'x')));
  EXPECT_EQ(c.read_exactly(1004), frame(1, std::string(1000, 'x')));
  c.send(masked(0x01, std::string(600, 'x')) + masked(0x80, std::string(401, 'x')));
  EXPECT_EQ(c.read_exactly(4), frame(8, "\x03\xf1"));
}

TEST(WebSocketServer, AReaderThatIsTooSlowIsToldAndClosed) {  // attacks.md 30
  Flood flood;
  auto o = options();
  o.websocket_max_queue = 1'000'000;
  WsServer s(o, [&](std::shared_ptr<WebSocket> ws) { return ws_flood(&flood, std::move(ws)); });
  RawClient c(s.port);
  shake(c);
  EXPECT_EQ(flood.taken.get_future().get(), 16u);  // 16 frames of 60,004 bytes fit, 17 do not
  EXPECT_FALSE(flood.drained_after_close.get_future().get());
  EXPECT_EQ(c.read_exactly(17), frame(1, "ConsumerTooSlow"));
  EXPECT_EQ(c.read_exactly(12), frame(8,
                                      "\x03\xf0"
                                      "too slow"));
}

TEST(WebSocketServer, DrainHoldsAReplayBack) {
  std::promise<std::size_t> most;
  WsServer s(options(), [&](std::shared_ptr<WebSocket> ws) { return ws_replay(&most, std::move(ws)); });
  RawClient c(s.port, 4096);
  shake(c);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(c.read_exactly(50'004).substr(0, 2), frame(2, std::string(50'000, 'x')).substr(0, 2));
  EXPECT_LE(most.get_future().get(), 150'004u);
}

TEST(WebSocketServer, SilentPeersArePingedAndThenDropped) {  // attacks.md 30: half-open sockets
  auto o = options();
  o.websocket_ping = milliseconds(40);
  WsServer s(o);
  RawClient c(s.port);
  shake(c);
  EXPECT_EQ(c.read_exactly(2), frame(9, ""));
  EXPECT_TRUE(c.read_to_end().size() <= 2);  // perhaps a second ping, then the end
}

TEST(WebSocketServer, StopSaysGoingAway) {
  WsServer s;
  RawClient c(s.port);
  shake(c);
  auto stopped = std::async(std::launch::async, [&] { s.server.stop(); });
  EXPECT_EQ(c.read_exactly(14), frame(8, "\x03\xe9going away"));
  c.send(masked(0x88, "\x03\xe9"));
  EXPECT_TRUE(c.at_end());
  stopped.wait();
}

TEST(WebSocketServer, BadHandshakesAreRefused) {  // RFC 6455 §4.2.1
  WsServer s;
  const auto with = [](std::string_view what, std::string_view instead) {
    std::string out(k_handshake);
    out.replace(out.find(what), what.size(), instead);
    return out;
  };
  for (const auto& [request, status] : std::initializer_list<std::pair<std::string, int>>{
           {with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426},
           {with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ=="), 400},
           {with("dGhlIHNhbXBsZSBub25jZQ==", "!!!!IHNhbXBsZSBub25jZQ=="), 400},
           {with("Upgrade: websocket\r\n", ""), 426},
           {with("HTTP/1.1", "HTTP/1.0"), 400},
           {"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", 426},
       }) {
    RawClient c(s.port);
    c.send(request);
    EXPECT_EQ(c.read_answer().status, status) << request;
  }
}

}  // namespace
}  // namespace latchkey::web
