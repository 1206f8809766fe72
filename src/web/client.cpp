#include "web/client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/url.h"
#include "web/address.h"
#include "web/http.h"
#include "web/signals.h"

namespace latchkey::web {
namespace {

using Outcome = Result<FetchResponse, FetchError>;
using Kind = FetchError::Kind;

// Beside a sink: what a server says in an answer it did not give is short.
constexpr std::size_t k_max_error_body = 1 << 20;

bool ends_in_a_number(std::string_view host) {
  // "2130706433", "0x7f.1", "127.1": C libraries take these for IPv4 addresses. No public name looks like
  // that (WHATWG URL, "ends in a number").
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto dot = host.rfind('.');
  const auto label = dot == std::string_view::npos ? host : host.substr(dot + 1);
  return label.empty() || (label.front() >= '0' && label.front() <= '9');
}

bool is_token(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?={}").find(c) == std::string_view::npos;
  });
}

bool is_field_value(std::string_view s) {
  return std::ranges::none_of(s, [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 0x20 && c != '\t') || u == 0x7f;
  });
}

std::optional<IpAddress> address_of(const curl_sockaddr& a) {
  if (a.family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&a.addr);
    return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&in->sin_addr), 4});
  }
  if (a.family == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&a.addr);
    return IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&in->sin6_addr), 16});
  }
  return std::nullopt;
}

struct Transfer {
  FetchRequest request;
  Guard guard;
  std::size_t max_header;
  std::string url;
  Completion<Outcome> done;

  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error[CURL_ERROR_SIZE] = {};
  FetchResponse response;
  std::size_t header_bytes = 0;
  std::string refused_address;
  bool body_too_large = false, header_too_large = false, may_be_encoded = false, body_began = false;
  bool encoded = false, stopped = false;
  std::uint64_t sent = 0, received = 0;
  bool to_sink = false;
  std::optional<std::stop_callback<std::function<void()>>> on_stop;

  ~Transfer() {
    if (easy) curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

// Called with each address right before connecting to it: no name lookup happens between this check and the
// connection, so a name that changes its mind (DNS rebinding) gains nothing.
curl_socket_t open_socket(void* context, curlsocktype purpose, curl_sockaddr* address) {
  auto* t = static_cast<Transfer*>(context);
  const auto ip = address_of(*address);
  const bool allowed =
      purpose == CURLSOCKTYPE_IPCXN && ip && (t->guard == Guard::local_network || ip->is_public());
  if (!allowed) {
    t->refused_address = ip ? ip->str() : "unknown family";
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t take_header(char* data, std::size_t size, std::size_t n, void* context) {
  auto* t = static_cast<Transfer*>(context);
  std::string_view line(data, size * n);
  t->header_bytes += line.size();
  if (t->header_bytes > t->max_header) {
    t->header_too_large = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) {  // a final response after an interim one starts over
    t->response.headers.clear();
    return line.size();
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || t->body_began)
    return line.size();  // the end of the header; trailers
  std::string name(line.substr(0, colon));
  for (auto& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  auto value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && static_cast<unsigned char>(value.back()) <= 0x20) value.remove_suffix(1);
  t->response.headers.emplace_back(std::move(name), std::string(value));
  return line.size();
}

bool is_encoded(const Transfer& t) {
  const auto encoding = t.response.header("content-encoding");
  return !t.may_be_encoded && !encoding.empty() && !equal_no_case(encoding, "identity");
}

std::size_t take_body(char* data, std::size_t size, std::size_t n, void* context) {
  auto* t = static_cast<Transfer*>(context);
  if (!t->body_began) {
    t->body_began = true;
    if ((t->encoded = is_encoded(*t))) return 0;
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    t->to_sink = t->request.sink && status >= 200 && status <= 299;
  }
  auto limit = t->request.max_body;
  if (t->request.sink && !t->to_sink) limit = std::min(limit, k_max_error_body);
  if (size * n > limit - t->received) {
    t->body_too_large = true;
    return 0;
  }
  t->received += size * n;
  if (!t->to_sink) {
    t->response.body.append(data, size * n);
  } else if (!t->request.sink->write(as_bytes(std::string_view(data, size * n)))) {
    t->stopped = true;
    return 0;
  }
  return size * n;
}

std::size_t give_body(char* data, std::size_t size, std::size_t n, void* context) {
  auto* t = static_cast<Transfer*>(context);
  const auto left = t->request.source->size() - t->sent;
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(size * n, left));
  if (room == 0) return 0;
  const auto got = t->request.source->read({reinterpret_cast<std::uint8_t*>(data), room});
  if (!got || *got == 0 || *got > room) {  // the length was announced
    t->stopped = true;
    return CURL_READFUNC_ABORT;
  }
  t->sent += *got;
  return *got;
}

// When a kept connection turns out to be dead, libcurl sends again on another one.
int seek_body(void* context, curl_off_t offset, int origin) {
  auto* t = static_cast<Transfer*>(context);
  if (offset != 0 || origin != SEEK_SET || !t->request.source->rewind()) return CURL_SEEKFUNC_FAIL;
  t->sent = 0;
  return CURL_SEEKFUNC_OK;
}

FetchError error_of(const Transfer& t, CURLcode code) {
  const auto detail = fmt::format("{}: {}", curl_easy_strerror(code), t.error);
  if (t.body_too_large || code == CURLE_FILESIZE_EXCEEDED) return {Kind::too_large, "body over the limit"};
  if (t.header_too_large) return {Kind::too_large, "header over the limit"};
  if (t.encoded) return {Kind::bad_answer, "content encoding that was not asked for"};
  if (t.stopped) return {Kind::stopped, "source or sink said no"};
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      if (!t.refused_address.empty())
        return {Kind::refused_by_guard, fmt::format("{} is not a public address", t.refused_address)};
      return {Kind::unreachable, detail};
    case CURLE_OPERATION_TIMEDOUT:
      return {Kind::timeout, detail};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return {Kind::refused_by_guard, detail};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return {Kind::unreachable, detail};
    default:
      return {Kind::bad_answer, detail};
  }
}

// curl_global_init is not thread-safe on every build; a function-local static is.
void init_curl() {
  static const auto result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK) throw std::runtime_error("libcurl does not start");
}

}  // namespace

