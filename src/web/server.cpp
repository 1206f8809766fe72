#include "web/server.h"

// The only file that knows Asio and Beast.
#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <thread>
#include <unordered_set>

#include "base/log.h"
#include "web/address.h"
#include "web/signals.h"
#include "web/websocket.h"

namespace latchkey::web {

/// The parser has checked names and values already.
class HeadersAccess {
 public:
  static void add(Headers& h, std::string_view name, std::string_view value) {
    h.fields_.emplace_back(std::piecewise_construct, std::forward_as_tuple(name),
                           std::forward_as_tuple(value));
  }
};

namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Steady = std::chrono::steady_clock;
using BeastView = boost::beast::string_view;

constexpr std::size_t k_max_fields = 100;
constexpr std::size_t k_first_buffer = 4 * 1024;
constexpr std::size_t k_body_buffer = 64 * 1024;
constexpr std::size_t k_slowest_body = 32 * 1024;  // bytes a second of a body that is streamed
constexpr std::chrono::seconds k_linger{30};       // after the last answer, for a peer that still sends
constexpr std::chrono::seconds k_linger_silence{2};
constexpr std::size_t k_linger_buffer = 64 * 1024;

std::string_view view(BeastView v) { return {v.data(), v.size()}; }

// --- Parsing ---

/// Beast's parser, writing straight into our Request.
class HeadParser final : public beast_http::basic_parser<true> {
 public:
  HeadParser(Request& request, std::size_t max_header) : request_(request) {
    body_limit(boost::none);                                   // checked here, once the route is known
    header_limit(static_cast<std::uint32_t>(2 * max_header));  // one_request() counts exactly
  }
  int version() const { return version_; }
  void limit_body(std::size_t n) { limit_ = n; }
  std::size_t body_bytes() const { return taken_; }

 private:
  void on_request_impl(beast_http::verb, BeastView method, BeastView target, int version,
                       error_code&) override {
    request_.method.assign(method.data(), method.size());
    request_.target.assign(target.data(), target.size());
    version_ = version;
  }
  void on_response_impl(int, BeastView, int, error_code&) override {}
  void on_field_impl(beast_http::field, BeastView name, BeastView value, error_code& ec) override {
    // Trailer fields come this way too. They must not become header fields (RFC 9110 §6.5.1): dropped.
    if (++fields_ > k_max_fields)
      ec = beast_http::error::header_limit;
    else if (!header_done_)
      HeadersAccess::add(request_.headers, view(name), view(value));
  }
  void on_header_impl(error_code&) override { header_done_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView body, error_code& ec) override { return take(body, ec); }
  void on_chunk_header_impl(std::uint64_t size, BeastView, error_code& ec) override {
    if (size > limit_ - taken_) ec = beast_http::error::body_limit;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView body, error_code& ec) override {
    return take(body, ec);
  }
  void on_finish_impl(error_code&) override {}

  std::size_t take(BeastView body, error_code& ec) {
    if (body.size() > limit_ - taken_) {
      ec = beast_http::error::body_limit;
      return 0;
    }
    request_.body.append(body.data(), body.size());
    taken_ += body.size();
    return body.size();
  }

  Request& request_;
  int version_ = 11;
  bool header_done_ = false;
  std::size_t fields_ = 0;
  std::size_t limit_ = 0, taken_ = 0;
};

/// A body that is on its way.
struct Incoming {
  HeadParser& parser;
  std::string& arrived;  // where the parser puts what comes in chunks
  const bool chunked;
  std::uint64_t left;       // of one whose length is known
  std::size_t framing = 0;  // chunk headers and trailers, which the body limit does not count
  bool expects_continue = false;
  Steady::time_point deadline{};
  bool handler_gone = false;

