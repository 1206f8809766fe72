#pragma once
// Requests and responses as handlers see them. Nothing here knows about sockets.
//
//   Task<Response> Health::get(Request request) {
//     co_return Response::json(json::Object{{"version", version_}});
//   }

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/url.h"

namespace latchkey::web {

/// Fields in order of arrival; names compare without case (RFC 9110 §5.1).
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;
  Headers() = default;
  Headers(std::initializer_list<Field> fields);

  /// The first value; "" when absent. The view lives as long as the field.
  std::string_view get(std::string_view name) const;
  const std::string* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::size_t count(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;

  // Both throw std::invalid_argument for a name that is no token, or a value with control characters (CR and
  // LF would let a value start a new field): such a value is a bug of the caller.
  Headers& set(std::string name, std::string value);  // replaces every field of that name
  Headers& add(std::string name, std::string value);
  void erase(std::string_view name);
  /// Adds to `vary` what is not yet there.
  void vary(std::string_view name);

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  std::size_t size() const { return fields_.size(); }
  void reserve(std::size_t n) { fields_.reserve(n); }

 private:
  friend class HeadersAccess;
  std::vector<Field> fields_;
};

bool equal_no_case(std::string_view a, std::string_view b);

enum class FormError { wrong_content_type, malformed };
enum class BodyError {
  too_large,
  malformed,
  incomplete,  // the client left, or was too slow
};

struct Request {
  /// Gives the next piece of the body each time it is called; std::nullopt ends it. To be called only while
  /// the handler runs. See Response::Stream for what kind of function it is.
  using Stream = std::function<Task<Result<std::optional<Bytes>, BodyError>>()>;

  std::string method = "GET";  // as sent, case-sensitive
  std::string target = "/";    // as sent
  std::string path = "/";      // as sent, still percent-encoded; begins with '/'
  std::string query;           // raw, without '?'
  Headers headers;
  std::string body;
  Stream body_stream;  // of a route that takes its body as it comes (Router::add_streamed); see BodyReader
  std::string remote_ip = "127.0.0.1";  // the client's address; a trusted proxy's word is already applied
  std::string host;                     // lower-case; with port when one was given
  std::string scheme = "http";          // "http" or "https" (a trusted proxy's word is already applied)
  std::string id;                       // request id; in the response as x-request-id and in logs
  std::map<std::string, std::string, std::less<>> params;  // router captures, percent-decoded

  /// A request as a test writes it: `make("GET", "https://pds.test/xrpc/x?y=1")` or a bare target.
  static Request make(std::string method, std::string_view url_or_target, std::string body = {},
                      Headers headers = {});

  std::string origin() const { return scheme + "://" + host; }
  std::string hostname() const;  // host without its port
  /// Query parameters; std::nullopt when malformed (parse_form of base/url.h).
  std::optional<FormFields> query_fields() const;
  /// The only value of a query parameter; std::nullopt when absent, repeated or malformed.
  std::optional<std::string> query_value(std::string_view name) const;
  /// The body as application/x-www-form-urlencoded, whose content type it must have.
  Result<FormFields, FormError> form(std::size_t max_fields = 100) const;
  /// A cookie's value. std::nullopt when absent or when sent more than once with different values.
  std::optional<std::string> cookie(std::string_view name) const;
  /// A router capture; "" when there is none of that name.
  std::string param(std::string_view name) const;
  /// Media type of the body in lower case, without parameters.
  std::string content_type() const;
  /// For state-changing requests from pages: the browser says the request comes from `own_origin`
  /// (Sec-Fetch-Site, else Origin). False when it says nothing. Use beside a CSRF token.
  bool from_same_origin(std::string_view own_origin) const;
  /// False when a browser says that nobody went here: a frame, a script, an image or a prefetch asks. True
  /// for browsers and programs that say nothing.
  bool may_be_navigation() const;
};

class WebSocket;  // web/websocket.h

struct Response {
  /// Gives the next piece of the body each time it is called; std::nullopt ends it. The next call comes only
  /// after the last piece is on its way to the socket (back-pressure). A plain function returning a Task
  /// whose coroutine takes what it needs by value (usually a shared_ptr): never a capturing coroutine lambda.
  /// An exception cuts the connection, so the client sees a broken body and not a short one.
  using Stream = std::function<Task<std::optional<Bytes>>()>;
  /// Runs the WebSocket until it returns; the connection is closed then.
  using Upgrade = std::function<Task<void>(std::shared_ptr<WebSocket>)>;

