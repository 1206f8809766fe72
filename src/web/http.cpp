#include "web/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "web/cookie.h"

namespace latchkey::web {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool is_token(std::string_view s) {  // RFC 9110 §5.6.2
  constexpr std::string_view extra = "!#$%&'*+-.^_`|~";
  return !s.empty() && std::ranges::all_of(s, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           extra.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view s) {  // RFC 9110 §5.5
  return std::ranges::none_of(s, [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 0x20 && c != '\t') || u == 0x7f;
  });
}

void check_field(std::string_view name, std::string_view value) {
  if (!is_token(name)) throw std::invalid_argument("not a header name");
  if (!is_field_value(value))
    throw std::invalid_argument(fmt::format("control character in header {}", name));
}

Task<Response> ready_coroutine(Response response) { co_return response; }

// A source of a CSP directive: nothing that ends the source or the directive.
void append_source(std::string& out, std::string_view source) {
  const bool plain = !source.empty() && std::ranges::all_of(source, [](char c) {
    return c > 0x20 && c < 0x7f && c != ';' && c != ',' && c != '\'' && c != '"';
  });
  if (!plain) throw std::invalid_argument("not a CSP source");
  out += ' ';
  out += source;
}

}  // namespace

bool equal_no_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

Headers::Headers(std::initializer_list<Field> fields) {
  for (const auto& [n, v] : fields) add(n, v);
}

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [n, v] : fields_)
    if (equal_no_case(n, name)) return &v;
  return nullptr;
}

std::string_view Headers::get(std::string_view name) const {
  const auto* v = find(name);
  return v ? std::string_view(*v) : std::string_view();
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields_, [&](const Field& f) { return equal_no_case(f.first, name); }));
}

std::vector<std::string> Headers::all(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [n, v] : fields_)
    if (equal_no_case(n, name)) out.push_back(v);
  return out;
}

Headers& Headers::set(std::string name, std::string value) {
  check_field(name, value);
  for (auto it = fields_.begin(); it != fields_.end(); ++it) {
    if (!equal_no_case(it->first, name)) continue;
    it->second = std::move(value);
    fields_.erase(
        std::remove_if(it + 1, fields_.end(), [&](const Field& f) { return equal_no_case(f.first, name); }),
        fields_.end());
    return *this;
  }
  fields_.emplace_back(std::move(name), std::move(value));
  return *this;
}

Headers& Headers::add(std::string name, std::string value) {
  check_field(name, value);
  fields_.emplace_back(std::move(name), std::move(value));
  return *this;
}

void Headers::erase(std::string_view name) {
  std::erase_if(fields_, [&](const Field& f) { return equal_no_case(f.first, name); });
}

void Headers::vary(std::string_view name) {
  const std::string before(get("vary"));
  std::string_view rest = before;
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    auto item = rest.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item == "*" || equal_no_case(item, name)) return;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  set("vary", before.empty() ? std::string(name) : fmt::format("{}, {}", before, name));
}

Request Request::make(std::string method, std::string_view url_or_target, std::string body, Headers headers) {
  Request r;
  r.method = std::move(method);
  std::string target(url_or_target);
  if (auto url = Url::parse(url_or_target)) {
    r.scheme = url->scheme;
    r.host = url->authority();
    target = (url->path.empty() ? "/" : url->path) + (url->query ? "?" + *url->query : "");
  }
  const auto q = target.find('?');
  r.path = target.substr(0, q);
  if (q != std::string::npos) r.query = target.substr(q + 1);
  r.target = std::move(target);
  r.body = std::move(body);
  r.headers = std::move(headers);
  if (!r.host.empty() && !r.headers.has("host")) r.headers.set("host", r.host);
  return r;
}

std::string Request::hostname() const {
  const auto colon = host.rfind(':');
  if (colon == std::string::npos || host.find(']', colon) != std::string::npos) return host;
  return host.substr(0, colon);
}

std::optional<FormFields> Request::query_fields() const { return parse_form(query); }

std::optional<std::string> Request::query_value(std::string_view name) const {
  const auto fields = query_fields();
  if (!fields) return std::nullopt;
  return single(*fields, name);
}