  bool is_over() const { return chunked ? parser.is_done() : left == 0; }
};

bool has_token(const Headers& headers, std::string_view name, std::string_view token) {
  for (const auto& [n, v] : headers) {
    if (!equal_no_case(n, name)) continue;
    std::string_view rest = v;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      auto item = rest.substr(0, comma);
      while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
      while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
      if (equal_no_case(item, token)) return true;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return false;
}

// RFC 9110 §7.2: uri-host [":" port]; what we accept is a DNS name, IPv4 or a bracketed IPv6 address.
bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 260) return false;
  std::string_view name = host;
  if (host.front() == '[') {
    const auto close = host.find(']');
    if (close == std::string_view::npos) return false;
    const auto address = IpAddress::parse(host.substr(1, close - 1));
    if (host.substr(1, close - 1).find(':') == std::string_view::npos || !address) return false;
    name = host.substr(close + 1);
  } else {
    const auto colon = host.find(':');
    const auto label = host.substr(0, colon);
    if (label.empty() || !std::ranges::all_of(label, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        }))
      return false;
    name = colon == std::string_view::npos ? std::string_view() : host.substr(colon);
  }
  if (name.empty()) return true;
  if (name.front() != ':' || name.size() < 2 || name.size() > 6) return false;
  return std::ranges::all_of(name.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

/// What this file answers without asking a handler.
Response own_error(int status, std::string_view name, std::string_view message) {
  auto r = Response::error(status, name, message);
  add_cors_headers(r);
  add_data_headers(r, false);  // whether there is TLS in front is not known here
  return r;
}

struct Refusal {
  int status;
  std::string_view name;
  std::string_view message;
};

/// What the grammar allows and we still refuse, mostly because a proxy in front could read it differently.
std::optional<Refusal> check_head(Request& r, int version) {
  const auto bad = [](std::string_view why) { return Refusal{400, "InvalidRequest", why}; };
  if (r.method.size() > 32) return bad("Bad method");
  // RFC 9112 §6.3 items 3-5; §11.2 request smuggling. One length, stated once.
  const auto lengths = r.headers.count("content-length");
  const auto* coding = r.headers.find("transfer-encoding");
  if (coding) {
    if (lengths) return bad("Content-Length and Transfer-Encoding");
    if (version < 11) return bad("Transfer-Encoding in HTTP/1.0");
    if (r.headers.count("transfer-encoding") != 1 || !equal_no_case(*coding, "chunked"))
      return Refusal{501, "MethodNotImplemented", "Unknown transfer coding"};
  }
  if (lengths > 1) return bad("Several Content-Length");
  if (lengths == 1) {
    const auto v = r.headers.get("content-length");
    if (v.empty() || v.size() > 19 || !std::ranges::all_of(v, [](char c) { return c >= '0' && c <= '9'; }))
      return bad("Bad Content-Length");
  }
  // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
  if (r.headers.count("host") > 1 || (version >= 11 && !r.headers.has("host")))
    return bad("Host missing or repeated");
  r.host = lower(r.headers.get("host"));

  // RFC 9112 §3.2.1, §3.2.2, §3.2.4.
  std::string_view target = r.target;
  if (std::ranges::any_of(target, [](char c) { return c <= 0x20 || c >= 0x7f || c == '#'; }))
    return bad("Bad request target");
  if (target == "*" && r.method == "OPTIONS") {
    r.path = "*";
  } else {
    if (!target.empty() && target.front() != '/') {
      const auto scheme_end = target.find("://");
      const auto scheme = lower(target.substr(0, scheme_end));
      if (scheme_end == std::string_view::npos || (scheme != "http" && scheme != "https"))
        return bad("Bad request target");
      target.remove_prefix(scheme_end + 3);
      const auto end = target.find_first_of("/?");
      r.host = lower(target.substr(0, end));  // it overrides Host
      target = end == std::string_view::npos ? std::string_view() : target.substr(end);
    }
    const auto q = target.find('?');
    r.path = target.substr(0, q);
    r.query = q == std::string_view::npos ? std::string_view() : target.substr(q + 1);
    if (r.path.empty()) r.path = "/";
    if (r.path.front() != '/') return bad("Bad request target");
  }
  if (!(r.host.empty() && version < 11) && !is_host(r.host)) return bad("Bad Host");
  return std::nullopt;
}

// --- One thread ---

class Connection;

class Loop final : public Executor {
 public:
  Loop() : context(1), work(asio::make_work_guard(context)), ticker(context) {}

  void post(Job job) override { asio::post(context, std::move(job)); }
  void post_after(std::chrono::milliseconds delay, Job job) override {
    asio::post(context, [this, delay, job = std::move(job)]() mutable {
      auto timer = std::make_shared<asio::steady_timer>(context, delay);
      timer->async_wait([timer, job = std::move(job)](const error_code&) mutable { job(); });
    });
  }
  void run() {
    leave_signals_to_main();
    Enter enter(this);
    context.run();
  }

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer ticker;  // looks for connections past their deadline
  bool ticking = false;
  bool stopping = false;
  std::unordered_set<Connection*> connections;
  std::uint64_t id_state = 0;
  std::int64_t date_second = -1;
  std::string date;
  std::thread thread;

  std::string next_id() {  // splitmix64: distinct, not secret
    std::uint64_t z = (id_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return fmt::format("{:016x}", z ^ (z >> 31));
  }
};

/// Makes an Asio operation awaitable in a Task; resumes on the loop's thread.
template <class Start>
struct IoAwait {
  Start start;
  error_code ec{};
  std::size_t n = 0;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    start([this, h](const error_code& e, std::size_t k) {
      ec = e;
      n = k;
      h.resume();
    });
  }
  /// Bytes moved; 0 when the operation failed or the peer is gone.
  std::size_t await_resume() const { return ec ? 0 : n; }
};
template <class Start>
IoAwait(Start) -> IoAwait<Start>;

}  // namespace

// --- The server ---

struct Server::Impl {
  Impl(ServerOptions o, Handler h);
  void accept(tcp::acceptor& acceptor);
  void accepted(tcp::socket socket, Loop& loop);
  void tick(Loop& loop);
  void closed();
  bool trusted(const IpAddress& a) const {
    return std::ranges::any_of(proxies, [&](const Network& n) { return n.contains(a); });
  }

  ServerOptions options;
  Handler handler;
  OsRng os_rng;
  SystemClock system_clock;
  const Clock* clock;
  std::vector<Network> proxies;
  std::vector<std::unique_ptr<Loop>> loops;
  std::deque<tcp::acceptor> acceptors;  // on loop 0
  std::optional<asio::steady_timer> accept_retry;
  std::size_t next_loop = 0;
  std::chrono::milliseconds tick_interval;

  std::atomic<std::uint64_t> requests{0}, accepted_count{0}, refused{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::size_t open = 0;  // guarded by mutex
  enum class State { fresh, running, stopping, stopped } state = State::fresh;
};

namespace {

class WsConnection;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server::Impl& server, Loop& loop, tcp::socket socket)
      : server_(server), loop_(loop), socket_(std::move(socket)) {
    error_code ec;
    const auto peer = socket_.remote_endpoint(ec);
    if (!ec) {
      const auto address = peer.address();
      if (address.is_v4()) {
        const auto b = address.to_v4().to_bytes();
        peer_ = IpAddress::from_bytes(b);
      } else {
        const auto b = address.to_v6().to_bytes();
        peer_ = IpAddress::from_bytes(b);
      }
    }
    socket_.set_option(tcp::no_delay(true), ec);
    socket_.non_blocking(true, ec);
    from_proxy_ = peer_ && server_.trusted(*peer_);
    loop_.connections.insert(this);
  }
  ~Connection() {
    loop_.connections.erase(this);
    error_code ec;
    socket_.close(ec);
    server_.closed();
  }

  static Task<void> run(std::shared_ptr<Connection> self) {
    while (co_await self->one_request()) {
    }
  }

  /// Past its deadline?
  void tick(Steady::time_point now);
  /// The server stops: idle connections go now, others after their request.
  void stop();
  void cut() {
    cut_ = true;
    error_code ec;
    socket_.close(ec);
  }

  // For the WebSocket.
  Task<std::size_t> read(char* to, std::size_t room) {
    co_return co_await IoAwait{
        [this, to, room](auto done) { socket_.async_read_some(asio::buffer(to, room), std::move(done)); }};
  }
  Task<bool> write(std::vector<asio::const_buffer> buffers);
  Loop& loop() { return loop_; }
  const ServerOptions& options() const { return server_.options; }
  std::string& leftover() { return buffer_; }
  void shutdown_send() {
    error_code ec;
    socket_.shutdown(tcp::socket::shutdown_send, ec);
  }
  void read_within(std::chrono::milliseconds limit) { read_deadline_ = Steady::now() + limit; }
  void read_without_limit() { read_deadline_ = Steady::time_point::max(); }
  std::weak_ptr<WsConnection> ws;

