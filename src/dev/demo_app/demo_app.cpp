#include "dev/demo_app/demo_app.h"

#include <list>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include "atproto/syntax/at_uri.h"
#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "web/cookie.h"

namespace latchkey::dev {
namespace {

using oauth::client::Fault;
using oauth::client::Session;
using ClientError = oauth::client::Error;

constexpr const char* k_cookie = "latchkey_demo";
constexpr const char* k_collection = "com.example.latchkey.note";
constexpr std::size_t k_max_form = 16 * 1024;
constexpr std::size_t k_max_text = 3000;  // bytes; the field takes 300 characters

struct Record {
  std::string uri, cid, json;
};

/// What the app knows of a signed-in browser.
struct Visit {
  Session session;
  std::string handle;
  std::string notice, error;  // shown once
  std::optional<Record> record;
};

/// By the digest of the cookie: who reads this memory cannot make a cookie from it. Bounded.
class Visits {
 public:
  explicit Visits(std::size_t max) : max_(max) {}

  std::optional<Visit> find(const std::string& cookie) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key(cookie));
    if (found == index_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  void put(const std::string& cookie, Visit visit) {
    std::lock_guard lock(mutex_);
    drop(key(cookie));
    if (order_.size() >= max_) drop(std::string(order_.back().first));
    order_.emplace_front(key(cookie), std::move(visit));
    index_.emplace(order_.front().first, order_.begin());
  }
  template <class F>
  void change(const std::string& cookie, F&& f) {
    std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key(cookie)); found != index_.end()) f(found->second->second);
  }
  void erase(const std::string& cookie) {
    std::lock_guard lock(mutex_);
    drop(key(cookie));
  }

 private:
  static std::string key(const std::string& cookie) { return to_string(crypto::sha256(as_bytes(cookie))); }
  void drop(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    const auto entry = found->second;
    index_.erase(found);
    order_.erase(entry);
  }
  std::mutex mutex_;
  std::size_t max_;
  std::list<std::pair<std::string, Visit>> order_;  // longest idle last
  std::unordered_map<std::string, std::list<std::pair<std::string, Visit>>::iterator> index_;
};

/// Bound to the browser by its cookie, so nothing has to be kept for visitors who are not signed in.
std::string csrf_of(const std::string& cookie) {
  return base64url(crypto::hmac_sha256(as_bytes(cookie), as_bytes("csrf")));
}

bool is_cookie(const std::optional<std::string>& value) {
  const auto bytes = value ? from_base64url(*value) : std::nullopt;
  return bytes && bytes->size() == 32;
}

std::string string_at(const json::Value& v, std::string_view name) {
  const auto* s = v.string_at(name);
  return s ? *s : "";
}

/// JSON for reading, two spaces a level.
void indent(const json::Value& v, std::string& out, std::size_t depth = 0) {
  const std::string pad(2 * (depth + 1), ' ');
  if (const auto* o = v.object(); o && !o->empty()) {
    out += '{';
    bool first = true;
    for (const auto& m : *o) {
      out += first ? "\n" : ",\n";
      first = false;
      out += pad;
      json::append_string(out, m.key);
      out += ": ";
      indent(m.value, out, depth + 1);
    }
    out += "\n" + std::string(2 * depth, ' ') + "}";
  } else if (const auto* a = v.array(); a && !a->empty()) {
    out += '[';
    bool first = true;
    for (const auto& item : *a) {
      out += first ? "\n" : ",\n";
      first = false;
      out += pad;
      indent(item, out, depth + 1);
    }
    out += "\n" + std::string(2 * depth, ' ') + "]";
  } else {
    v.dump_to(out);
  }
}

}  // namespace

oauth::client::ClientMetadata demo_client_metadata(const std::string& origin) {
  auto metadata =
      oauth::client::ClientMetadata::loopback({origin + "/callback"}, "atproto transition:generic");
  if (!metadata) throw std::invalid_argument("demo app: " + metadata.error().message);
  return *std::move(metadata);
}

struct DemoApp::Impl {
  Impl(DemoAppOptions o, oauth::client::OauthClient& c, const web::Templates& t, Rng& r, const Clock& k)
      : options(std::move(o)), client(c), templates(t), rng(r), clock(k), visits(options.max_sessions) {
    const auto url = Url::parse(options.origin);
    if (!url || url->origin() != options.origin) throw std::invalid_argument("demo app: not an origin");
    host = url->authority();
  }

