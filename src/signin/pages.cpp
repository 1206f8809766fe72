#include "signin/pages.h"

#include <fmt/format.h>

#include "base/log.h"
#include "crypto/hash.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_max_name = 80;  // characters

// Unicode's controls, and what turns or hides text: a name must not look like something else, and in a mail
// it must not begin a line.
bool is_odd(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
         c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

std::string initial_of(std::string_view name) {
  const char c = name.empty() ? '?' : name[0];
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? std::string(1, c & ~0x20) : "A";
}

json::Object view_of(const Reader& reader, const oauth::ClientId& id, std::string name) {
  if (name.empty())
    name = id.kind() == oauth::ClientId::Kind::loopback ? reader.text("app.loopback") : id.host();
  return {{"app_name", name}, {"app_host", id.host()}, {"app_initial", initial_of(name)}};
}

// The operator's colours, unless an app has its own, its mark and its links.
void add_operator(json::Object& view, const OperatorBranding& branding) {
  if (!view.find("brand_css")) view.set("brand_css", Branding::colors_url(branding.colors, nullptr));
  view.set("operator_name", branding.name).set("operator_logo", branding.logo_url);
  view.set("favicon", branding.favicon_url);
  add_operator_links(view, branding);
}

}  // namespace

std::string plain_name(std::string_view utf8) {
  std::string out;
  std::size_t characters = 0;
  bool space = false;
  for (std::size_t at = 0; at < utf8.size() && characters < k_max_name;) {
    const auto lead = static_cast<unsigned char>(utf8[at]);
    const std::size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = n == 1 ? lead : lead & (0xff >> (n + 1));
    for (std::size_t i = 1; i < n && at + i < utf8.size(); ++i)
      c = c << 6 | (static_cast<unsigned char>(utf8[at + i]) & 0x3f);
    if (c == ' ' || c == 0xa0 || is_odd(c)) {
      space = true;
    } else {
      if (space && !out.empty()) out += ' ', ++characters;
      space = false;
      if (characters < k_max_name) out += utf8.substr(at, n);
      ++characters;
    }
    at += n;
  }
  return out;
}

std::string address_words(const Reader& reader, const mail::AddressError& error) {
  switch (error.problem) {
    case mail::AddressProblem::missing:
      return reader.text("email.missing");
    case mail::AddressProblem::too_long:
      return reader.text("email.too_long");
    case mail::AddressProblem::incomplete:
      return reader.text("email.incomplete");
    case mail::AddressProblem::invalid:
      return reader.text("email.invalid");
  }
  std::abort();
}

Pages::Pages(Options options, const web::Templates& templates, const web::Messages& messages,
             Branding& branding)
    : options_(std::move(options)),
      https_(options_.origin.starts_with("https://")),
      host_(Url::parse(options_.origin).value().host),
      branding_(branding),
      templates_(templates),
      readers_(messages, https_) {
  for (const auto& picture : {options_.branding.logo_url, options_.branding.favicon_url})
    if (const auto url = Url::parse(picture)) img_src_.push_back(url->origin());
}

void Pages::add(web::Router& router, const char* method, const char* path, web::Handler handler) const {
  router.add(method, path,
             [this, handler = std::move(handler)](web::Request r) { return guarded(handler, std::move(r)); });
}

void Pages::refuse_others(web::Router& router, const char* path, const char* allow) const {
  router.add("*", path, [this, allow](web::Request r) {
    auto response = error_page(405, "method", r);
    response.header("allow", allow);
    return web::ready(std::move(response));
  });
}

void Pages::get(web::Router& router, const char* path, web::Handler handler) const {
  add(router, "GET", path, std::move(handler));
  refuse_others(router, path, "GET, HEAD");
}

void Pages::post(web::Router& router, const char* path, web::Handler handler) const {
  add(router, "POST", path, std::move(handler));
  refuse_others(router, path, "POST");
}

void Pages::get_and_post(web::Router& router, const char* path, web::Handler get, web::Handler post) const {
  add(router, "GET", path, std::move(get));
  add(router, "POST", path, std::move(post));
  refuse_others(router, path, "GET, HEAD, POST");
}