 private:
  enum class Phase { idle, header, body, handler };
  Task<bool> one_request();
  Task<bool> more();
  Task<bool> read_body(Request* request, std::size_t length);
  Task<bool> send_continue(std::shared_ptr<Incoming> body);
  Task<Result<void, BodyError>> read_chunks(std::shared_ptr<Incoming> body);
  static Task<Result<std::optional<Bytes>, BodyError>> next_piece(std::shared_ptr<Connection> self,
                                                                  std::shared_ptr<Incoming> body);
  Task<Result<std::optional<Bytes>, BodyError>> read_piece(std::shared_ptr<Incoming> body);
  Task<bool> respond(Response response, bool head, int version, bool keep_alive, std::string id);
  Task<bool> refuse(Refusal refusal, std::string id);
  Task<void> linger();
  Task<bool> upgrade(Request* request, Response response, int version);
  void identify(Request& request);
  std::string head_of(const Response& r, std::string_view id, bool close);

  Server::Impl& server_;
  Loop& loop_;
  tcp::socket socket_;
  std::optional<IpAddress> peer_;
  bool from_proxy_ = false;
  std::string buffer_;  // read and not yet parsed
  Phase phase_ = Phase::idle;
  bool timed_out_ = false;
  bool cut_ = false;
  Steady::time_point read_deadline_ = Steady::time_point::max();
  Steady::time_point write_deadline_ = Steady::time_point::max();
};

class WsConnection final : public WebSocket, public std::enable_shared_from_this<WsConnection> {
 public:
  explicit WsConnection(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)),
        max_queue_(connection_->options().websocket_max_queue),
        parser_(connection_->options().websocket_max_message) {
    parser_.feed(as_bytes(connection_->leftover()));
    connection_->leftover().clear();
    last_seen_ = Steady::now();
  }

  Task<std::optional<WsMessage>> receive() override { return receive_next(shared_from_this()); }

  bool send(WsFrame frame) override {
    std::lock_guard lock(mutex_);
    if (closing_ || !frame || queued_ + frame->size() > max_queue_) return false;
    enqueue(std::move(frame));
    return true;
  }

  void close(std::uint16_t code, std::string_view reason, WsFrame last) override {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    closing_ = true;
    for (const auto& f : queue_) queued_ -= f->size();
    queue_.clear();
    if (last) enqueue(std::move(last));
    enqueue(std::make_shared<const Bytes>(ws_encode(WsOpcode::close, ws_close_payload(code, reason))));
    wake_drainers();
  }

  Task<bool> drain(std::size_t below) override { return wait_drained(shared_from_this(), below); }

  std::size_t queued_bytes() const override {
    std::lock_guard lock(mutex_);
    return queued_;
  }
  bool is_open() const override {
    std::lock_guard lock(mutex_);
    return !closing_;
  }

  void tick(Steady::time_point now) {
    const auto ping = connection_->options().websocket_ping;
    if (now - last_seen_ > 2 * ping) {
      broken();
    } else if (now - last_seen_ > ping && now - last_ping_ > ping) {
      last_ping_ = now;
      send(std::make_shared<const Bytes>(ws_encode(WsOpcode::ping, {})));
    }
  }

  /// Says goodbye when the handler did not, and waits until what was queued is out.
  static Task<void> finish(std::shared_ptr<WsConnection> self) {
    self->close(1000, {}, nullptr);
    // close() queued at least one frame unless the connection broke, so the writer is there to deliver this.
    bool wait;
    {
      std::lock_guard lock(self->mutex_);
      wait = self->writing_;
    }
    if (wait) co_await self->written_;
    // §7.1.1: the server closes the TCP connection first, after the peer's close frame or a short while.
    if (!self->peer_closed_ && !self->broken_) {
      self->connection_->shutdown_send();
      self->connection_->read_within(std::chrono::milliseconds(2000));
      while (co_await receive_next(self)) {
      }
    }
  }

 private:
  void enqueue(WsFrame frame) {  // with the lock
    queued_ += frame->size();
    queue_.push_back(std::move(frame));
    if (writing_ || broken_) return;
    writing_ = true;
    // Through the loop also when called on it: frames queued in one go leave in one write.
    connection_->loop().post([self = shared_from_this()] { spawn(write_queue(self)); });
  }

  void wake_drainers() {  // with the lock
    std::erase_if(drainers_, [&](const auto& d) {
      if (!closing_ && queued_ > d.first) return false;
      d.second.deliver(!closing_);
      return true;
    });
  }

  void broken() {
    {
      std::lock_guard lock(mutex_);
      closing_ = broken_ = true;
      queue_.clear();
      queued_ = 0;
      wake_drainers();
    }
    connection_->cut();
  }

  static Task<bool> wait_drained(std::shared_ptr<WsConnection> self, std::size_t below) {
    Completion<bool> done;
    {
      std::lock_guard lock(self->mutex_);
      if (self->closing_) co_return false;
      if (self->queued_ <= below) co_return true;
      self->drainers_.emplace_back(below, done);
    }
    co_return co_await done;
  }

  static Task<void> write_queue(std::shared_ptr<WsConnection> self) {
    std::vector<WsFrame> batch;
    for (;;) {
      std::vector<asio::const_buffer> buffers;
      std::size_t bytes = 0;
      {
        std::lock_guard lock(self->mutex_);
        batch.clear();
        while (!self->queue_.empty() && batch.size() < 64 && bytes < 256 * 1024) {
          bytes += self->queue_.front()->size();
          batch.push_back(std::move(self->queue_.front()));
          self->queue_.pop_front();
        }
        if (batch.empty()) {
          self->writing_ = false;
          if (self->closing_) self->written_.deliver(true);
          co_return;
        }
      }
      for (const auto& f : batch) buffers.emplace_back(f->data(), f->size());
      const bool sent = co_await self->connection_->write(std::move(buffers));
      if (!sent) {
        self->broken();
        std::lock_guard lock(self->mutex_);
        self->writing_ = false;
        self->written_.deliver(true);
        co_return;
      }
      std::lock_guard lock(self->mutex_);
      self->queued_ -= std::min(bytes, self->queued_);
      self->wake_drainers();
    }
  }

  static Task<std::optional<WsMessage>> receive_next(std::shared_ptr<WsConnection> self) {
    if (self->peer_closed_) co_return std::nullopt;
    for (;;) {
      auto event = self->parser_.next();
      if (!event) {
        self->peer_closed_ = true;  // what follows cannot be read any more
        self->close(event.error(), {}, nullptr);
        co_return std::nullopt;
      }
      if (!*event) {
        const auto n = co_await self->connection_->read(self->input_.data(), self->input_.size());
        if (n == 0) {
          self->peer_closed_ = true;
          self->broken();
          co_return std::nullopt;
        }
        self->last_seen_ = Steady::now();
        self->parser_.feed({reinterpret_cast<const std::uint8_t*>(self->input_.data()), n});
        continue;
      }
      WsEvent& e = **event;
      switch (e.kind) {
        case WsOpcode::text:
        case WsOpcode::binary:
          co_return WsMessage{e.kind == WsOpcode::text, std::move(e.data)};
        case WsOpcode::ping:  // a flood of pings fills the queue, and then goes unanswered
          self->send(std::make_shared<const Bytes>(ws_encode(WsOpcode::pong, as_bytes(e.data))));
          break;
        case WsOpcode::close:
          self->peer_closed_ = true;
          self->close(e.close_code == 1005 ? 1000 : e.close_code, {}, nullptr);
          co_return std::nullopt;
        case WsOpcode::pong:
        case WsOpcode::continuation:
          break;
      }
    }
  }

  std::shared_ptr<Connection> connection_;
  const std::size_t max_queue_;
  // Of the connection's thread:
  WsParser parser_;
  std::array<char, 4096> input_;
  Steady::time_point last_seen_, last_ping_{};
  bool peer_closed_ = false;
  Completion<bool> written_;  // after close(): all is out, or the connection is broken
  // Of every thread:
  mutable std::mutex mutex_;
  std::deque<WsFrame> queue_;
  std::size_t queued_ = 0;  // with what is being written
  bool writing_ = false, closing_ = false, broken_ = false;
  std::vector<std::pair<std::size_t, Completion<bool>>> drainers_;
};