struct GuardedClient::Impl {
  explicit Impl(ClientOptions o) : options(std::move(o)) {
    init_curl();
    multi = curl_multi_init();
    if (!multi) throw std::bad_alloc();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 64L);
    for (const auto& entry : options.resolve) resolve = curl_slist_append(resolve, entry.c_str());
    thread = std::thread([this] { run(); });
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    curl_multi_wakeup(multi);
    thread.join();
    curl_multi_cleanup(multi);
    curl_slist_free_all(resolve);
  }

  /// The reason why this request is not even tried.
  std::optional<FetchError> refuse(const FetchRequest& r, std::string* out) const {
    const auto no = [](std::string why) { return FetchError{Kind::refused_by_guard, std::move(why)}; };
    auto url = Url::parse(r.url);
    if (!url) return no("not a URL");
    if (options.guard == Guard::strict ? url->scheme != "https"
                                       : url->scheme != "https" && url->scheme != "http")
      return no(fmt::format("scheme {}", url->scheme));
    if (!url->userinfo.empty()) return no("userinfo");
    if (options.guard == Guard::strict && (url->host_is_ip() || ends_in_a_number(url->host)))
      return no("host is an address");
    if (!is_token(r.method)) return no("method");
    for (const auto& [name, value] : r.headers)
      if (!is_token(name) || !is_field_value(value)) return no("header with characters that do not belong");
    url->fragment.reset();
    *out = url->str();
    return std::nullopt;
  }

  void prepare(Transfer& t) {
    t.easy = curl_easy_init();
    if (!t.easy) throw std::bad_alloc();
    const auto set = [&](auto option, auto value) {
      const auto result = curl_easy_setopt(t.easy, option, value);
      if (result != CURLE_OK) throw std::runtime_error(curl_easy_strerror(result));
    };
    const bool strict = t.guard == Guard::strict;
    set(CURLOPT_URL, t.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, strict ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, "");  // not even the environment's
    set(CURLOPT_NOPROXY, "*");
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());  // CAPATH keeps the system's
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(t.request.timeout.count()));
    set(CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::min(options.connect_timeout, t.request.timeout).count()));
    if (t.request.max_silence.count() > 0) {
      set(CURLOPT_LOW_SPEED_LIMIT, 1L);
      set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(t.request.max_silence.count()));
    }
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(t.request.max_body));
    set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&t));
    set(CURLOPT_HEADERFUNCTION, &take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&t));
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&t));
    set(CURLOPT_ERRORBUFFER, static_cast<char*>(t.error));
    set(CURLOPT_PRIVATE, static_cast<void*>(&t));
    set(CURLOPT_USERAGENT, options.user_agent.c_str());
    if (resolve) set(CURLOPT_RESOLVE, resolve);

    const auto& r = t.request;
    if (r.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else if (r.source) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.source->size()));
      set(CURLOPT_READFUNCTION, &give_body);
      set(CURLOPT_READDATA, static_cast<void*>(&t));
      set(CURLOPT_SEEKFUNCTION, &seek_body);
      set(CURLOPT_SEEKDATA, static_cast<void*>(&t));
      set(CURLOPT_CUSTOMREQUEST, r.method.c_str());
    } else if (r.method != "GET" || !r.body.empty()) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
      set(CURLOPT_POSTFIELDS, r.body.c_str());
      set(CURLOPT_CUSTOMREQUEST, r.method.c_str());
    }
    bool has_type = false;
    const auto add = [&](const std::string& line) { t.headers = curl_slist_append(t.headers, line.c_str()); };
    for (const auto& [name, value] : r.headers) {
      // Host and framing follow from URL and body; two opinions are how requests get smuggled.
      if (equal_no_case(name, "host") || equal_no_case(name, "content-length") ||
          equal_no_case(name, "transfer-encoding") || equal_no_case(name, "connection"))
        continue;
      has_type = has_type || equal_no_case(name, "content-type");
      t.may_be_encoded = t.may_be_encoded || equal_no_case(name, "accept-encoding");
      add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
    }
    if (!has_type) add("Content-Type:");  // otherwise libcurl calls every body a form
    add("Expect:");
    set(CURLOPT_HTTPHEADER, t.headers);
  }

  void finish(CURL* easy, CURLcode code) {
    const auto it = running.find(easy);
    if (it == running.end()) return;
    auto t = std::move(it->second);
    running.erase(it);
    curl_multi_remove_handle(multi, easy);
    Outcome outcome = fail(error_of(*t, code));
    if (code == CURLE_OK) {
      long status = 0;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      t->response.status = static_cast<int>(status);
      if (is_encoded(*t))
        outcome = fail(FetchError{Kind::bad_answer, "content encoding that was not asked for"});
      else
        outcome = std::move(t->response);
    }
    leave(std::move(*t), std::move(outcome));
  }

  void leave(Transfer&& t, Outcome outcome) {
    {
      std::lock_guard lock(mutex);
      --count;
    }
    t.done.deliver(std::move(outcome));
  }

  void run() {
    leave_signals_to_main();
    for (;;) {
      std::deque<std::unique_ptr<Transfer>> fresh;
      bool stop;
      {
        std::lock_guard lock(mutex);
        fresh.swap(waiting);
        stop = stopping;
      }
      if (stop) {
        for (auto& t : fresh) leave(std::move(*t), fail(FetchError{Kind::unreachable, "shutting down"}));
        for (auto& [easy, t] : running) {
          curl_multi_remove_handle(multi, easy);
          leave(std::move(*t), fail(FetchError{Kind::unreachable, "shutting down"}));
        }
        running.clear();
        return;
      }
      for (auto& t : fresh) {
        try {
          prepare(*t);
          if (curl_multi_add_handle(multi, t->easy) != CURLM_OK)
            throw std::runtime_error("curl_multi_add_handle");
          auto* easy = t->easy;
          running.emplace(easy, std::move(t));
        } catch (const std::exception& e) {
          leave(std::move(*t), fail(FetchError{Kind::unreachable, e.what()}));
        }
      }
      for (auto it = running.begin(); it != running.end();) {
        if (!it->second->request.stop.stop_requested()) {
          ++it;
          continue;
        }
        auto t = std::move(it->second);
        curl_multi_remove_handle(multi, it->first);
        it = running.erase(it);
        leave(std::move(*t), fail(FetchError{Kind::stopped, "stop requested"}));
      }
      int still = 0;
      curl_multi_perform(multi, &still);
      int left = 0;
      while (const auto* m = curl_multi_info_read(multi, &left))
        if (m->msg == CURLMSG_DONE) finish(m->easy_handle, m->data.result);
      curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
    }
  }

  ClientOptions options;
  CURLM* multi = nullptr;
  curl_slist* resolve = nullptr;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> running;  // of the thread

  std::mutex mutex;
  std::deque<std::unique_ptr<Transfer>> waiting;
  std::size_t count = 0;
  bool stopping = false;
  std::thread thread;
};