// What is answered the same way whatever the page.
std::optional<web::Response> Pages::refusal(const web::Request& request) const {
  // RFC 9110 §15.5.20. Pages live at one name: at a handle's host, an address or a name somebody else points
  // here they would have other cookies and look like somebody else's.
  if (request.hostname() != host_) return error_page(421, "missing", request);
  if (request.method == "GET" || request.method == "HEAD") {
    if (!request.may_be_navigation()) return error_page(403, "framed", request);
    return std::nullopt;
  }
  // Browsers say where a form comes from; programs may say nothing, and for them its token is enough.
  const bool says_origin = request.headers.has("sec-fetch-site") || request.headers.has("origin");
  if (says_origin && !request.from_same_origin(options_.origin)) return forged(request);
  return std::nullopt;
}

Task<web::Response> Pages::guarded(web::Handler handler, web::Request request) const {
  if (auto refused = refusal(request)) co_return std::move(*refused);
  // Opening binds the request to a browser and prompt=none ends it. A link preview that only looks must do
  // neither.
  if (request.method == "HEAD") co_return web::html_page({}, {.https = https_});
  web::Response response;
  int failed = 0;
  try {
    response = co_await handler(request);
  } catch (const Overloaded&) {
    failed = 503;
  } catch (const std::exception& e) {
    failed = 500;
    log::error("sign-in failed", {{"request_id", request.id}, {"path", request.path}, {"detail", e.what()}});
  }
  if (failed) co_return error_page(failed, "internal", request);
  readers_.remember_choice(response, request);
  if (!response.headers.has("content-security-policy")) {
    const std::string referrer(response.headers.get("referrer-policy"));
    web::add_page_headers(response, {.https = https_});
    if (!referrer.empty()) response.header("referrer-policy", referrer);
  }
  co_return response;
}

web::Response Pages::not_found(const web::Request& request) const {
  return error_page(404, "missing", request);
}

web::Response Pages::page(const Reader& reader, const std::string& name, json::Object view, int status,
                          std::vector<std::string> form_action) const {
  view.set("service_host", options_.service_host);
  add_operator(view, options_.branding);
  readers_.offer_languages(view, reader);
  auto response = web::html_page(
      templates_.render(name, view, reader.lang()),
      {.status = status, .form_action = std::move(form_action), .img_src = img_src_, .https = https_});
  response.header("content-language", reader.lang());
  return response;
}

web::Response Pages::error_page(int status, std::string_view what, const web::Request& request) const {
  const auto reader = this->reader(request);
  const auto heading = reader.text(fmt::format("error.{}", what));
  return page(reader, "error",
              {{"title", heading},
               {"heading", heading},
               {"message", reader.text(fmt::format("error.{}.message", what))},
               {"request_id", request.id}},
              status);
}

web::Response Pages::fault_page(const oauth::Fault& fault, const web::Request& request) const {
  const auto reader = this->reader(request);
  const int status = oauth::wire(fault.code).status;
  const std::string what = status >= 500 ? "error.internal" : "error.fault";
  const auto heading = reader.text(what);
  json::Object view{{"title", heading}, {"heading", heading}, {"request_id", request.id}};
  if (reader.lang() == "en")
    view.set("message", fault.description);
  else
    view.set("message", reader.text(what + ".message")).set("detail", fault.description);
  return page(reader, "error", std::move(view), status);
}

FormFields Pages::form_of(const web::Request& request, std::size_t max_fields) {
  auto form = request.form(max_fields);
  return form ? *std::move(form) : FormFields();
}

bool Pages::has_token(const FormFields& form, std::string_view csrf_token) {
  const auto token = single(form, "csrf");
  return token && crypto::equal(*token, csrf_token);
}

web::Response Pages::forged(const web::Request& request) const { return error_page(403, "forged", request); }

void Pages::add_branding(json::Object& view, const oauth::Client& client) const {
  view.set("brand_css", Branding::colors_url(options_.branding.colors, &client));
  view.set("app_logo", branding_.logo_url(client));
}

json::Object Pages::app_view(const Reader& reader, const oauth::Client& client) {
  return view_of(reader, client.id, plain_name(client.client_name));
}

json::Object Pages::app_view(const Reader& reader, std::string_view client_id) {
  const auto id = oauth::ClientId::parse(client_id, oauth::LocalHosts::allow);
  if (id) return view_of(reader, *id, {});
  const std::string name = plain_name(client_id);
  return {{"app_name", name}, {"app_host", name}, {"app_initial", initial_of(name)}};
}

}  // namespace latchkey::signin