void Connection::tick(Steady::time_point now) {
  if (now < read_deadline_ && now < write_deadline_) {
    if (const auto w = ws.lock()) w->tick(now);
    return;
  }
  timed_out_ = true;
  error_code ec;
  // A read past its time is cancelled so that 408 can still be said; a stuck write is the end.
  if (now >= write_deadline_)
    cut();
  else
    socket_.cancel(ec);
  read_deadline_ = write_deadline_ = Steady::time_point::max();
}

void Connection::stop() {
  error_code ec;
  if (const auto w = ws.lock())
    w->close(1001, "going away", nullptr);
  else if (phase_ == Phase::idle)
    socket_.cancel(ec);
}

/// Reads more into buffer_. False when the peer is gone or too slow.
Task<bool> Connection::more() {
  const auto have = buffer_.size();
  const auto room = have < k_first_buffer ? k_first_buffer - have : have;
  buffer_.resize(have + room);
  const auto n = co_await IoAwait{[this, have, room](auto done) {
    socket_.async_read_some(asio::buffer(buffer_.data() + have, room), std::move(done));
  }};
  buffer_.resize(have + n);
  co_return n > 0 && !timed_out_;
}

Task<bool> Connection::write(std::vector<asio::const_buffer> buffers) {
  std::size_t at = 0;
  while (at < buffers.size()) {
    const auto count = std::min<std::size_t>(buffers.size() - at, 64);
    const std::span<const asio::const_buffer> now(buffers.data() + at, count);
    error_code ec;
    // Mostly the socket takes it at once; only a full one is worth waiting for.
    std::size_t n = socket_.write_some(now, ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
      write_deadline_ = Steady::now() + server_.options.write_timeout;
      n = co_await IoAwait{[this, now](auto done) { socket_.async_write_some(now, std::move(done)); }};
      write_deadline_ = Steady::time_point::max();
      if (n == 0) co_return false;
    } else if (ec) {
      co_return false;
    }
    while (at < buffers.size() && n >= buffers[at].size()) n -= buffers[at++].size();
    if (n > 0) buffers[at] += n;
  }
  co_return true;
}

/// The client's own address, scheme and request id, as far as a trusted proxy may name them.
void Connection::identify(Request& r) {
  if (peer_) r.remote_ip = peer_->str();
  if (from_proxy_) {
    // Each proxy appends the address it saw. From the right, the first that is no proxy of ours is the
    // client; everything left of it is hearsay.
    auto values = r.headers.all("x-forwarded-for");
    std::string_view proto = r.headers.get("x-forwarded-proto");
    bool done = false;
    for (auto v = values.rbegin(); v != values.rend() && !done; ++v) {
      std::string_view rest = *v;
      while (!done) {
        const auto comma = rest.rfind(',');
        auto item = comma == std::string_view::npos ? rest : rest.substr(comma + 1);
        while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
        while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
        const auto address = IpAddress::parse(item);
        if (!address) {
          done = true;
          break;
        }
        r.remote_ip = address->str();
        done = !server_.trusted(*address);
        if (comma == std::string_view::npos) break;
        rest = rest.substr(0, comma);
      }
    }
    if (const auto comma = proto.rfind(','); comma != std::string_view::npos) proto.remove_prefix(comma + 1);
    while (!proto.empty() && proto.front() == ' ') proto.remove_prefix(1);
    if (proto == "https") r.scheme = "https";
    const auto given = r.headers.get("x-request-id");
    if (!given.empty() && given.size() <= 64 && std::ranges::all_of(given, [](char c) {
          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                 c == '_' || c == '.';
        }))
      r.id = given;
  } else {
    // What a handler finds in these, a proxy of ours said.
    for (const auto* name : {"x-forwarded-host", "x-forwarded-uri", "x-forwarded-method"})
      r.headers.erase(name);
  }
  if (r.id.empty()) r.id = loop_.next_id();
}