  DemoAppOptions options;
  oauth::client::OauthClient& client;
  const web::Templates& templates;
  Rng& rng;
  const Clock& clock;
  Visits visits;
  std::string host;  // of the origin, with port

  // --- pages ---

  web::Response page(std::string_view name, json::Object view, int status = 200) {
    view.set("lang", "en");
    view.set("static", "/static");
    view.set("mailbox_url", options.mailbox_url);
    return web::html_page(templates.render(name, std::move(view)),
                          {.status = status,
                           // Browsers apply form-action to the redirect that answers a form, and a handle can
                           // belong to any server.
                           .form_action = {"https:", "http:"},
                           .https = false});
  }

  web::Response home(const std::string& cookie, int status = 200, std::string error = {},
                     std::string email = {}, std::string handle = {}) {
    json::Object view{
        {"title", "Latchkey demo"},   {"csrf", csrf_of(cookie)},    {"email_action", "/login"},
        {"signin_action", "/login"},  {"handle_action", "/login"},  {"handle_example", "alice.bsky.social"},
        {"pds_url", options.pds_url}, {"plc_url", options.plc_url}, {"error", std::move(error)},
        {"email", std::move(email)},  {"handle", std::move(handle)}};
    return page("demo_home", std::move(view), status);
  }

  web::Response account(const std::string& cookie, Visit visit) {
    json::Array scopes;
    const std::string granted = visit.session.scope();
    for (std::size_t at = 0; at < granted.size();) {
      const auto end = std::min(granted.find(' ', at), granted.size());
      scopes.push_back(json::Object{{"scope_name", granted.substr(at, end - at)}});
      at = end + 1;
    }
    const auto expires = visit.session.expires_at();
    json::Object view{{"title", "Signed in"},
                      {"csrf", csrf_of(cookie)},
                      {"handle", visit.handle},
                      {"did", visit.session.did().str()},
                      {"pds", visit.session.pds()},
                      {"scopes", std::move(scopes)},
                      {"expires_at", expires ? rfc3339(*expires).substr(11, 8) + " UTC" : "never"},
                      {"expires_at_iso", expires ? rfc3339(*expires) : ""},
                      {"write_action", "/record"},
                      {"refresh_action", "/refresh"},
                      {"signout_action", "/logout"},
                      {"notice", visit.notice},
                      {"error", visit.error},
                      {"record", visit.record.has_value()}};
    if (visit.record) {
      view.set("record_uri", visit.record->uri);
      view.set("record_cid", visit.record->cid);
      view.set("record_json", visit.record->json);
    }
    return page("demo_account", std::move(view));
  }

  web::Response problem(int status, std::string heading, std::string message) {
    return page("error",
                {{"title", heading},
                 {"heading", heading},
                 {"message", std::move(message)},
                 {"back_url", "/"},
                 {"back_label", "Back to the start"}},
                status);
  }

  web::Response refused() {
    return problem(403, "That did not work", "This form has expired or came from somewhere else. Try again.");
  }

  void give_cookie(web::Response& response, std::string value) {
    web::set_cookie(response, {.name = k_cookie, .value = std::move(value), .secure = false});
  }

  // --- the ways in ---

  /// Browsers that came by another name ("localhost") go to the one the cookies and the redirect URI belong
  /// to. It also keeps out pages whose own name was pointed at this address.
  std::optional<web::Response> wrong_host(const web::Request& request) {
    if (request.host == host) return std::nullopt;
    if (request.method != "GET" && request.method != "HEAD")
      return problem(421, "Wrong address", "This app lives at " + options.origin + ".");
    return web::Response::redirect(302, options.origin + request.target);
  }

  /// A form of ours, sent by the browser that got it: the fields, or the answer.
  Result<FormFields, web::Response> form_of(const web::Request& request, const std::string& cookie) {
    const bool says_where = request.headers.has("origin") || request.headers.has("sec-fetch-site");
    if (says_where && !request.from_same_origin(options.origin)) return fail(refused());
    auto fields = request.form(20);
    if (!fields) return fail(problem(400, "That did not work", "The form could not be read."));
    const auto token = single(*fields, "csrf");
    if (!token || !crypto::equal(*token, csrf_of(cookie))) return fail(refused());
    return *std::move(fields);
  }

