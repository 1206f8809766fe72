#include "auth/core/auth.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/core/password.h"
#include "auth/core/routes.h"
#include "base/log.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

constexpr std::size_t k_min_secret = 32;

void claim_field(std::map<std::string, std::string>& owners, const std::string& table, const Field& field,
                 const std::string& owner) {
  if (!is_column_name(field.name))
    throw std::invalid_argument(fmt::format("{}: \"{}\" is no name for a field", owner, field.name));
  const auto [it, fresh] = owners.emplace(table + "." + field.name, owner);
  if (!fresh)
    throw Conflict(fmt::format("{} and {} both have a field {}.{}", it->second, owner, table, field.name));
}

/// What options and plugins add up to; throws Conflict.
Models models_of(const Options& options) {
  Models m{
      .names = options.tables, .user_fields = {}, .session_fields = {}, .plugin_tables = {}, .hooks = {}};
  std::map<std::string, std::string> fields, tables;
  for (const char* own : {"id", "name", "email", "emailVerified", "image", "createdAt", "updatedAt"})
    fields.emplace(std::string("user.") + own, "the core");
  for (const char* own :
       {"id", "token", "userId", "expiresAt", "createdAt", "updatedAt", "ipAddress", "userAgent"})
    fields.emplace(std::string("session.") + own, "the core");
  for (const std::string& name :
       {m.names.user, m.names.session, m.names.account, m.names.verification, m.names.rate_limit}) {
    if (!is_column_name(name))
      throw std::invalid_argument(fmt::format("\"{}\" is no name for a table", name));
    if (!tables.emplace(name, "the core").second)
      throw std::invalid_argument(fmt::format("two tables are named \"{}\"", name));
  }
  const auto take = [&](const std::string& owner, const std::vector<Field>& user,
                        const std::vector<Field>& session) {
    for (const Field& f : user) claim_field(fields, "user", f, owner);
    for (const Field& f : session) claim_field(fields, "session", f, owner);
    m.user_fields.insert(m.user_fields.end(), user.begin(), user.end());
    m.session_fields.insert(m.session_fields.end(), session.begin(), session.end());
  };
  for (const Plugin& p : options.plugins) {
    const std::string owner = "plugin " + p.id;
    take(owner, p.user_fields, p.session_fields);
    for (const Table& t : p.tables) {
      if (!is_column_name(t.name))
        throw std::invalid_argument(fmt::format("{}: \"{}\" is no name for a table", owner, t.name));
      const auto [it, fresh] = tables.emplace(t.name, owner);
      if (!fresh) throw Conflict(fmt::format("{} and {} both have a table {}", it->second, owner, t.name));
      for (const Field& f : t.fields) claim_field(fields, "table " + t.name, f, owner);
      m.plugin_tables.push_back(t);
    }
    m.hooks.push_back(p.records);
  }
  take("the program", options.user.additional_fields, options.session.additional_fields);
  m.hooks.push_back(options.records);
  return m;
}

std::vector<Secret<std::string>> secrets_of(const Options& options) {
  std::vector<Secret<std::string>> all{options.secret};
  all.insert(all.end(), options.old_secrets.begin(), options.old_secrets.end());
  for (const auto& s : all)
    if (s.reveal().size() < k_min_secret)
      throw std::invalid_argument(fmt::format("auth: a secret has {} characters or more", k_min_secret));
  return all;
}

RateLimitTable rate_limit_table(const Options& options) {
  return options.rate_limit.storage == RateLimitOptions::Storage::database ? RateLimitTable::with
                                                                           : RateLimitTable::without;
}

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const auto slash = path.find('/');
    out.emplace_back(path.substr(0, slash));
    path = slash == path.npos ? std::string_view() : path.substr(slash);
  }
  return out;
}

}  // namespace