Task<bool> Connection::one_request() {
  const auto& options = server_.options;
  Request request;
  HeadParser parser(request, options.max_header);
  phase_ = Phase::idle;
  timed_out_ = false;
  read_deadline_ = Steady::now() + (buffer_.empty() ? options.idle_timeout : options.header_timeout);
  if (loop_.stopping && buffer_.empty()) co_return false;

  // The header.
  std::size_t header_bytes = 0;
  while (!parser.is_header_done()) {
    bool need_more = buffer_.empty();
    if (!need_more) {
      if (phase_ == Phase::idle) {
        phase_ = Phase::header;
        read_deadline_ = Steady::now() + options.header_timeout;
        // RFC 9112 §2.2: empty lines before the request line are ignored; not without end.
        std::size_t skip = 0;
        while (skip + 1 < buffer_.size() && skip < 8 && buffer_[skip] == '\r' && buffer_[skip + 1] == '\n')
          skip += 2;
        buffer_.erase(0, skip);
      }
      error_code ec;
      const auto used = parser.put(asio::buffer(buffer_), ec);
      header_bytes += used;
      buffer_.erase(0, used);
      if (header_bytes > options.max_header || ec == beast_http::error::header_limit ||
          (!parser.is_header_done() && header_bytes + buffer_.size() > options.max_header))
        co_return co_await refuse({431, "InvalidRequest", "Header too large"}, loop_.next_id());
      if (ec == beast_http::error::need_more)
        need_more = true;
      else if (ec == beast_http::error::bad_version)
        co_return co_await refuse({505, "InvalidRequest", "HTTP version not supported"}, loop_.next_id());
      else if (ec)
        co_return co_await refuse({400, "InvalidRequest", "Malformed request"}, loop_.next_id());
    }
    if (need_more && !co_await more()) {
      if (timed_out_ && phase_ == Phase::header)
        co_return co_await refuse({408, "InvalidRequest", "Request header too slow"}, loop_.next_id());
      co_return false;
    }
  }
  const auto began = Steady::now();
  server_.requests.fetch_add(1, std::memory_order_relaxed);
  const int version = parser.version();
  identify(request);
  const auto id = request.id;
  if (const auto refusal = check_head(request, version)) co_return co_await refuse(*refusal, id);

  // The body.
  const bool chunked = parser.chunked();
  const std::uint64_t length = parser.content_length().value_or(0);
  std::shared_ptr<Incoming> incoming;
  bool streamed = false;
  if (chunked || length > 0) {
    phase_ = Phase::body;
    read_deadline_ = Steady::now() + options.body_timeout;
    std::size_t limit = options.max_body_of ? options.max_body_of(request) : 0;
    if (limit == 0) limit = options.max_body;
    if (length > limit) co_return co_await refuse({413, "PayloadTooLarge", "Request body too large"}, id);
    if (const auto* expect = request.headers.find("expect"); expect && version >= 11) {
      if (!equal_no_case(*expect, "100-continue"))
        co_return co_await refuse({417, "InvalidRequest", "Unknown expectation"}, id);
    }
    parser.limit_body(limit);
    parser.eager(true);
    streamed = options.streams_body_of && options.streams_body_of(request);
    incoming = std::make_shared<Incoming>(Incoming{
        .parser = parser,
        .arrived = request.body,
        .chunked = chunked,
        .left = length,
        .expects_continue = version >= 11 && request.headers.has("expect") && buffer_.empty(),
        .deadline = read_deadline_ + std::chrono::seconds((chunked ? limit : length) / k_slowest_body)});
    if (!streamed && !co_await send_continue(incoming)) co_return false;
    if (streamed) {
      // Nothing is read before the handler wants it.
    } else if (!chunked) {
      if (!co_await read_body(&request, length)) {
        if (timed_out_) co_return co_await refuse({408, "InvalidRequest", "Request body too slow"}, id);
        co_return false;
      }
    } else {
      while (!incoming->is_over()) {
        const auto read = co_await read_chunks(incoming);
        if (read) continue;
        if (read.error() == BodyError::too_large)
          co_return co_await refuse({413, "PayloadTooLarge", "Request body too large"}, id);
        if (read.error() == BodyError::malformed)
          co_return co_await refuse({400, "InvalidRequest", "Malformed chunked body"}, id);
        if (timed_out_) co_return co_await refuse({408, "InvalidRequest", "Request body too slow"}, id);
        co_return false;
      }
    }
  }

  // The handler.
  phase_ = Phase::handler;
  read_deadline_ = Steady::time_point::max();
  if (streamed)
    request.body_stream = [self = shared_from_this(), incoming] { return next_piece(self, incoming); };
  const bool head = request.method == "HEAD";
  const bool wants_websocket = has_token(request.headers, "upgrade", "websocket") &&
                               has_token(request.headers, "connection", "upgrade");
  Request handshake;  // what the upgrade needs of a request the handler has eaten
  if (wants_websocket) {
    handshake.method = request.method;
    handshake.headers = request.headers;
    handshake.body = request.body;
    handshake.id = id;
  }
  const bool log_access = options.access_log;
  std::string line_method, line_path;
  if (log_access) {
    line_method = request.method;
    line_path = request.path;
  }
  bool keep_alive = parser.keep_alive() && version >= 11;
  Response response;
  std::string trouble;
  try {
    response = co_await server_.handler(std::move(request));
  } catch (const Overloaded&) {
    response = own_error(503, "NotEnoughResources", "The server is busy");
  } catch (const std::exception& e) {
    trouble = e.what();
    if (trouble.empty()) trouble = "exception";
  } catch (...) {
    trouble = "unknown exception";
  }
  if (streamed) {
    incoming->handler_gone = true;
    // What is left of the body would be read as the next request.
    if (!incoming->is_over()) keep_alive = false;
  }
  if (!trouble.empty()) {
    log::error("request failed", {{"request", id}, {"error", trouble}});
    response = own_error(500, "InternalServerError", fmt::format("Internal error, request {}", id));
  }
  if (log_access)
    log::info(
        "request",
        {{"request", id},
         {"method", std::move(line_method)},
         {"path", response.log_path.empty() ? std::move(line_path) : response.log_path},
         {"status", std::to_string(response.status)},
         {"us", std::to_string(
                    std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - began).count())}});
  if (response.upgrade) {
    if (wants_websocket) co_return co_await upgrade(&handshake, std::move(response), version);
    response = own_error(426, "InvalidRequest", "This is a WebSocket endpoint");
    response.headers.set("upgrade", "websocket");
  }
  if (loop_.stopping) keep_alive = false;
  co_return co_await respond(std::move(response), head, version, keep_alive, id);
}