  int status = 200;
  Headers headers;
  std::string body;
  Stream stream;                               // when set, `body` is not used
  std::optional<std::uint64_t> stream_length;  // known length: sent as content-length, else chunked
  Upgrade upgrade;  // set by Response::websocket; other clients get 426 (RFC 9110 §15.5.22)
  /// Shared bytes (a static file, a cached document) sent without copying; used when body is empty.
  std::shared_ptr<const Bytes> shared_body;
  /// What the access log says instead of a path that may hold a secret: "/api/auth/reset-password/:token".
  std::string log_path;

  static Response json(const json::Value& value, int status = 200);
  static Response json_text(std::string text, int status = 200);  // already serialised
  static Response text(std::string body, int status = 200);
  static Response html(std::string body, int status = 200);
  static Response bytes(Bytes body, std::string content_type, int status = 200);
  static Response redirect(int status, std::string location);  // 303 after a POST
  static Response empty(int status = 200);
  /// {"error": name, "message": text}, the error shape of XRPC and of our own answers.
  static Response error(int status, std::string_view name, std::string_view message);
  static Response streamed(std::string content_type, Stream stream,
                           std::optional<std::uint64_t> length = std::nullopt);
  static Response websocket(Upgrade run);

  Response& header(std::string name, std::string value) {  // sets
    headers.set(std::move(name), std::move(value));
    return *this;
  }
};

using Handler = std::function<Task<Response>(Request)>;

/// Takes the body out of a request, piece by piece, whether it has arrived already or is still on its way.
class BodyReader {
 public:
  explicit BodyReader(Request& request)
      : stream_(std::exchange(request.body_stream, nullptr)), body_(std::exchange(request.body, {})) {}
  /// std::nullopt at the end.
  Task<Result<std::optional<Bytes>, BodyError>> next();

 private:
  Request::Stream stream_;
  std::string body_;
};

/// A response that needs nothing awaited, as a Task.
Task<Response> ready(Response response);

std::string_view reason_phrase(int status);

// --- What every HTML page carries (docs/threat-model.md: clickjacking, injection) ---

struct PageOptions {
  int status = 200;
  /// Origins (or "scheme:" for private-use schemes) besides 'self' a form of this page may end at. Browsers
  /// apply form-action to the redirect after the POST as well, so an OAuth consent page names its client
  /// here.
  std::vector<std::string> form_action;
  std::vector<std::string> img_src;  // besides 'self' and data:
  bool https = true;                 // adds Strict-Transport-Security
  std::string style_nonce;           // allows one <style nonce="…">
  std::string cache = "no-store";
};

/// CSP without unsafe-inline, frame-ancestors 'none', X-Frame-Options, nosniff, Referrer-Policy: same-origin
/// (not no-referrer: that would turn the Origin of our own form posts into "null"), COOP, no-store.
/// Throws std::invalid_argument when a source would break out of its directive.
void add_page_headers(Response& response, const PageOptions& options);
/// What every other answer carries, as far as it does not say otherwise itself: it is no document (CSP
/// default-src 'none'), is not framed, sniffed or cached, and unless it is open to all origins (CORS) not
/// read by others.
void add_data_headers(Response& response, bool https);
Response html_page(std::string body, const PageOptions& options);

}  // namespace latchkey::web
