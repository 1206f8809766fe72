#include "auth_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/encoding.h"
#include "base/secrets_file.h"
#include "base/url.h"
#include "crypto/key.h"
#include "template_config.h"
#include "web/address.h"

namespace latchkey::app {
namespace {
using std::chrono::seconds;

constexpr std::int64_t k_longest = 34'560'000;  // 400 days, what browsers keep a cookie for
constexpr std::int64_t k_day = 86'400;

bool is_this_machine(const Url& url) {
  return url.host == "localhost" || url.host == "127.0.0.1" || url.host == "[::1]" ||
         url.host.ends_with(".localhost");
}

std::optional<Url> read_base_url(Variables& in) {
  const auto text = in.text("BETTER_AUTH_URL");
  if (!text) {
    in.problem("BETTER_AUTH_URL is missing: where people reach the app, such as https://app.example.com");
    return std::nullopt;
  }
  auto url = Url::parse(*text);
  if (!url || (url->scheme != "https" && url->scheme != "http") || url->query || url->fragment ||
      !url->userinfo.empty()) {
    in.problem(fmt::format("BETTER_AUTH_URL is no address such as https://app.example.com: {}", *text));
    return std::nullopt;
  }
  if (url->scheme == "http" && !is_this_machine(*url)) {
    in.problem(
        fmt::format("BETTER_AUTH_URL must be https, except on localhost: over {} anybody on the way could "
                    "take sessions",
                    url->origin()));
    return std::nullopt;
  }
  return url;
}

// "127.0.0.1:3005" or "[::1]:3005".
void read_listen(Variables& in, AuthConfig& config) {
  const std::string text = in.text("LATCHKEY_AUTH_LISTEN", "127.0.0.1:3005");
  const auto url = Url::parse("http://" + text);
  if (!url || !url->port || !url->host_is_ip() || url->authority() != text) {
    in.problem(fmt::format(
        "LATCHKEY_AUTH_LISTEN is \"{}\", but must be an address with a port, such as 127.0.0.1:3005", text));
    return;
  }
  config.listen_address = url->host;
  if (config.listen_address.starts_with('['))
    config.listen_address = config.listen_address.substr(1, config.listen_address.size() - 2);
  config.port = *url->port;
}

std::vector<std::string> read_trusted_origins(Variables& in, const std::optional<Url>& base) {
  auto list = in.list("BETTER_AUTH_TRUSTED_ORIGINS");
  if (!base) return list;
  for (const auto& origin : list) try {
      auth::TrustedOrigins(base->origin(), {origin});
    } catch (const std::invalid_argument&) {
      in.problem(fmt::format(
          "BETTER_AUTH_TRUSTED_ORIGINS has {}, which is no origin such as https://app.example.com or "
          "https://*.example.com",
          origin));
    }
  return list;
}

auth::SessionOptions read_session(Variables& in) {
  auth::SessionOptions out;
  out.expires_in = seconds(in.number("SESSION_EXPIRES_IN", 7 * k_day, 60, k_longest));
  out.update_age =
      seconds(in.number("SESSION_UPDATE_AGE", std::min(k_day, out.expires_in.count()), 0, k_longest));
  out.fresh_age = seconds(in.number("SESSION_FRESH_AGE", k_day, 0, k_longest));
  if (out.update_age > out.expires_in)
    in.problem(fmt::format(
        "SESSION_UPDATE_AGE is {} seconds, but a session ends after {}: it would never be extended",
        out.update_age.count(), out.expires_in.count()));
  return out;
}

template <class T>
T read_choice(Variables& in, std::string_view name, std::string_view otherwise,
              std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::string text = in.text(name, otherwise);
  std::string list;
  for (const auto& [word, value] : choices) {
    if (word == text) return value;
    list += fmt::format("{}{}", list.empty() ? "" : word == (choices.end() - 1)->first ? " or " : ", ", word);
  }
  in.problem(fmt::format("{} is \"{}\", but must be {}", name, text, list));
  return choices.begin()->second;
}

auth::CookieOptions read_cookies(Variables& in, const std::optional<Url>& base) {
  using Secure = auth::CookieOptions::Secure;
  using NamePrefix = auth::CookieOptions::NamePrefix;
  auth::CookieOptions out;
  out.prefix = in.text("LATCHKEY_AUTH_COOKIE_PREFIX", "better-auth");
  const bool plain = std::ranges::all_of(out.prefix, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  if (!plain || out.prefix.starts_with("__"))
    in.problem(
        fmt::format("LATCHKEY_AUTH_COOKIE_PREFIX is \"{}\", but must be letters, digits, - . and _; "
                    "__Secure- comes by itself",
                    out.prefix));
  out.secure = read_choice<Secure>(
      in, "LATCHKEY_AUTH_COOKIE_SECURE", "auto",
      {{"auto", Secure::by_base_url}, {"always", Secure::always}, {"never", Secure::never}});
  out.name_prefix = read_choice<NamePrefix>(in, "LATCHKEY_AUTH_COOKIE_NAME_PREFIX", "secure",
                                            {{"secure", NamePrefix::secure}, {"host", NamePrefix::host}});
  out.same_site = read_choice<web::SameSite>(
      in, "LATCHKEY_AUTH_COOKIE_SAME_SITE", "lax",
      {{"lax", web::SameSite::lax}, {"strict", web::SameSite::strict}, {"none", web::SameSite::none}});
  out.cross_subdomain = in.text("LATCHKEY_AUTH_COOKIE_DOMAIN", "");
  if (out.cross_subdomain.starts_with('.')) out.cross_subdomain.erase(0, 1);  // RFC 6265 §5.2.3: the same
  if (!base) return out;
  const bool secure =
      out.secure == Secure::always || (out.secure == Secure::by_base_url && base->scheme == "https");
  if (out.same_site == web::SameSite::none && !secure)
    in.problem("LATCHKEY_AUTH_COOKIE_SAME_SITE is none, which browsers take of secure cookies only");
  if (out.name_prefix == NamePrefix::host && !secure)
    in.problem("LATCHKEY_AUTH_COOKIE_NAME_PREFIX is host, which browsers take of secure cookies only");
  if (out.name_prefix == NamePrefix::host && !out.cross_subdomain.empty())
    in.problem("LATCHKEY_AUTH_COOKIE_NAME_PREFIX is host: such cookies have no LATCHKEY_AUTH_COOKIE_DOMAIN");
  const std::string& domain = out.cross_subdomain;
  if (!domain.empty() && base->host != domain && !base->host.ends_with("." + domain))
    in.problem(
        fmt::format("LATCHKEY_AUTH_COOKIE_DOMAIN is {}, but must be {} or a domain above it: browsers "
                    "refuse cookies for others",
                    domain, base->host));
  else if (!domain.empty() && (base->host_is_ip() || domain.find('.') == std::string::npos))
    in.problem(fmt::format("LATCHKEY_AUTH_COOKIE_DOMAIN is {}, for which browsers take no cookies", domain));
  return out;
}

auth::RateLimitOptions read_rate_limit(Variables& in) {
  using Storage = auth::RateLimitOptions::Storage;
  auth::RateLimitOptions out;
  out.enabled = in.flag("LATCHKEY_AUTH_RATE_LIMIT", true);
  out.window = seconds(in.number("LATCHKEY_AUTH_RATE_LIMIT_WINDOW", 10, 1, k_day));
  out.max = static_cast<int>(in.number("LATCHKEY_AUTH_RATE_LIMIT_MAX", 100, 1, 1'000'000));
  out.storage = read_choice<Storage>(in, "LATCHKEY_AUTH_RATE_LIMIT_STORAGE", "memory",
                                     {{"memory", Storage::memory}, {"database", Storage::database}});
  return out;
}

void read_ways_in(Variables& in, service::ServiceOptions& out) {
  if (in.flag("LATCHKEY_AUTH_EMAIL_OTP", false))
    out.email_otp = service::EmailOtpSettings{
        .otp_length = static_cast<std::size_t>(in.number("LATCHKEY_AUTH_EMAIL_OTP_LENGTH", 8, 6, 12)),
        .expires_in = seconds(in.number("LATCHKEY_AUTH_EMAIL_OTP_EXPIRES_IN", 600, 60, 3600)),
        .allowed_attempts = static_cast<int>(in.number("LATCHKEY_AUTH_EMAIL_OTP_ATTEMPTS", 5, 1, 10)),
        .disable_sign_up = in.flag("LATCHKEY_AUTH_EMAIL_OTP_DISABLE_SIGN_UP", false),
        .codes_per_minute = in.number("LATCHKEY_CODES_PER_MINUTE", 30, 1, 1'000'000)};
  if (in.flag("LATCHKEY_AUTH_MAGIC_LINK", false))
    out.magic_link = service::MagicLinkSettings{
        .expires_in = seconds(in.number("LATCHKEY_AUTH_MAGIC_LINK_EXPIRES_IN", 300, 60, 3600)),
        .disable_sign_up = in.flag("LATCHKEY_AUTH_MAGIC_LINK_DISABLE_SIGN_UP", false)};
  auto& password = out.email_and_password;
  password.enabled = in.flag("LATCHKEY_AUTH_PASSWORD", false);
  password.disable_sign_up = in.flag("LATCHKEY_AUTH_PASSWORD_DISABLE_SIGN_UP", false);
  password.require_email_verification = in.flag("LATCHKEY_AUTH_PASSWORD_REQUIRE_VERIFICATION", false);
  password.min_password_length =
      static_cast<std::size_t>(in.number("LATCHKEY_AUTH_PASSWORD_MIN_LENGTH", 8, 1, 1024));
  password.max_password_length =
      static_cast<std::size_t>(in.number("LATCHKEY_AUTH_PASSWORD_MAX_LENGTH", 128, 1, 1024));
  if (password.min_password_length > password.max_password_length)
    in.problem(
        fmt::format("LATCHKEY_AUTH_PASSWORD_MIN_LENGTH is {}, more than the longest password may have: {}",
                    password.min_password_length, password.max_password_length));
  out.anonymous = in.flag("LATCHKEY_AUTH_ANONYMOUS", false);
  out.bearer = in.flag("LATCHKEY_AUTH_BEARER", false);
  if (in.flag("LATCHKEY_AUTH_JWT", false))
    out.jwt =
        auth::JwtOptions{.issuer = {},
                         .audience = in.text("LATCHKEY_AUTH_JWT_AUDIENCE", ""),
                         .expires_in = seconds(in.number("LATCHKEY_AUTH_JWT_EXPIRES_IN", 900, 30, k_day))};
  out.delete_user = in.flag("LATCHKEY_AUTH_DELETE_USER", false);
}

void read_passkey(Variables& in, service::ServiceOptions& out, const std::optional<Url>& base) {
  if (!in.flag("LATCHKEY_AUTH_PASSKEY", false)) return;
  out.passkey_rp_id = in.text("LATCHKEY_PASSKEY_RP_ID", "");
  const std::string& rp_id = *out.passkey_rp_id;
  if (!base) return;
  if (base->host_is_ip())
    in.problem(fmt::format(
        "LATCHKEY_AUTH_PASSKEY is on, but browsers know no passkeys at addresses such as {}", base->host));
  else if (!rp_id.empty() && base->host != rp_id && !base->host.ends_with("." + rp_id))
    in.problem(
        fmt::format("LATCHKEY_PASSKEY_RP_ID is {}, but must be {} or a domain above it", rp_id, base->host));
}

auth::AccountLinkingOptions read_linking(Variables& in) {
  auth::AccountLinkingOptions out;
  out.enabled = in.flag("LATCHKEY_AUTH_LINKING", true);
  out.trusted_providers = in.list("LATCHKEY_AUTH_LINKING_TRUSTED_PROVIDERS");
  out.allow_different_emails = in.flag("LATCHKEY_AUTH_LINKING_DIFFERENT_EMAILS", false);
  return out;
}

// "app.bsky.feed.*" or "app.bsky.feed.getTimeline did:web:api.bsky.app#bsky_appview".
auth::AllowedCall allowed_call(std::string_view text) {
  const auto space = text.find(' ');
  if (space == text.npos) return {.method = std::string(text)};
  return {.method = std::string(text.substr(0, space)), .audience = std::string(text.substr(space + 1))};
}

std::optional<std::string> read_key_file(Variables& in, std::string_view variable, const std::string& path) {
  auto pem = file_text(path);
  const auto key = crypto::PrivateKey::from_pem(pem);
  if (key && key->curve() == crypto::Curve::p256) return pem;
  in.problem(fmt::format("{}: {} holds no private key for ES256 (PEM, P-256)", variable, path));
  return std::nullopt;
}

// Whether there is a key, or one is to be made, shows at the end.
std::optional<BlueskyConfig> read_bluesky(Variables& in, const std::string& app_name) {
  using Sync = auth::AtprotoOptions::ProfileSync;
  if (!in.flag("LATCHKEY_AUTH_ATPROTO", false)) return std::nullopt;
  BlueskyConfig out{
      .private_keys = {},
      .client = {.client_name = in.text("LATCHKEY_AUTH_ATPROTO_CLIENT_NAME", app_name),
                 .client_uri = in.text("LATCHKEY_AUTH_ATPROTO_CLIENT_URI", ""),
                 .logo_uri = in.text("LATCHKEY_AUTH_ATPROTO_LOGO_URI", ""),
                 .tos_uri = in.text("LATCHKEY_AUTH_ATPROTO_TOS_URI", ""),
                 .policy_uri = in.text("LATCHKEY_AUTH_ATPROTO_POLICY_URI", ""),
                 .scope = in.text("LATCHKEY_AUTH_ATPROTO_SCOPE", "atproto transition:generic")},
      .disable_sign_up = in.flag("LATCHKEY_AUTH_ATPROTO_DISABLE_SIGN_UP", false),
      .profile_sync = read_choice<Sync>(
          in, "LATCHKEY_AUTH_ATPROTO_PROFILE_SYNC", "every-sign-in",
          {{"off", Sync::off}, {"sign-up", Sync::at_sign_up}, {"every-sign-in", Sync::at_every_sign_in}}),
      .allowed_calls = {}};
  for (const char* name : {"LATCHKEY_AUTH_ATPROTO_CLIENT_URI", "LATCHKEY_AUTH_ATPROTO_LOGO_URI",
                           "LATCHKEY_AUTH_ATPROTO_TOS_URI", "LATCHKEY_AUTH_ATPROTO_POLICY_URI"})
    if (const auto uri = in.text(name); uri && !uri->starts_with("https://"))
      in.problem(fmt::format("{} must be https: {}", name, *uri));
  if (out.client.scope != "atproto" && !out.client.scope.starts_with("atproto "))
    in.problem(
        fmt::format("LATCHKEY_AUTH_ATPROTO_SCOPE is \"{}\", but must begin with atproto", out.client.scope));
  for (const auto& call : in.list("LATCHKEY_AUTH_ATPROTO_ALLOWED_CALLS"))
    out.allowed_calls.push_back(allowed_call(call));
  try {
    auth::check_allowed_calls(out.allowed_calls);
  } catch (const std::invalid_argument& e) {
    in.problem(fmt::format("LATCHKEY_AUTH_ATPROTO_ALLOWED_CALLS: {}", e.what()));
  }
  return out;
}

// What is asked for handles that begin with what somebody types.
std::string read_typeahead(Variables& in, const AuthConfig& config) {
  constexpr const char* k_typeahead = "LATCHKEY_AUTH_TYPEAHEAD";
  const std::string text = in.text(k_typeahead, "");
  if (text.empty()) return text;
  const auto url = Url::parse(text);
  const bool web = url && (url->scheme == "https" || url->scheme == "http");
  if (!web || (text != url->origin() && text != url->origin() + "/"))
    in.problem(
        fmt::format("{} is \"{}\", but must be the origin of an AppView, such as "
                    "https://public.api.bsky.app",
                    k_typeahead, text));
  else if (url->scheme == "http" && !config.private_network)
    in.problem(fmt::format("{} must be https: {}", k_typeahead, text));
  else if (!config.bluesky)
    in.problem(fmt::format("{} suggests handles, but no handles are asked for: LATCHKEY_AUTH_ATPROTO is off",
                           k_typeahead));
  else if (config.service.sign_in_page == service::Switch::off)
    in.problem(fmt::format("{} is for the sign-in page, but LATCHKEY_AUTH_SIGN_IN_PAGE is off", k_typeahead));
  return web ? url->origin() : "";
}

bool mail_is_wanted(const Variables& in) {
  for (const char* name :
       {"EMAIL_PROVIDER", "SMTP_FROM", "SMTP_HOST", "PDS_EMAIL_SMTP_URL", "PDS_EMAIL_FROM_ADDRESS"})
    if (in.text(name)) return true;
  return false;
}

void check_mail(Variables& in, const service::ServiceOptions& o) {
  if (o.email_otp)
    in.problem("LATCHKEY_AUTH_EMAIL_OTP is on, but no mail is configured (SMTP_HOST, SMTP_FROM)");
  if (o.magic_link)
    in.problem("LATCHKEY_AUTH_MAGIC_LINK is on, but no mail is configured (SMTP_HOST, SMTP_FROM)");
  if (o.email_and_password.require_email_verification)
    in.problem(
        "LATCHKEY_AUTH_PASSWORD_REQUIRE_VERIFICATION is on, but no mail is configured (SMTP_HOST, "
        "SMTP_FROM)");
}

AuthConfig read(Variables& in, const Environment& environment, const EnvironmentNames& names,
                Problems& problems, Rng& rng) {
  const auto base = read_base_url(in);
  AuthConfig config{
      .service = {.base_url = in.text("BETTER_AUTH_URL", ""),
                  .app_name = in.text("LATCHKEY_AUTH_APP_NAME", base ? base->host : std::string()),
                  .secret = in.secret("BETTER_AUTH_SECRET", k_min_secret)
                                .value_or(Secret<std::string>(std::string()))},
      .providers = {},
      .bluesky = {},
      .plc_url = in.url("LATCHKEY_AUTH_ATPROTO_PLC_URL").value_or("https://plc.directory"),
      .handle_host = in.url("LATCHKEY_AUTH_ATPROTO_HANDLE_HOST"),
      .mail = {},
      .listen_address = {},
      .port = 0,
      .trusted_proxies = in.list("LATCHKEY_TRUSTED_PROXIES"),
      .data_dir = in.text("LATCHKEY_AUTH_DATA_DIRECTORY", "latchkey-auth"),
      .database = {},
      .private_network = in.flag("LATCHKEY_AUTH_PRIVATE_NETWORK", false),
      .ca_file = in.text("SSL_CERT_FILE", ""),
      .log_level = in.log_level()};
  config.database = in.text("LATCHKEY_AUTH_DATABASE", config.data_dir + "/auth.sqlite");
  while (config.plc_url.ends_with('/')) config.plc_url.pop_back();
  while (config.handle_host && config.handle_host->ends_with('/')) config.handle_host->pop_back();
  // It would be believed about every handle there is.
  if (config.handle_host && !config.private_network)
    in.problem("LATCHKEY_AUTH_ATPROTO_HANDLE_HOST is for tests: it wants LATCHKEY_AUTH_PRIVATE_NETWORK");
  auto& out = config.service;
  for (const auto& old : in.list("LATCHKEY_AUTH_OLD_SECRETS")) {
    if (old.size() < k_min_secret)
      in.problem(fmt::format("LATCHKEY_AUTH_OLD_SECRETS has one of {} characters; secrets have {} or more",
                             old.size(), k_min_secret));
    out.old_secrets.emplace_back(old);
  }
  out.trusted_origins = read_trusted_origins(in, base);
  out.cors = in.flag("LATCHKEY_AUTH_CORS", true) ? auth::Cors::trusted_origins : auth::Cors::off;
  out.session = read_session(in);
  out.cookies = read_cookies(in, base);
  out.rate_limit = read_rate_limit(in);
  out.linking = read_linking(in);
  out.forward_auth = in.flag("LATCHKEY_AUTH_FORWARD_AUTH", true) ? service::Switch::on : service::Switch::off;
  out.sign_in_page = in.flag("LATCHKEY_AUTH_SIGN_IN_PAGE", true) ? service::Switch::on : service::Switch::off;
  read_ways_in(in, out);
  read_passkey(in, out, base);
  out.template_directory = read_template_directory(in);
  read_listen(in, config);
  if (config.trusted_proxies.empty()) config.trusted_proxies = {"127.0.0.1", "::1"};
  for (const auto& text : config.trusted_proxies)
    if (!web::Network::parse(text))
      in.problem(fmt::format(
          "LATCHKEY_TRUSTED_PROXIES: {} is neither an address nor a network such as 10.0.0.0/8", text));
  config.providers = read_sign_in_providers(
      environment, names, config.private_network ? PlainHttpProviders::allow : PlainHttpProviders::refuse,
      problems);
  config.bluesky = read_bluesky(in, out.app_name);
  if (out.cookies.same_site == web::SameSite::strict && (config.bluesky || !config.providers.empty()))
    in.problem(
        "LATCHKEY_AUTH_COOKIE_SAME_SITE is strict: browsers send no such cookie when they come back from "
        "another server, so that nobody could sign in there");
  out.typeahead = read_typeahead(in, config);
  if (mail_is_wanted(in))
    config.mail = read_mail(in, out.app_name, config.ca_file);
  else
    check_mail(in, out);
  if (!out.email_otp && !out.magic_link && !out.email_and_password.enabled && !out.passkey_rp_id &&
      !out.anonymous && config.providers.empty() && !config.bluesky && problems.empty())
    in.problem(
        "there is no way to sign in: switch on emailOtp, magicLink, emailAndPassword, passkey, anonymous or "
        "atproto, or give a provider its clientId and clientSecret");
  if (config.bluesky && problems.empty()) try {
      // Keys come last; any will do to see whether the rest can be published.
      const auto key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
      auth::atproto_client_metadata(base->origin(), "", config.bluesky->client, {{"any", key}});
    } catch (const std::invalid_argument& e) {
      in.problem(fmt::format("LATCHKEY_AUTH_ATPROTO: {}", e.what()));
    }
  return config;
}

// ECPrivateKey of RFC 5915 §3 on P-256, without the public key, which follows from it.
Secret<std::string> pem_of(const crypto::PrivateKey& key) {
  constexpr std::uint8_t k_before[] = {0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20};
  constexpr std::uint8_t k_after[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  Bytes der(std::begin(k_before), std::end(k_before));
  const auto scalar = key.bytes();
  der.insert(der.end(), scalar.reveal().begin(), scalar.reveal().end());
  der.insert(der.end(), std::begin(k_after), std::end(k_after));
  std::string text = base64(der);
  for (std::size_t at = 64; at < text.size(); at += 65) text.insert(at, "\n");
  return Secret<std::string>(
      fmt::format("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n", text));
}

}  // namespace

Result<AuthConfig, Problems> read_auth_config(const AuthFile& file, const Environment& environment,
                                              const EnvironmentNames& names, Rng& rng) {
  Problems problems;
  const Environment merged = file.over(environment);
  const EnvironmentNames merged_names = file.over(names);
  Variables in(merged, problems);
  AuthConfig config = read(in, merged, merged_names, problems, rng);

  constexpr const char *k_key = "LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_FILE",
                       *k_old_keys = "LATCHKEY_AUTH_ATPROTO_OLD_PRIVATE_KEY_FILES";
  const auto key_file = in.text(k_key);
  if (config.bluesky) {
    std::vector<std::pair<const char*, std::string>> files;
    if (key_file) files.emplace_back(k_key, *key_file);
    for (auto& old : in.list(k_old_keys)) files.emplace_back(k_old_keys, std::move(old));
    for (const auto& [variable, path] : files)
      if (auto pem = read_key_file(in, variable, path))
        config.bluesky->private_keys.emplace_back(*std::move(pem));
  }
  if (problems.empty()) try {
      // Nothing is made while the configuration is not right.
      std::filesystem::create_directories(config.data_dir);
      SecretsFile secrets(config.data_dir + "/secrets.json", rng);
      if (config.service.secret.reveal().empty()) config.service.secret = secrets.get("BETTER_AUTH_SECRET");
      if (config.bluesky && !key_file && config.service.base_url.starts_with("https://")) {
        const auto scalar = from_hex(secrets.get("LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_HEX").reveal());
        const auto key = crypto::PrivateKey::from_bytes(crypto::Curve::p256, scalar.value_or(Bytes()));
        if (!key) throw std::runtime_error("LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_HEX in secrets.json is no key");
        auto& keys = config.bluesky->private_keys;
        keys.insert(keys.begin(), pem_of(*key));
      }
      return config;
    } catch (const std::exception& e) {
      in.problem(
          fmt::format("LATCHKEY_AUTH_DATA_DIRECTORY: {} cannot be used: {}", config.data_dir, e.what()));
    }
  for (auto& problem : problems) problem = file.in_place(std::move(problem), environment);
  return fail(std::move(problems));
}

}  // namespace latchkey::app