Auth::Auth(Options options)
    : options_(std::move(options)),
      models_(models_of(options_)),
      cookies_(options_.cookies, options_.base_url.starts_with("https://"), secrets_of(options_)),
      origins_(options_.base_url, options_.trusted_origins),
      users_(models_, options_.rng),
      sessions_(models_, users_, options_.rng),
      accounts_(models_, options_.rng),
      verifications_(models_, options_.rng) {
  const Url base = *Url::parse(options_.base_url);  // TrustedOrigins has seen it
  origin_ = base.origin();
  base_path_ = base.path.empty() || base.path == "/" ? options_.base_path : base.path;
  while (base_path_.ends_with('/')) base_path_.pop_back();
  if (!base_path_.empty() && base_path_[0] != '/')
    throw std::invalid_argument("auth: the base path begins with '/'");

  if (options_.rate_limit.storage == RateLimitOptions::Storage::database)
    rate_limits_ = std::make_unique<DatabaseRateLimits>(db(), models_, rng());
  else
    rate_limits_ = std::make_unique<MemoryRateLimits>();

  for (auto routes : {&session_routes, &email_and_password_routes, &reset_password_routes, &email_routes,
                      &user_routes, &account_routes})
    for (Endpoint& e : routes()) core_endpoints_.push_back(std::move(e));
  for (const Endpoint& e : core_endpoints_) add_route(e, "the core");
  for (const char* key : {"session_token", "session_data", "dont_remember"})
    claim(fmt::format("cookie {}", key), "the core");
  std::map<std::string, std::pair<std::string_view, std::string>> codes;
  for (const Plugin& p : options_.plugins) {
    const std::string owner = "plugin " + p.id;
    if (p.id.empty()) throw std::invalid_argument("auth: a plugin without an id");
    claim("id " + p.id, owner);
    for (const Endpoint& e : p.endpoints) add_route(e, owner);
    for (const std::string& key : p.cookies) claim("cookie " + key, owner);
    for (const ErrorCode& e : p.errors) {  // one code, one meaning
      const auto [it, fresh] = codes.try_emplace(std::string(e.code), e.message, owner);
      if (!fresh && it->second.first != e.message)
        throw Conflict(
            fmt::format("{} and {} give the code {} two meanings", it->second.second, owner, e.code));
    }
    before_.insert(before_.end(), p.before.begin(), p.before.end());
    after_.insert(after_.end(), p.after.begin(), p.after.end());
    plugin_limits_.insert(plugin_limits_.end(), p.rate_limits.begin(), p.rate_limits.end());
    for (const std::string& name : p.request_headers) cors_request_headers_ += ", " + name;
    for (const std::string& name : p.response_headers) cors_response_headers_ += ", " + name;
  }
  before_.insert(before_.end(), options_.before.begin(), options_.before.end());
  after_.insert(after_.end(), options_.after.begin(), options_.after.end());
  for (const Plugin& p : options_.plugins)
    if (p.attach) p.attach(*this);
}

Auth::~Auth() = default;

void Auth::claim(const std::string& thing, const std::string& owner) {
  const auto [it, fresh] = owners_.emplace(thing, owner);
  if (!fresh) throw Conflict(fmt::format("{} and {} both have {}", it->second, owner, thing));
}

void Auth::add_route(const Endpoint& endpoint, const std::string& owner) {
  if (!endpoint.path.starts_with('/') || endpoint.path.ends_with('/') || !endpoint.handler)
    throw std::invalid_argument(fmt::format("{}: not a route: {}", owner, endpoint.path));
  std::string same = endpoint.path;  // ":id" and ":token" are the same place
  auto segments = segments_of(endpoint.path);
  if (endpoint.path.find(":") != std::string::npos) {
    same.clear();
    for (const std::string& s : segments) same += "/" + (s.starts_with(':') ? std::string(":") : s);
  } else {
    segments.clear();
  }
  claim(fmt::format("route {} {}", endpoint.method, same), owner);
  Route* route = nullptr;
  if (segments.empty()) {
    route = &exact_[endpoint.path];
  } else {
    const auto it = std::ranges::find(patterns_, endpoint.path, &Route::path);
    route = it != patterns_.end() ? &*it : &patterns_.emplace_back();
  }
  route->path = endpoint.path;
  route->segments = std::move(segments);
  route->endpoints.push_back(&endpoint);
}

std::pair<const Auth::Route*, Auth::Params> Auth::find_route(std::string_view path) const {
  if (const auto it = exact_.find(path); it != exact_.end()) return {&it->second, {}};
  if (!path.starts_with('/')) return {nullptr, {}};
  const auto given = segments_of(path);
  for (const Route& route : patterns_) {
    if (route.segments.size() != given.size()) continue;
    Params params;
    bool fits = true;
    for (std::size_t i = 0; fits && i < given.size(); ++i) {
      if (!route.segments[i].starts_with(':')) {
        fits = route.segments[i] == given[i];
        continue;
      }
      auto value = percent_decode(given[i]);
      fits = value && !value->empty() && value->find('\0') == std::string::npos && is_valid_utf8(*value);
      if (fits) params.emplace(route.segments[i].substr(1), std::move(*value));
    }
    if (fits) return {&route, std::move(params)};
  }
  return {nullptr, {}};
}

std::vector<SchemaChange> Auth::pending() {
  return latchkey::run(db().read([this](store::Tx& tx) {
    return missing_schema(tx, db().engine(), models_, rate_limit_table(options_));
  }));
}