Task<bool> Connection::send_continue(std::shared_ptr<Incoming> body) {
  static constexpr std::string_view k_continue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (!std::exchange(body->expects_continue, false)) co_return true;
  co_return co_await write({asio::buffer(k_continue)});
}

/// One read further into a chunked body.
Task<Result<void, BodyError>> Connection::read_chunks(std::shared_ptr<Incoming> body) {
  error_code ec;
  const auto before = body->parser.body_bytes();
  const auto used = buffer_.empty() ? 0 : body->parser.put(asio::buffer(buffer_), ec);
  buffer_.erase(0, used);
  body->framing += used - (body->parser.body_bytes() - before);
  if (ec == beast_http::error::body_limit) co_return fail(BodyError::too_large);
  if (ec && ec != beast_http::error::need_more) co_return fail(BodyError::malformed);
  if (body->parser.is_done()) co_return {};
  // Chunks of a few bytes and endless extensions cost us more than they say.
  const auto max_header = server_.options.max_header;
  if (body->framing > max_header + body->parser.body_bytes() || buffer_.size() > max_header)
    co_return fail(BodyError::malformed);
  if ((ec || buffer_.empty()) && !co_await more()) co_return fail(BodyError::incomplete);
  co_return {};
}

/// For Request::body_stream.
Task<Result<std::optional<Bytes>, BodyError>> Connection::next_piece(std::shared_ptr<Connection> self,
                                                                     std::shared_ptr<Incoming> body) {
  if (body->handler_gone) co_return fail(BodyError::incomplete);
  if (!co_await self->send_continue(body)) co_return fail(BodyError::incomplete);
  // The time the handler takes between two pieces is not the client's: only reads have the deadline.
  self->read_deadline_ = body->deadline;
  Result<std::optional<Bytes>, BodyError> piece = co_await self->read_piece(body);
  self->read_deadline_ = Steady::time_point::max();
  co_return piece;
}

Task<Result<std::optional<Bytes>, BodyError>> Connection::read_piece(std::shared_ptr<Incoming> body) {
  if (body->chunked) {
    while (body->arrived.empty() && !body->is_over()) CO_TRY_VOID(co_await read_chunks(body));
    if (body->arrived.empty()) co_return std::optional<Bytes>();
    auto piece = to_bytes(body->arrived);
    body->arrived.clear();
    co_return std::optional<Bytes>(std::move(piece));
  }
  if (body->left == 0) co_return std::optional<Bytes>();
  Bytes piece;
  if (!buffer_.empty()) {
    const auto here = std::min<std::uint64_t>(body->left, buffer_.size());
    piece = to_bytes(std::string_view(buffer_).substr(0, here));
    buffer_.erase(0, here);
  } else {
    piece.resize(std::min<std::uint64_t>(body->left, k_body_buffer));
    piece.resize(co_await read(reinterpret_cast<char*>(piece.data()), piece.size()));
    if (piece.empty() || timed_out_) co_return fail(BodyError::incomplete);
  }
  body->left -= piece.size();
  co_return std::optional<Bytes>(std::move(piece));
}

Task<bool> Connection::read_body(Request* request, std::size_t length) {
  auto& body = request->body;
  const auto here = std::min(length, buffer_.size());
  body.assign(buffer_, 0, here);
  buffer_.erase(0, here);
  std::size_t have = here;
  while (have < length) {
    // Grows with what has arrived: a promised length costs no memory.
    const auto room = std::min(length, std::max(k_body_buffer, 2 * have)) - have;
    body.resize(have + room);
    const auto n = co_await IoAwait{[this, &body, have, room](auto done) {
      socket_.async_read_some(asio::buffer(body.data() + have, room), std::move(done));
    }};
    have += n;
    body.resize(have);
    if (n == 0 || timed_out_) co_return false;
  }
  co_return true;
}

std::string Connection::head_of(const Response& r, std::string_view id, bool close) {
  std::string out;
  out.reserve(512);
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", r.status, reason_phrase(r.status));
  const auto now = server_.clock->now();
  if (const auto second = unix_seconds(now); second != loop_.date_second) {
    loop_.date_second = second;
    loop_.date = http_date(now);
  }
  out += "date: ";
  out += loop_.date;
  out += "\r\nx-request-id: ";
  out += id;
  out += "\r\n";
  for (const auto& [n, v] : r.headers) {
    // What concerns this connection is said here and nowhere else (RFC 9110 §7.6.1).
    if (equal_no_case(n, "content-length") || equal_no_case(n, "transfer-encoding") ||
        equal_no_case(n, "connection") || equal_no_case(n, "keep-alive") || equal_no_case(n, "date") ||
        equal_no_case(n, "x-request-id"))
      continue;
    out += n;
    out += ": ";
    out += v;
    out += "\r\n";
  }
  if (close) out += "connection: close\r\n";
  return out;
}

