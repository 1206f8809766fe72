#include "dev/world/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/log.h"
#include "oauth/dpop/dpop.h"
#include "oauth/jose/client_assertion.h"
#include "oauth/pkce/pkce.h"

namespace latchkey::dev::world {
namespace {

constexpr const char* k_plc = "https://plc.test";

std::string unescaped(std::string text) {
  static constexpr std::pair<std::string_view, char> k_entities[] = {
      {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}, {"&#x27;", '\''}, {"&amp;", '&'}};
  for (const auto& [entity, c] : k_entities)
    for (auto at = text.find(entity); at != std::string::npos; at = text.find(entity, at + 1))
      text.replace(at, entity.size(), 1, c);
  return text;
}

// The value of an attribute of the tag that begins `tag`; "" when absent.
std::string attribute(std::string_view tag, std::string_view name) {
  const std::string start = fmt::format(" {}=\"", name);
  const auto at = tag.find(start);
  if (at == std::string_view::npos) return {};
  const auto from = at + start.size();
  return unescaped(std::string(tag.substr(from, tag.find('"', from) - from)));
}

std::string absolute(const std::string& url, const std::string& base) {
  return url.starts_with('/') ? Url::parse(base)->origin() + url : url;
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

// As the server does it: what a handler throws is an answer.
Task<web::Response> caught(Task<web::Response> task) {
  try {
    co_return co_await std::move(task);
  } catch (const std::exception& e) {
    log::error("request failed", {{"detail", e.what()}});
  }
  co_return web::Response::error(500, "InternalServerError", "Internal error");
}

Task<void> answer_into(Task<web::Response> task, web::Response* out, int* left) {
  auto response = co_await caught(std::move(task));
  while (response.stream) {
    auto piece = co_await response.stream();
    if (!piece) break;
    response.body += as_text(*piece);
  }
  response.stream = nullptr;
  *out = std::move(response);
  --*left;
}

Secret<Bytes> secret(std::uint8_t byte) { return Secret<Bytes>(Bytes(32, byte)); }

}  // namespace

Task<Result<FetchResponse, FetchError>> MemoryNetwork::fetch(FetchRequest request) {
  log.push_back(request.method + " " + request.url);
  const auto url = Url::parse(request.url);
  if (!url) co_return fail(FetchError{FetchError::Kind::refused_by_guard, "not a URL"});
  const std::string origin = url->origin();
  if (down.contains(origin)) co_return fail(FetchError{FetchError::Kind::unreachable, "down"});
  if (const auto d = delays.find(origin); d != delays.end()) co_await sleep_for(d->second);
  FetchResponse answer;
  if (const auto document = documents_.find(request.url); document != documents_.end()) {
    answer = {200, {{"content-type", "application/json"}}, document->second};
  } else if (const auto site = sites_.find(origin); site != sites_.end()) {
    web::Headers headers;
    for (auto& [name, value] : request.headers) headers.add(name, value);
    auto got = co_await site->second(
        web::Request::make(request.method, request.url, std::move(request.body), std::move(headers)));
    answer.status = got.status;
    for (const auto& [name, value] : got.headers) answer.headers.emplace_back(lower_case(name), value);
    answer.body = got.shared_body ? std::string(as_text(*got.shared_body)) : std::move(got.body);
    while (got.stream) {
      const auto piece = co_await got.stream();
      if (!piece) break;
      answer.body += as_text(*piece);
    }
  } else {
    co_return fail(FetchError{FetchError::Kind::unreachable, "no such host"});
  }
  if (losing_answers.contains(origin)) co_return fail(FetchError{FetchError::Kind::timeout, "answer lost"});
  co_return answer;
}

Task<void> Postman::send_to_nobody(mail::Message message) {
  to_nobody.push_back(std::move(message));
  co_return;
}

Task<Result<void, mail::MailError>> Postman::send(mail::Message message) {
  if (delay.count() > 0) co_await sleep_for(delay);
  if (throws) throw std::runtime_error("the mail system is broken");
  if (refuses) co_return fail(mail::MailError{mail::MailError::Kind::refused, 0, "no connection"});
  co_return co_await trap_.send(std::move(message));
}

// --- Page

std::string Page::heading() const {
  const auto from = body.find("<h1>");
  if (from == std::string::npos) return {};
  return unescaped(body.substr(from + 4, body.find("</h1>", from) - from - 4));
}

json::Value Page::json() const {
  auto value = json::parse(body);
  return value ? *std::move(value) : json::Value();
}

std::string Page::text(std::string_view member) const {
  const auto value = json();
  const std::string* s = value.string_at(member);
  return s ? *s : std::string();
}

std::string Page::parameter(std::string_view name) const {
  const std::string target = location();
  const auto mark = target.find_first_of("?#");
  if (mark == std::string::npos) return {};
  const auto fields = parse_form(std::string_view(target).substr(mark + 1));
  return fields ? single(*fields, name).value_or("") : "";
}

std::vector<Page::Form> Page::forms() const {
  std::vector<Form> out;
  for (auto at = body.find("<form"); at != std::string::npos; at = body.find("<form", at + 1)) {
    const std::string_view whole = std::string_view(body).substr(at, body.find("</form>", at) - at);
    Form form{.action = attribute(whole.substr(0, whole.find('>')), "action"), .fields = {}};
    for (auto in = whole.find("<input"); in != std::string_view::npos; in = whole.find("<input", in + 1)) {
      const auto tag = whole.substr(in, whole.find('>', in) - in);
      if (attribute(tag, "type") == "hidden")
        form.fields.emplace_back(attribute(tag, "name"), attribute(tag, "value"));
    }
    out.push_back(std::move(form));
  }
  return out;
}

Page::Form Page::form(std::string_view path) const {
  for (auto& form : forms())
    if (form.action.starts_with(path)) return std::move(form);
  throw std::runtime_error(fmt::format("no form {} on {} ({}): {}", path, url, status, body));
}

// --- World

World::World(WorldOptions o)
    : options(std::move(o)),
      rng(options.seed),
      plc_database(store::Engine::sqlite, plc_migrations()),
      database(options.engine),
      plc(*plc_database, clock),
      identities({.plc_url = k_plc}, network, nullptr, clock),
      lexicon_names(*database),
      lexicons({}, identities, network, lexicon_names) {
  plc.add_routes(plc_routes);
  network.site(k_plc, [this](web::Request r) { return plc_routes.handle(std::move(r)); });
  network.site(options.pds, [this](web::Request r) { return routes->handle(std::move(r)); });
  signin::migrate_epds(db());
  restart();
}

World::~World() = default;

void World::restart() {
  routes.reset();
  internal_routes.reset();
  epds.reset();
  SeededRng keys(7);  // what the operator keeps, whatever the seed
  const std::string host = Url::parse(options.pds)->host;
  const auto policy = pds::SignUpPolicy::parse(options.sign_up).value();
  std::optional<Secret<std::string>> admin;
  if (options.admin_password) admin.emplace(*options.admin_password);
  epds = std::make_unique<signin::Epds>(
      signin::EpdsOptions{.pds = {.public_url = options.pds,
                                  .service_did = "did:web:" + host,
                                  .handle_domains = {"." + host},
                                  .version = "1.2.3",
                                  .sign_up = policy,
                                  .invite_required = policy.kind() == pds::SignUpPolicy::Kind::invite,
                                  .admin_password = admin,
                                  .blob_directory = folder_.path() + "/blobs",
                                  .jwt_secret = Secret<std::string>("a test secret of more than 32 bytes!"),
                                  .rotation_key = crypto::PrivateKey::generate(crypto::Curve::k256, keys)},
                          .auth_origin = options.auth,
                          .plc_url = k_plc,
                          .service_name = "Example Community",
                          .session_secret = secret(1),
                          .dpop_secret = secret(2),
                          .storage_secret = secret(3),
                          .providers = options.providers
                                           ? options.providers(clock)
                                           : std::vector<std::shared_ptr<auth::SocialProvider>>{},
                          .local_hosts = oauth::LocalHosts::refuse,
                          .trusted_clients = options.trusted_clients,
                          .email_limits = options.limits,
                          .recovery_delay = options.recovery_delay,
                          .rate_limits = options.rate_limits,
                          .branding = options.branding,
                          .email_template_domains = options.email_template_domains,
                          .split_hosts = options.split_hosts},
      signin::EpdsParts{db(), options.fetch ? *options.fetch : network,
                        options.resolves_handles ? &identities : nullptr, &lexicons, postman, passwords_,
                        reads_, clock, rng});
  run(epds->start());
  routes = std::make_unique<web::Router>(epds->router());
  internal_routes = std::make_unique<web::Router>(epds->internal_router());
}

Page World::finished(std::string url, web::Response response) {
  Page page{std::move(url), response.status, std::move(response.headers), std::move(response.body)};
  if (page.body.empty() && response.shared_body) page.body = as_text(*response.shared_body);
  transcript += fmt::format("{}\n{}\n", page.url, page.status);
  for (const auto& [name, value] : page.headers) transcript += fmt::format("{}: {}\n", name, value);
  transcript += page.body + "\n\n";
  return page;
}

Page World::send(web::Request request) {
  std::vector<web::Request> one;
  one.push_back(std::move(request));
  return std::move(together(std::move(one))[0]);
}

std::vector<Page> World::together(std::vector<web::Request> requests) {
  std::vector<std::string> urls;
  std::vector<web::Response> responses(requests.size());
  int left = static_cast<int>(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto& request = requests[i];
    request.id = fmt::format("request-{}", ++requests_);
    urls.push_back(request.scheme + "://" + request.host + request.target);
    const web::Router& site = request.host == "plc.test"        ? plc_routes
                              : request.host == "internal.test" ? *internal_routes
                                                                : *routes;
    executor.post([task = site.handle(std::move(request)), out = &responses[i], &left]() mutable {
      spawn(answer_into(std::move(task), out, &left));
    });
  }
  executor.run_until([&] { return left == 0; });
  run(epds->settled());
  std::vector<Page> pages;
  for (std::size_t i = 0; i < urls.size(); ++i)
    pages.push_back(finished(std::move(urls[i]), std::move(responses[i])));
  return pages;
}

std::string World::code(std::string_view to) const {
  const auto mails = trap.list(std::string(to));
  if (mails.empty()) return {};
  const std::string& text = mails.back().text;
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    run = text[i] >= '0' && text[i] <= '9' ? run + 1 : 0;
    if (run == auth::k_code_digits) return text.substr(i + 1 - run, run);
  }
  return {};
}

std::optional<pds::Account> World::account(std::string_view email) {
  return read([&](store::Tx& tx) { return pds::accounts::by_email(tx, email); });
}

// --- Browser

web::Request Browser::request(std::string method, const std::string& url, FormFields fields) const {
  web::Headers headers;
  const auto parsed = Url::parse(url);
  const std::string origin = parsed->origin();
  if (method != "GET" && method != "HEAD") {
    headers.add("content-type", "application/x-www-form-urlencoded");
    if (says != Says::nothing) headers.add("origin", origin);
    if (says == Says::fetch_metadata) headers.add("sec-fetch-site", "same-origin");
  }
  std::string cookies;
  if (const auto mine = jar.find(parsed->authority()); mine != jar.end())
    for (const auto& [name, cookie] : mine->second) {
      if (cookie.expires && *cookie.expires <= world_.clock.now()) continue;
      cookies += fmt::format("{}{}={}", cookies.empty() ? "" : "; ", name, cookie.value);
    }
  if (!cookies.empty()) headers.add("cookie", cookies);
  const bool form = method == "POST";
  auto made = web::Request::make(std::move(method), url, form ? encode_form(fields) : "", std::move(headers));
  made.remote_ip = ip_;
  return made;
}

Page Browser::took(Page answer) {
  for (const auto& line : answer.headers.all("set-cookie")) {
    const auto equals = line.find('='), end = std::min(line.find(';'), line.size());
    const std::string name = line.substr(0, equals), rest = line.substr(end);
    Cookie cookie{line.substr(equals + 1, end - equals - 1), rest, {}};
    if (const auto age = rest.find("Max-Age="); age != std::string::npos)
      cookie.expires = world_.clock.now() + std::chrono::seconds(std::stoll(rest.substr(age + 8)));
    jar[Url::parse(answer.url)->authority()][name] = std::move(cookie);
  }
  return answer;
}

Page Browser::get(std::string url) { return send(request("GET", url)); }
Page Browser::post(std::string url, FormFields fields) {
  return send(request("POST", url, std::move(fields)));
}

web::Request Browser::submission(const Page& page, std::string_view action, FormFields fields) const {
  auto form = page.form(action);
  for (auto& field : fields) form.fields.push_back(std::move(field));
  return request("POST", absolute(form.action, page.url), std::move(form.fields));
}

Page Browser::submit(const Page& page, std::string_view action, FormFields fields) {
  return send(submission(page, action, std::move(fields)));
}

Page Browser::follow(const Page& page) { return get(absolute(page.location(), page.url)); }

Page Browser::follow_all(Page page) {
  for (int i = 0; page.status == 303; ++i) {
    if (i == 10) throw std::runtime_error("redirects without end: " + page.location());
    const std::string next = absolute(page.location(), page.url);
    const auto url = Url::parse(next);
    if (!url || (url->origin() != world_.options.auth && url->origin() != world_.options.pds)) return page;
    page = get(next);
  }
  return page;
}

// --- App

App::App(World& world, Kind kind, std::string name, std::string scope, std::string host)
    : dpop_key(crypto::PrivateKey::generate(crypto::Curve::p256, world.rng)),
      world_(world),
      kind_(kind),
      client_key_(crypto::PrivateKey::generate(crypto::Curve::p256, world.rng)) {
  if (scope.empty())
    scope =
        kind == Kind::loopback ? "atproto transition:generic" : "atproto transition:generic transition:email";
  if (kind == Kind::loopback) {
    redirect_uri_ = "http://127.0.0.1:4321/callback";
    client_id_ =
        "http://localhost?" + encode_form({{"redirect_uri", "http://127.0.0.1/callback"}, {"scope", scope}});
    return;
  }
  if (host.empty()) host = kind == Kind::web ? "web.example" : "app.example";
  client_id_ = fmt::format("https://{}/client-metadata.json", host);
  redirect_uri_ = fmt::format("https://{}/callback", host);
  metadata_ = {{"client_id", client_id_},
               {"client_name", name},
               {"grant_types", json::Array{"authorization_code", "refresh_token"}},
               {"response_types", json::Array{"code"}},
               {"scope", scope},
               {"redirect_uris", json::Array{redirect_uri_}},
               {"dpop_bound_access_tokens", true},
               {"token_endpoint_auth_method", kind == Kind::web ? "none" : "private_key_jwt"}};
  if (kind == Kind::confidential) {
    metadata_.set("token_endpoint_auth_signing_alg", "ES256");
    metadata_.set(
        "jwks",
        json::Object{
            {"keys", json::Array{oauth::Jwk{client_key_.public_key(), "k1", "ES256", "sig"}.to_json()}}});
  }
  world_.network.document(client_id_, metadata_);
}

FormFields App::par_form() {
  verifier_ = oauth::make_pkce_verifier(world_.rng);  // a challenge is accepted once
  return {{"client_id", client_id_},        {"response_type", "code"},
          {"redirect_uri", redirect_uri_},  {"scope", "atproto transition:generic"},
          {"state", world_.rng.token(12)},  {"code_challenge", oauth::pkce_challenge(verifier_)},
          {"code_challenge_method", "S256"}};
}

FormFields App::authenticated(FormFields form) {
  if (kind_ != Kind::confidential) return form;
  form = with(std::move(form), "client_assertion_type", std::string(oauth::k_client_assertion_type));
  return with(std::move(form), "client_assertion",
              oauth::make_client_assertion(client_key_, "k1", client_id_, world_.options.pds, world_.rng,
                                           world_.clock.now()));
}

App::Login App::start(FormFields extra) {
  FormFields form = par_form();
  for (auto& [name, value] : extra) form = with(std::move(form), name, value);
  const std::string state = *single(form, "state");
  const Page answer = post("/oauth/par", std::move(form));
  if (answer.status != 201) throw std::runtime_error("PAR: " + answer.body);
  return {answer.text("request_uri"), state, verifier_};
}

std::string App::authorize_url(const Login& login, std::optional<std::string> login_hint) const {
  FormFields query{{"client_id", client_id_}, {"request_uri", login.request_uri}};
  if (login_hint) query.emplace_back("login_hint", *login_hint);
  return world_.options.auth + "/oauth/authorize?" + encode_form(query);
}

FormFields App::code_form(const Login& login, std::string code) const {
  return {{"grant_type", "authorization_code"},
          {"code", std::move(code)},
          {"redirect_uri", redirect_uri_},
          {"client_id", client_id_},
          {"code_verifier", login.verifier}};
}

Tokens App::redeem(const Login& login, const Page& back) {
  if (!back.location().starts_with(redirect_uri_) || back.parameter("iss") != world_.options.pds ||
      back.parameter("state") != login.state)
    throw std::runtime_error(
        fmt::format("not our callback: {} {} {}", back.status, back.location(), back.body));
  const Page answer = post("/oauth/token", code_form(login, back.parameter("code")));
  if (answer.status != 200) throw std::runtime_error("token: " + answer.body);
  return {answer.text("access_token"), answer.text("refresh_token"), answer.text("sub"),
          answer.text("scope")};
}

std::string App::proof(const std::string& method, const std::string& url, std::optional<std::string> token) {
  return oauth::make_dpop_proof(dpop_key, method, url, nonce, token, world_.rng, world_.clock.now());
}

Page App::post_with_proof(const std::string& path, const FormFields& form, const std::string& proof) {
  web::Headers headers{{"content-type", "application/x-www-form-urlencoded"}};
  if (!proof.empty()) headers.add("dpop", proof);
  Page answer = world_.send(
      web::Request::make("POST", world_.options.pds + path, encode_form(form), std::move(headers)));
  if (answer.headers.has("dpop-nonce")) nonce = answer.header("dpop-nonce");
  return answer;
}

Page App::post(const std::string& path, FormFields form) {
  const std::string url = world_.options.pds + path;
  Page answer = post_with_proof(path, authenticated(form), proof("POST", url));
  if (answer.error() == "use_dpop_nonce")
    answer = post_with_proof(path, authenticated(form), proof("POST", url));
  return answer;
}

Page App::call(const std::string& method, const std::string& path, const Tokens& tokens,
               std::optional<json::Value> body) {
  const std::string url = world_.options.pds + path;
  const auto once = [&] {
    web::Headers headers{{"authorization", "DPoP " + tokens.access},
                         {"dpop", proof(method, url, tokens.access)}};
    if (body) headers.add("content-type", "application/json");
    Page answer = world_.send(web::Request::make(method, url, body ? body->dump() : "", std::move(headers)));
    if (answer.headers.has("dpop-nonce")) nonce = answer.header("dpop-nonce");
    return answer;
  };
  Page answer = once();
  return answer.status == 401 && answer.error() == "use_dpop_nonce" ? once() : answer;
}

FormFields with(FormFields form, std::string name, std::string value) {
  form = without(std::move(form), name);
  form.emplace_back(std::move(name), std::move(value));
  return form;
}

FormFields without(FormFields form, std::string_view name) {
  std::erase_if(form, [&](const auto& field) { return field.first == name; });
  return form;
}

// --- The whole way

Page walk_to_consent(App& app, const App::Login& login, Browser& browser, std::string email, Hint hint) {
  Page page = browser.get(
      app.authorize_url(login, hint == Hint::on_authorize_url ? std::optional(email) : std::nullopt));
  page = hint == Hint::on_authorize_url ? browser.submit(page, "/auth/send")
                                        : browser.submit(page, "/auth/email", {{"email", email}});
  page = browser.follow_all(std::move(page));
  page = browser.submit(page, "/auth/verify", {{"code", browser.world().code(email)}});
  return browser.follow_all(std::move(page));
}

Page walk(App& app, const App::Login& login, Browser& browser, std::string email, Hint hint) {
  const Page page = walk_to_consent(app, login, browser, std::move(email), hint);
  return page.status == 200 ? browser.submit(page, "/auth/consent", {{"action", "approve"}}) : page;
}

Tokens sign_in(App& app, Browser& browser, std::string email, Hint hint) {
  const auto login = app.start();
  return app.redeem(login, walk(app, login, browser, std::move(email), hint));
}

}  // namespace latchkey::dev::world