  Task<web::Response> get_home(web::Request request) {
    if (auto r = wrong_host(request)) co_return *std::move(r);
    const auto cookie = request.cookie(k_cookie);
    if (is_cookie(cookie)) {
      if (visits.find(*cookie)) co_return web::Response::redirect(303, "/account");
      co_return home(*cookie);
    }
    const std::string fresh = rng.token();
    auto response = home(fresh);
    give_cookie(response, fresh);
    co_return response;
  }

  Task<web::Response> post_login(web::Request request) {
    if (auto r = wrong_host(request)) co_return *std::move(r);
    const auto cookie = request.cookie(k_cookie);
    if (!is_cookie(cookie)) co_return refused();
    const auto form = form_of(request, *cookie);
    if (!form) co_return form.error();
    const auto email = single(*form, "email");
    const auto handle = single(*form, "handle");

    // Flow 1 with an address, Flow 2 without one: both at our own PDS. A handle decides for itself.
    if (email && (email->size() > 254 || email->find('@') == std::string::npos))
      co_return home(*cookie, 400, "This is not an e-mail address.", *email);
    auto started =
        co_await client.authorize(handle ? *handle : options.pds_url,
                                  {.browser = *cookie, .login_hint = handle ? "" : email.value_or("")});
    if (!started) {
      const Fault& fault = started.error();
      log::info("demo: sign-in did not start", {{"detail", fault.detail}, {"error", fault.oauth_error}});
      co_return home(*cookie, fault.code == ClientError::unreachable ? 502 : 400, fault.message,
                     email.value_or(""), handle.value_or(""));
    }
    co_return web::Response::redirect(303, started->url);
  }

  Task<web::Response> get_callback(web::Request request) {
    if (auto r = wrong_host(request)) co_return *std::move(r);
    const auto cookie = request.cookie(k_cookie);
    auto params = request.query_fields();
    if (!params) co_return problem(400, "Sign-in failed", "This sign-in link is damaged.");
    if (!is_cookie(cookie))
      co_return problem(400, "Sign-in failed", "This sign-in began in another browser. Start again.");
    auto signed_in = co_await client.callback(*std::move(params), *cookie);
    if (!signed_in) {
      const Fault& fault = signed_in.error();
      log::info("demo: sign-in failed", {{"detail", fault.detail}, {"error", fault.oauth_error}});
      co_return problem(fault.code == ClientError::unreachable ? 502 : 400,
                        fault.code == ClientError::access_denied ? "Not signed in" : "Sign-in failed",
                        fault.message);
    }
    if (auto before = visits.find(*cookie)) {
      visits.erase(*cookie);
      co_await before->session.sign_out();
    }
    // A new cookie for the new rights: whoever knew the old one has nothing.
    const std::string fresh = rng.token();
    visits.put(fresh, {.session = signed_in->session,
                       .handle = signed_in->handle ? signed_in->handle->str() : Handle::invalid().str(),
                       .notice = {},
                       .error = {},
                       .record = {}});
    auto response = web::Response::redirect(303, "/account");
    response.header("cache-control", "no-store").header("referrer-policy", "no-referrer");
    give_cookie(response, fresh);
    co_return response;
  }

  // --- signed in ---

  Task<web::Response> get_account(web::Request request) {
    if (auto r = wrong_host(request)) co_return *std::move(r);
    const auto cookie = request.cookie(k_cookie);
    auto visit = is_cookie(cookie) ? visits.find(*cookie) : std::nullopt;
    if (!visit) co_return web::Response::redirect(303, "/");
    visits.change(*cookie, [](Visit& v) { v.notice.clear(), v.error.clear(); });
    co_return account(*cookie, *std::move(visit));
  }

  struct Signed {
    std::string cookie;
    Visit visit;
    FormFields form;
  };
  /// A form sent by somebody who is signed in, or the answer.
  Result<Signed, web::Response> signed_form(const web::Request& request) {
    if (auto r = wrong_host(request)) return fail(*std::move(r));
    const auto cookie = request.cookie(k_cookie);
    if (!is_cookie(cookie)) return fail(refused());
    auto form = form_of(request, *cookie);
    if (!form) return fail(std::move(form).error());
    auto visit = visits.find(*cookie);
    if (!visit) return fail(web::Response::redirect(303, "/"));
    return Signed{*cookie, *std::move(visit), *std::move(form)};
  }