/// Sends the response; true when the connection can serve another request.
Task<bool> Connection::respond(Response r, bool head, int version, bool keep_alive, std::string id) {
  const bool bodiless = r.status == 204 || r.status == 304 || r.status < 200;
  if (r.stream && !head && !bodiless) {
    // The first piece before the header: a producer that fails at once still becomes a 500.
    std::optional<Bytes> piece;
    std::string trouble;
    try {
      piece = co_await r.stream();
    } catch (const std::exception& e) {
      trouble = fmt::format("{} ", e.what());
    }
    if (!trouble.empty()) {
      log::error("response stream failed", {{"request", id}, {"error", trouble}});
      auto e = own_error(500, "InternalServerError", fmt::format("Internal error, request {}", id));
      co_return co_await respond(std::move(e), head, version, keep_alive, std::move(id));
    }
    const bool chunked = !r.stream_length && version >= 11;
    if (!r.stream_length && !chunked) keep_alive = false;
    std::string out = head_of(r, id, !keep_alive);
    out += r.stream_length ? fmt::format("content-length: {}\r\n\r\n", *r.stream_length)
           : chunked       ? "transfer-encoding: chunked\r\n\r\n"
                           : "\r\n";
    std::uint64_t sent = 0;
    while (piece) {
      sent += piece->size();
      if (r.stream_length && sent > *r.stream_length) co_return false;
      if (!piece->empty()) {  // an empty chunk would end the body
        if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", piece->size());
        std::vector<asio::const_buffer> buffers{asio::buffer(out), asio::buffer(*piece)};
        if (chunked) buffers.push_back(asio::buffer("\r\n", 2));
        const bool written = co_await write(std::move(buffers));
        if (!written || cut_) co_return false;
        out.clear();
      }
      trouble.clear();
      try {
        piece = co_await r.stream();
      } catch (const std::exception& e) {
        trouble = fmt::format("{} ", e.what());
      }
      if (!trouble.empty()) {
        log::error("response stream failed", {{"request", id}, {"error", trouble}});
        co_return false;
      }
    }
    if (r.stream_length && sent != *r.stream_length) {
      log::error("response stream too short", {{"request", id}});
      co_return false;
    }
    if (chunked) out += "0\r\n\r\n";
    if (!out.empty()) {
      const bool written = co_await write({asio::buffer(out)});
      if (!written) co_return false;
    }
  } else {
    std::string out = head_of(r, id, !keep_alive);
    const BytesView body = r.body.empty() && r.shared_body ? BytesView(*r.shared_body) : as_bytes(r.body);
    const auto* given = r.headers.find("content-length");
    if (r.status != 204 && r.status >= 200) {
      // A HEAD handler may know the length without making the body.
      if (head && body.empty() && given)
        out += fmt::format("content-length: {}\r\n", *given);
      else if (head && r.stream && r.stream_length)
        out += fmt::format("content-length: {}\r\n", *r.stream_length);
      else if (!(head && r.stream) && r.status != 304)
        out += fmt::format("content-length: {}\r\n", body.size());
    }
    out += "\r\n";
    std::vector<asio::const_buffer> buffers;
    if (head || bodiless || body.empty()) {
      buffers.push_back(asio::buffer(out));
    } else if (body.size() <= 4096) {
      out.append(as_text(body));
      buffers.push_back(asio::buffer(out));
    } else {
      buffers = {asio::buffer(out), asio::const_buffer(body.data(), body.size())};
    }
    const bool written = co_await write(std::move(buffers));
    if (!written) co_return false;
  }
  if (!keep_alive) co_await linger();
  co_return keep_alive;
}

/// An answer to something that is no request for a handler. The connection ends: its framing is in doubt.
Task<bool> Connection::refuse(Refusal refusal, std::string id) {
  phase_ = Phase::handler;
  read_deadline_ = Steady::time_point::max();
  auto r = own_error(refusal.status, refusal.name, refusal.message);
  co_return co_await respond(std::move(r), false, 11, false, std::move(id));
}

/// RFC 9112 §9.6: closing with unread input makes the kernel reset the connection, and the peer may lose our
/// answer. Say that we are done, then read until the peer is done too: a client that looks for an answer only
/// after its last byte gets it, for as long as it keeps sending.
Task<void> Connection::linger() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  timed_out_ = false;
  if (loop_.stopping) co_return;
  const auto end = Steady::now() + k_linger;
  buffer_.resize(k_first_buffer);
  while (!timed_out_ && !cut_) {
    read_deadline_ = std::min(end, Steady::now() + k_linger_silence);
    const auto n = co_await IoAwait{
        [this](auto done) { socket_.async_read_some(asio::buffer(buffer_), std::move(done)); }};
    if (n == 0 || loop_.stopping || Steady::now() >= end) break;
    if (n == buffer_.size()) buffer_.resize(k_linger_buffer);
  }
}

Task<bool> Connection::upgrade(Request* request, Response response, int version) {
  const auto& h = request->headers;
  // RFC 6455 §4.2.1
  if (h.get("sec-websocket-version") != "13") {
    auto r = own_error(426, "InvalidRequest", "WebSocket version 13 only");
    r.headers.set("sec-websocket-version", "13");
    co_return co_await respond(std::move(r), false, version, false, request->id);
  }
  if (request->method != "GET" || version < 11 || h.count("sec-websocket-key") != 1 ||
      !is_ws_key(h.get("sec-websocket-key")) || !request->body.empty())
    co_return co_await refuse({400, "InvalidRequest", "Bad WebSocket handshake"}, request->id);
  if (loop_.stopping) co_return co_await refuse({503, "NotEnoughResources", "Shutting down"}, request->id);

  response.status = 101;
  std::string out = head_of(response, request->id, false);
  out += "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ";
  out += ws_accept(h.get("sec-websocket-key"));
  out += "\r\n\r\n";
  const bool written = co_await write({asio::buffer(out)});
  if (!written) co_return false;

  auto socket = std::make_shared<WsConnection>(shared_from_this());
  ws = socket;
  std::string trouble;
  try {
    co_await response.upgrade(socket);
  } catch (const std::exception& e) {
    trouble = fmt::format("{} ", e.what());
  }
  if (!trouble.empty()) {
    log::error("websocket failed", {{"request", request->id}, {"error", trouble}});
    socket->close(1011, {}, nullptr);
  }
  co_await WsConnection::finish(socket);
  co_return false;
}

}  // namespace