std::string Request::content_type() const {
  auto v = headers.get("content-type");
  v = v.substr(0, v.find(';'));
  while (!v.empty() && (v.back() == ' ' || v.back() == '\t')) v.remove_suffix(1);
  std::string out(v);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

Task<Result<std::optional<Bytes>, BodyError>> BodyReader::next() {
  if (stream_) co_return co_await stream_();
  if (body_.empty()) co_return std::optional<Bytes>();
  co_return std::optional<Bytes>(to_bytes(std::exchange(body_, {})));
}

Result<FormFields, FormError> Request::form(std::size_t max_fields) const {
  if (headers.count("content-type") != 1 || content_type() != "application/x-www-form-urlencoded")
    return fail(FormError::wrong_content_type);
  auto fields = parse_form(body, max_fields);
  if (!fields) return fail(FormError::malformed);
  return std::move(*fields);
}

std::optional<std::string> Request::cookie(std::string_view name) const {
  std::optional<std::string> found;
  for (const auto& [n, v] : headers) {
    if (!equal_no_case(n, "cookie")) continue;
    for (auto& [cookie_name, value] : parse_cookies(v)) {
      if (cookie_name != name) continue;
      // Two values mean that somebody planted one (another path, a sibling host): trust neither.
      if (found && *found != value) return std::nullopt;
      found = std::move(value);
    }
  }
  return found;
}

std::string Request::param(std::string_view name) const {
  const auto it = params.find(name);
  return it == params.end() ? std::string() : it->second;
}

// Fetch Metadata (W3C) §2.3 sends Sec-Fetch-Site with every request to a trustworthy origin, and page scripts
// cannot set it. Older browsers, and plain http, leave Origin, which browsers send with every POST.
bool Request::from_same_origin(std::string_view own_origin) const {
  if (headers.count("sec-fetch-site") > 1 || headers.count("origin") > 1) return false;
  if (const auto* site = headers.find("sec-fetch-site"); site && *site != "same-origin") return false;
  if (const auto* o = headers.find("origin")) return *o == own_origin;
  return headers.has("sec-fetch-site");
}

// Browsers with Fetch Metadata (W3C) send Dest, Mode and Site together. Mode alone comes from programs: the
// fetch() of Node says "cors" of every request.
bool Request::may_be_navigation() const {
  for (const auto* name : {"sec-fetch-dest", "sec-fetch-mode", "sec-purpose"})
    if (headers.count(name) > 1) return false;
  if (headers.get("sec-purpose").find("prefetch") != std::string_view::npos) return false;
  const auto* dest = headers.find("sec-fetch-dest");
  if (dest && *dest != "document") return false;
  const auto* mode = headers.find("sec-fetch-mode");
  return !mode || *mode == "navigate" || !(dest || headers.has("sec-fetch-site"));
}

Response Response::json(const json::Value& value, int status) {
  Response r;
  r.status = status;
  value.dump_to(r.body);
  r.headers.add("content-type", "application/json; charset=utf-8");
  return r;
}

Response Response::json_text(std::string text, int status) {
  Response r;
  r.status = status;
  r.body = std::move(text);
  r.headers.add("content-type", "application/json; charset=utf-8");
  return r;
}

Response Response::text(std::string body, int status) {
  Response r;
  r.status = status;
  r.body = std::move(body);
  r.headers.add("content-type", "text/plain; charset=utf-8");
  return r;
}

Response Response::html(std::string body, int status) {
  Response r;
  r.status = status;
  r.body = std::move(body);
  r.headers.add("content-type", "text/html; charset=utf-8");
  return r;
}

Response Response::bytes(Bytes body, std::string content_type, int status) {
  Response r;
  r.status = status;
  r.shared_body = std::make_shared<const Bytes>(std::move(body));
  r.headers.add("content-type", std::move(content_type));
  return r;
}

Response Response::redirect(int status, std::string location) {
  Response r;
  r.status = status;
  r.headers.add("location", std::move(location));
  r.headers.add("cache-control", "no-store");
  return r;
}

Response Response::empty(int status) {
  Response r;
  r.status = status;
  return r;
}

Response Response::error(int status, std::string_view name, std::string_view message) {
  return json(json::Object{{"error", name}, {"message", message}}, status);
}

Response Response::streamed(std::string content_type, Stream stream, std::optional<std::uint64_t> length) {
  Response r;
  r.headers.add("content-type", std::move(content_type));
  r.stream = std::move(stream);
  r.stream_length = length;
  return r;
}

Response Response::websocket(Upgrade run) {
  Response r;
  r.status = 101;
  r.upgrade = std::move(run);
  return r;
}

Task<Response> ready(Response response) { return ready_coroutine(std::move(response)); }

std::string_view reason_phrase(int status) {
  switch (status) {  // RFC 9110 §15, RFC 6585
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

void add_page_headers(Response& response, const PageOptions& options) {
  std::string csp = "default-src 'none'; script-src 'self'; style-src 'self'";
  if (!options.style_nonce.empty()) {
    std::string nonce;
    append_source(nonce, options.style_nonce);
    csp += fmt::format(" 'nonce-{}'", std::string_view(nonce).substr(1));
  }
  csp += "; img-src 'self' data:";
  for (const auto& s : options.img_src) append_source(csp, s);
  csp += "; font-src 'self'; connect-src 'self'; form-action 'self'";
  for (const auto& s : options.form_action) append_source(csp, s);
  csp += "; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'";
  auto& h = response.headers;
  h.set("content-security-policy", std::move(csp));
  h.set("x-frame-options", "DENY");
  h.set("x-content-type-options", "nosniff");
  h.set("referrer-policy", "same-origin");
  h.set("cross-origin-opener-policy", "same-origin");
  h.set("cross-origin-resource-policy", "same-origin");
  h.set("permissions-policy", "camera=(), geolocation=(), microphone=()");
  if (options.https) h.set("strict-transport-security", "max-age=31536000");
  h.set("cache-control", options.cache);
}

void add_data_headers(Response& response, bool https) {
  auto& h = response.headers;
  const auto otherwise = [&h](const char* name, const char* value) {
    if (!h.has(name)) h.set(name, value);
  };
  const bool open = h.get("access-control-allow-origin") == "*";
  otherwise("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  otherwise("x-frame-options", "DENY");
  otherwise("x-content-type-options", "nosniff");
  otherwise("referrer-policy", "no-referrer");
  otherwise("cross-origin-resource-policy", open ? "cross-origin" : "same-origin");
  if (https) otherwise("strict-transport-security", "max-age=31536000");
  if (!open) otherwise("cache-control", "no-store");
}

Response html_page(std::string body, const PageOptions& options) {
  auto r = Response::html(std::move(body), options.status);
  add_page_headers(r, options);
  return r;
}

}  // namespace latchkey::web