void Auth::migrate() {
  const auto found = create_tables(db(), models_, rate_limit_table(options_));
  accounts_.fill_issuer(found.account_has_issuer);
}

web::Handler Auth::handler() {
  return [this](web::Request request) { return handle(std::move(request)); };
}

std::optional<std::string> Auth::session_token(const web::Request& request) const {
  return cookies_.read_signed(request, "session_token");
}

Task<std::optional<SessionAndUser>> Auth::session_of(web::Request request) {
  Context context(*this, std::move(request), "/get-session", clock().now());
  const auto allowed = co_await run_before(context);
  const auto token = context.session_token();
  if (!allowed || !token) co_return std::nullopt;
  auto found = co_await db().read([&](store::Tx& tx) { return sessions_.find(tx, *token); });
  if (found && found->session.expires_at <= context.now) found.reset();
  co_return found;
}

Task<web::Response> Auth::sign_out(web::Request request, web::Response answer) {
  if (const auto token = session_token(request))
    co_await db().write([&](store::Tx& tx) { return sessions_.remove(tx, *token); });
  for (const auto* key : {"session_token", "session_data", "dont_remember"})
    web::set_cookie(answer, cookies_.cleared(key));
  co_return answer;
}

web::Response Auth::signed_in(web::Response answer, const Session& session, Remember remember) const {
  const bool kept = remember == Remember::yes;
  web::set_cookie(answer,
                  cookies_.signed_cookie("session_token", session.token,
                                         kept ? std::optional(options_.session.expires_in) : std::nullopt));
  if (!kept) web::set_cookie(answer, cookies_.signed_cookie("dont_remember", "true", std::nullopt));
  return answer;
}

Task<void> Auth::clean() {
  const Time now = clock().now();
  co_await db().write([&](store::Tx& tx) {
    sessions_.clean(tx, now);
    verifications_.clean(tx, now);
  });
  co_await rate_limits_->clean(now);
  for (const Plugin& p : options_.plugins)
    if (p.clean) co_await p.clean();
}

std::string Auth::url(std::string_view path) const {
  return fmt::format("{}{}{}", origin_, base_path_, path);
}

std::string Auth::absolute(std::string_view target) const {
  return target.starts_with('/') ? origin_ + std::string(target) : std::string(target);
}

Task<std::string> Auth::hash_password(std::string password) {
  if (!options_.password_pool) co_return auth::hash_password(password, rng());
  co_return co_await run_on(options_.password_pool,
                            [this, password] { return auth::hash_password(password, rng()); });
}

Task<bool> Auth::verify_password(std::string password, std::optional<std::string> stored) {
  if (!stored) {
    co_await hash_password(std::move(password));
    co_return false;
  }
  if (!options_.password_pool) co_return auth::verify_password(password, *stored);
  co_return co_await run_on(options_.password_pool,
                            [password, stored] { return auth::verify_password(password, *stored); });
}

Task<void> Auth::mail(const SendLink* send, LinkMail mail) { co_await this->mail((*send)(std::move(mail))); }

Task<void> Auth::mail(Task<void> sending) {
  std::string trouble;
  try {
    co_await std::move(sending);
  } catch (const std::exception& e) {
    trouble = e.what();
  }
  if (!trouble.empty()) log::error("a mail was not sent", {{"error", trouble}});
}

Result<User, Fault> Auth::prove_mailbox(store::Tx& tx, User user, Time now) const {
  if (user.email_verified) return user;
  TRY_VOID(accounts_.remove_all(tx, user.id));
  TRY_VOID(sessions_.remove_all(tx, user.id));
  users_.remove_plugin_rows(tx, user.id);
  return users_.update(tx, user.id, {.email_verified = true}, now);
}

Result<void, Fault> Auth::check_password_length(std::string_view password) const {
  const auto n = password_length(password);
  if (n < options_.email_and_password.min_password_length) return refuse(Error::PASSWORD_TOO_SHORT);
  if (n > options_.email_and_password.max_password_length) return refuse(Error::PASSWORD_TOO_LONG);
  return {};
}

std::string with_query(std::string_view url, std::string_view name, std::string_view value) {
  const auto hash = url.find('#');
  const auto head = url.substr(0, hash), tail = hash == url.npos ? std::string_view() : url.substr(hash);
  std::string pair = encode_form({{std::string(name), std::string(value)}});
  // URLSearchParams writes a space as '+'; what was a '+' is %2B by now.
  for (auto at = pair.find("%20"); at != pair.npos; at = pair.find("%20", at)) pair.replace(at, 3, "+");
  return fmt::format("{}{}{}{}", head, head.find('?') == head.npos ? '?' : '&', pair, tail);
}

}  // namespace latchkey::auth