  web::Response back_to_account(const std::string& cookie, std::string notice, std::string error = {}) {
    visits.change(cookie, [&](Visit& v) {
      v.notice = std::move(notice);
      v.error = std::move(error);
    });
    return web::Response::redirect(303, "/account");
  }

  web::Response after_fault(const std::string& cookie, const Fault& fault) {
    log::info("demo: request failed", {{"detail", fault.detail}, {"error", fault.oauth_error}});
    if (fault.code != ClientError::session_ended) return back_to_account(cookie, {}, fault.message);
    visits.erase(cookie);
    return problem(401, "Signed out", fault.message);
  }

  Task<web::Response> post_record(web::Request request) {
    auto in = signed_form(request);
    if (!in) co_return std::move(in).error();
    const std::string text = single(in->form, "text").value_or("");
    if (text.empty() || text.size() > k_max_text)
      co_return back_to_account(in->cookie, {}, "Write something, but not more than 300 characters.");
    Session session = in->visit.session;
    const std::string did = session.did().str();
    json::Object body{
        {"repo", did},
        {"collection", k_collection},
        {"record",
         json::Object{{"$type", k_collection}, {"text", text}, {"createdAt", rfc3339(clock.now())}}}};
    const auto created = co_await session.call("POST", "com.atproto.repo.createRecord",
                                               {.json = json::Value(std::move(body))});
    if (!created) co_return after_fault(in->cookie, created.error());
    const auto answer = json::parse(created->body);
    const auto uri = answer && created->status == 200 ? AtUri::parse(string_at(*answer, "uri"))
                                                      : Result<AtUri, SyntaxError>(std::unexpect);
    if (!uri || !uri->rkey()) {
      const auto message = answer ? string_at(*answer, "message") : "";
      co_return back_to_account(in->cookie, {}, "The server did not take the record. " + message);
    }

    const auto read = co_await session.call(
        "GET", "com.atproto.repo.getRecord",
        {.params = {{"repo", did}, {"collection", k_collection}, {"rkey", uri->rkey()->str()}}});
    if (!read) co_return after_fault(in->cookie, read.error());
    const auto record = json::parse(read->body);
    const auto* value = record ? record->find("value") : nullptr;
    if (read->status != 200 || !value)
      co_return back_to_account(in->cookie, {}, "The record was written but could not be read back.");
    Record shown{string_at(*record, "uri"), string_at(*record, "cid"), {}};
    indent(*value, shown.json);
    visits.change(in->cookie, [&](Visit& v) { v.record = std::move(shown); });
    co_return back_to_account(in->cookie, "Written, and read back from your repository.");
  }

  Task<web::Response> post_refresh(web::Request request) {
    auto in = signed_form(request);
    if (!in) co_return std::move(in).error();
    const auto refreshed = co_await in->visit.session.refresh();
    if (!refreshed) co_return after_fault(in->cookie, refreshed.error());
    co_return back_to_account(in->cookie, "There is a new access token.");
  }

  Task<web::Response> post_logout(web::Request request) {
    auto in = signed_form(request);
    if (!in) co_return std::move(in).error();
    visits.erase(in->cookie);
    co_await in->visit.session.sign_out();
    auto response = web::Response::redirect(303, "/");
    web::clear_cookie(response, {.name = k_cookie, .value = "", .secure = false});
    co_return response;
  }
};

DemoApp::DemoApp(DemoAppOptions options, oauth::client::OauthClient& client, const web::Templates& templates,
                 Rng& rng, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), client, templates, rng, clock)) {}
DemoApp::~DemoApp() = default;

void DemoApp::add_routes(web::Router& router) {
  const auto add = [&](const char* method, const char* path,
                       Task<web::Response> (Impl::*handler)(web::Request)) {
    router.add(
        method, path,
        [impl = impl_.get(), handler](web::Request request) { return (impl->*handler)(std::move(request)); },
        k_max_form);
  };
  add("GET", "/", &Impl::get_home);
  add("POST", "/login", &Impl::post_login);
  add("GET", "/callback", &Impl::get_callback);
  add("GET", "/account", &Impl::get_account);
  add("POST", "/record", &Impl::post_record);
  add("POST", "/refresh", &Impl::post_refresh);
  add("POST", "/logout", &Impl::post_logout);
}

}  // namespace latchkey::dev