Server::Impl::Impl(ServerOptions o, Handler h) : options(std::move(o)), handler(std::move(h)) {
  clock = options.clock ? options.clock : &system_clock;
  Rng& rng = options.rng ? *options.rng : os_rng;
  for (const auto& text : options.trusted_proxies) {
    const auto network = Network::parse(text);
    if (!network) throw std::invalid_argument(fmt::format("not an address or network: {}", text));
    proxies.push_back(*network);
  }
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < options.threads; ++i) {
    loops.push_back(std::make_unique<Loop>());
    for (const auto b : rng.bytes(8)) loops.back()->id_state = loops.back()->id_state << 8 | b;
  }
  const auto shortest = std::min({options.header_timeout, options.body_timeout, options.idle_timeout,
                                  options.write_timeout, options.websocket_ping});
  tick_interval = std::clamp<std::chrono::milliseconds>(shortest / 4, std::chrono::milliseconds(5),
                                                        std::chrono::milliseconds(500));
}

void Server::Impl::tick(Loop& loop) {
  loop.ticker.expires_after(tick_interval);
  loop.ticker.async_wait([this, &loop](const error_code& ec) {
    if (ec) return;
    const auto now = Steady::now();
    const auto snapshot = std::vector<Connection*>(loop.connections.begin(), loop.connections.end());
    for (auto* c : snapshot) c->tick(now);  // ticks post and cancel; nobody goes away inside them
    loop.ticking = !loop.connections.empty();
    if (loop.ticking) tick(loop);
  });
}

void Server::Impl::accept(tcp::acceptor& acceptor) {
  auto& loop = *loops[next_loop++ % loops.size()];
  acceptor.async_accept(loop.context, [this, &acceptor, &loop](const error_code& ec, tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (ec) {
      // Out of descriptors, or the peer was gone before we took it: not too eagerly again.
      accept_retry.emplace(loops[0]->context, std::chrono::milliseconds(50));
      accept_retry->async_wait([this, &acceptor](const error_code& e) {
        if (!e && acceptor.is_open()) accept(acceptor);
      });
      return;
    }
    bool room;
    {
      std::lock_guard lock(mutex);
      room = state == State::running && open < options.max_connections;
      if (room) ++open;
    }
    if (room) {
      accepted_count.fetch_add(1, std::memory_order_relaxed);
      asio::post(loop.context,
                 [this, &loop, socket = std::move(socket)]() mutable { accepted(std::move(socket), loop); });
    } else {
      refused.fetch_add(1, std::memory_order_relaxed);
      static constexpr std::string_view k_busy =
          "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: "
          "close\r\n\r\n";
      error_code ignored;
      socket.non_blocking(true, ignored);
      socket.write_some(asio::buffer(k_busy), ignored);
    }
    accept(acceptor);
  });
}

void Server::Impl::accepted(tcp::socket socket, Loop& loop) {
  auto connection = std::make_shared<Connection>(*this, loop, std::move(socket));
  if (!loop.ticking) {
    loop.ticking = true;
    tick(loop);
  }
  spawn(Connection::run(std::move(connection)));
}

void Server::Impl::closed() {
  std::lock_guard lock(mutex);
  --open;
  wake.notify_all();
}

Server::Server(ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

Server::Server(ServerOptions options, Router router) {
  auto shared = std::make_shared<const Router>(std::move(router));
  options.max_body_of = [shared](const Request& r) { return shared->max_body(r); };
  options.streams_body_of = [shared](const Request& r) { return shared->streams_body(r); };
  impl_ = std::make_unique<Impl>(std::move(options),
                                 [shared](Request r) { return shared->handle(std::move(r)); });
}

Server::~Server() { stop(); }

std::uint16_t Server::listen(std::string_view address, std::uint16_t port) {
  error_code bad;
  const tcp::endpoint endpoint(asio::ip::make_address(std::string(address), bad), port);
  if (bad) throw std::system_error(bad, fmt::format("listen on {}", address));
  tcp::acceptor acceptor(impl_->loops[0]->context);
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(1024, ec);
  if (ec) throw std::system_error(ec, fmt::format("listen on {} port {}", address, port));
  const auto actual = acceptor.local_endpoint().port();
  impl_->acceptors.push_back(std::move(acceptor));
  return actual;
}

void Server::start() {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->state != Impl::State::fresh) throw std::logic_error("server started twice");
    impl_->state = Impl::State::running;
  }
  for (auto& a : impl_->acceptors) impl_->accept(a);
  for (auto& loop : impl_->loops) loop->thread = std::thread([l = loop.get()] { l->run(); });
}

void Server::stop() {
  auto& s = *impl_;
  std::unique_lock lock(s.mutex);
  if (s.state == Impl::State::fresh) s.state = Impl::State::stopped;
  if (s.state == Impl::State::stopping) s.wake.wait(lock, [&] { return s.state == Impl::State::stopped; });
  if (s.state == Impl::State::stopped) return;
  s.state = Impl::State::stopping;
  lock.unlock();

  s.loops[0]->post([&s] {
    error_code ec;
    for (auto& a : s.acceptors) a.close(ec);
    if (s.accept_retry) s.accept_retry->cancel();
  });
  for (auto& loop : s.loops)
    loop->post([l = loop.get()] {
      l->stopping = true;
      for (auto* c : std::vector<Connection*>(l->connections.begin(), l->connections.end())) c->stop();
    });

  lock.lock();
  if (!s.wake.wait_for(lock, s.options.drain_timeout, [&] { return s.open == 0; })) {
    log::warn("requests still running after the drain time; their connections are cut",
              {{"connections", std::to_string(s.open)}});
    lock.unlock();
    for (auto& loop : s.loops)
      loop->post([l = loop.get()] {
        for (auto* c : std::vector<Connection*>(l->connections.begin(), l->connections.end())) c->cut();
      });
    lock.lock();
    // Handlers hold references to the rest of the program: it must not go away under them.
    s.wake.wait(lock, [&] { return s.open == 0; });
  }
  lock.unlock();
  for (auto& loop : s.loops) {
    loop->post([l = loop.get()] {
      l->ticker.cancel();
      l->work.reset();
      l->context.stop();
    });
    loop->thread.join();
  }
  lock.lock();
  s.state = Impl::State::stopped;
  s.wake.notify_all();
}

unsigned Server::threads() const { return impl_->options.threads; }
Executor& Server::executor(unsigned i) { return *impl_->loops.at(i); }

Server::Stats Server::stats() const {
  std::lock_guard lock(impl_->mutex);
  return {impl_->requests, impl_->accepted_count, impl_->open, impl_->refused};
}

}  // namespace latchkey::web