GuardedClient::GuardedClient(ClientOptions options) {
  if (options.guard == Guard::local_network)
    log::warn("outbound requests may use plain http and reach private addresses (local network mode)");
  impl_ = std::make_shared<Impl>(std::move(options));
}

GuardedClient::~GuardedClient() = default;

Task<Result<FetchResponse, FetchError>> GuardedClient::fetch(FetchRequest request) {
  auto t = std::make_unique<Transfer>();
  if (auto refused = impl_->refuse(request, &t->url)) co_return fail(std::move(*refused));
  if (request.source && !request.source->rewind())
    co_return fail(FetchError{Kind::stopped, "the source does not rewind"});
  t->request = std::move(request);
  if (t->request.stop.stop_possible())
    t->on_stop.emplace(t->request.stop, [multi = impl_->multi] { curl_multi_wakeup(multi); });
  t->guard = impl_->options.guard;
  t->max_header = impl_->options.max_response_header;
  const auto done = t->done;
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->count >= impl_->options.max_parallel)
      co_return fail(FetchError{Kind::unreachable, "too many requests under way"});
    ++impl_->count;
    impl_->waiting.push_back(std::move(t));
  }
  curl_multi_wakeup(impl_->multi);
  co_return co_await done;
}

}  // namespace latchkey::web
