#include "config.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "atproto/syntax/did.h"
#include "base/encoding.h"
#include "base/secrets_file.h"
#include "base/url.h"
#include "crypto/hash.h"

namespace latchkey::app {
namespace {

constexpr std::size_t k_min_secret = 32;
constexpr std::size_t k_min_admin_password = 12;

// What documentation and tutorials print, and what people type when a program asks for a secret.
bool is_well_known(std::string_view value) {
  static const std::set<std::string_view> known{"secret",
                                                "password",
                                                "changeme",
                                                "change-me",
                                                "admin",
                                                "test",
                                                "dev",
                                                "development",
                                                "default",
                                                "letmein",
                                                "your-secret-here",
                                                "replace-me",
                                                "jwt-secret",
                                                "super-secret",
                                                "supersecret",
                                                "12345678",
                                                "123456789012"};
  std::string lower(value);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (known.contains(lower)) return true;
  return lower.find("changeme") != std::string::npos || lower.find("change-me") != std::string::npos ||
         std::set<char>(lower.begin(), lower.end()).size() < 6;  // aaaa…, 0000…
}

class Reader {
 public:
  Reader(const Environment& environment, Problems& problems)
      : environment_(environment), problems_(problems) {}

  void problem(std::string text) { problems_.push_back(std::move(text)); }
  std::optional<std::string> raw(std::string_view name) const { return environment_(name); }
  /// Set and not empty.
  std::optional<std::string> text(std::string_view name) const {
    auto value = environment_(name);
    return value && !value->empty() ? value : std::nullopt;
  }
  std::string text(std::string_view name, std::string_view otherwise) const {
    return text(name).value_or(std::string(otherwise));
  }
  bool flag(std::string_view name, bool otherwise) {
    const auto value = text(name);
    if (!value) return otherwise;
    if (*value == "true" || *value == "1") return true;
    if (*value == "false" || *value == "0") return false;
    problem(fmt::format("{} is \"{}\", but must be true or false", name, *value));
    return otherwise;
  }
  std::int64_t number(std::string_view name, std::int64_t otherwise, std::int64_t low, std::int64_t high) {
    const auto value = text(name);
    if (!value) return otherwise;
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), n);
    if (error == std::errc() && end == value->data() + value->size() && n >= low && n <= high) return n;
    problem(fmt::format("{} is \"{}\", but must be a number from {} to {}", name, *value, low, high));
    return otherwise;
  }
  std::optional<std::string> url(std::string_view name) {
    const auto value = text(name);
    if (!value) return std::nullopt;
    if (Url::parse(*value)) return value;
    problem(fmt::format("{} is not a URL: {}", name, *value));
    return std::nullopt;
  }
  std::vector<std::string> list(std::string_view name) const {
    std::vector<std::string> out;
    const std::string value = text(name, "");
    for (std::size_t at = 0; at < value.size();) {
      const auto comma = std::min(value.find(',', at), value.size());
      std::string item = value.substr(at, comma - at);
      std::erase(item, ' ');
      if (!item.empty()) out.push_back(std::move(item));
      at = comma + 1;
    }
    return out;
  }
  /// A secret that was set must be a good one; one that was not is std::nullopt.
  std::optional<Secret<std::string>> secret(std::string_view name, std::size_t min_length) {
    const auto value = environment_(name);
    if (!value) return std::nullopt;
    if (value->empty())
      problem(fmt::format("{} is empty; unset it to have one made, or give at least {} characters", name,
                          min_length));
    else if (value->size() < min_length)
      problem(fmt::format("{} is too short: {} characters, at least {} are needed", name, value->size(),
                          min_length));
    else if (is_well_known(*value))
      problem(fmt::format("{} is easy to guess; use for example: openssl rand -hex 32", name));
    return Secret<std::string>(*value);
  }

 private:
  const Environment& environment_;
  Problems& problems_;
};

void read_mail(Reader& in, ServeConfig& config) {
  const std::string provider = in.text("EMAIL_PROVIDER", "smtp");
  if (provider != "smtp")
    in.problem(fmt::format("EMAIL_PROVIDER is \"{}\"; this version knows smtp", provider));
  if (const auto url = in.text("PDS_EMAIL_SMTP_URL"); url && !in.text("SMTP_HOST")) {
    auto server = mail::parse_smtp_url(*url);
    if (server)
      config.smtp = std::move(*server);
    else
      in.problem("PDS_EMAIL_SMTP_URL: " + server.error());
  } else if (const auto host = in.text("SMTP_HOST")) {
    config.smtp.host = *host;
    config.smtp.port = static_cast<std::uint16_t>(in.number("SMTP_PORT", 587, 1, 65535));
    config.smtp.user = in.text("SMTP_USER", "");
    config.smtp.password = Secret<std::string>(in.text("SMTP_PASS", ""));
    if (config.smtp.port == 465)
      config.smtp.security = mail::Security::tls;
    else if (config.smtp.user.empty() && (*host == "localhost" || *host == "127.0.0.1" || *host == "::1"))
      config.smtp.security = mail::Security::if_offered;  // a sink or relay on this machine
    if (!config.smtp.user.empty() && config.smtp.password.reveal().empty())
      in.problem("SMTP_PASS is missing, but SMTP_USER is set");
  } else {
    in.problem("SMTP_HOST is missing: people sign in by a code sent by mail (or give PDS_EMAIL_SMTP_URL)");
  }
  const char* from_name = in.text("SMTP_FROM") ? "SMTP_FROM" : "PDS_EMAIL_FROM_ADDRESS";
  if (const auto from = in.text(from_name)) {
    if (auto address = mail::EmailAddress::parse(*from))
      config.from.address = std::move(*address);
    else
      in.problem(fmt::format("{} is no e-mail address: {}", from_name, *from));
  } else {
    in.problem("SMTP_FROM is missing: the address mails come from");
  }
  config.from.name = in.text("SMTP_FROM_NAME", config.service_name);
  config.smtp.ca_file = config.ca_file;
}

bool is_host_name(const std::string& text) {
  const auto url = Url::parse("https://" + text);
  return url && url->host == text && !url->host_is_ip() && !text.ends_with('.');
}

}  // namespace

Result<ServeConfig, Problems> read_config(const Environment& environment, Rng& rng) {
  Problems problems;
  Reader in(environment, problems);

  const bool dev_mode = in.flag("PDS_DEV_MODE", false);
  const auto port = static_cast<std::uint16_t>(in.number("PDS_PORT", 3000, 1, 65535));
  std::string hostname = in.text("PDS_HOSTNAME", "");
  if (hostname.empty()) {
    in.problem("PDS_HOSTNAME is missing: the public name of this server, such as pds.example.com");
  } else if (!is_host_name(hostname)) {
    in.problem(fmt::format("PDS_HOSTNAME is no host name in lower case: {}", hostname));
    hostname.clear();  // what follows from it is not complained about as well
  }
  const bool local = hostname == "localhost";
  std::string public_url = local ? fmt::format("http://localhost:{}", port) : "https://" + hostname;
  if (const auto given = in.url("PDS_PUBLIC_URL")) {
    const auto url = Url::parse(*given);
    public_url = url->origin();
    if (!url->path.empty() && url->path != "/")
      in.problem("PDS_PUBLIC_URL must be an origin, without a path");
    if (url->scheme != "https" && !local && !dev_mode) in.problem("PDS_PUBLIC_URL must be https");
  }

  // Fixed in the design: the pages live on auth.<host>, except where not every system resolves that name.
  std::string auth_origin = public_url;
  const std::string auth_hostname =
      in.text("AUTH_HOSTNAME", local || hostname.empty() ? hostname : "auth." + hostname);
  if (!hostname.empty() && auth_hostname != hostname) {
    if (!is_host_name(auth_hostname) || !auth_hostname.ends_with("." + hostname))
      in.problem(fmt::format("AUTH_HOSTNAME must be {0} or a name below it, such as auth.{0}", hostname));
    else if (auto url = Url::parse(public_url)) {
      url->host = auth_hostname;
      auth_origin = url->origin();
    }
  }

  auto domains = in.list("PDS_SERVICE_HANDLE_DOMAINS");
  if (domains.empty()) domains.push_back(local ? ".test" : "." + hostname);
  for (const auto& domain : domains)
    if (!hostname.empty() && (!domain.starts_with('.') || !is_host_name("x" + domain)))
      in.problem(fmt::format("PDS_SERVICE_HANDLE_DOMAINS: \"{}\" must look like .example.com", domain));

  std::string service_did = in.text("PDS_SERVICE_DID", "did:web:" + hostname);
  if (!hostname.empty() && !Did::parse(service_did)) in.problem("PDS_SERVICE_DID is no DID: " + service_did);

  std::optional<crypto::PublicKey> recovery_key;
  if (const auto text = in.text("PDS_RECOVERY_DID_KEY")) {
    auto key = crypto::PublicKey::from_did_key(*text);
    if (key)
      recovery_key = *key;
    else
      in.problem("PDS_RECOVERY_DID_KEY is no did:key of a P-256 or K-256 key");
  }

  const std::size_t min_secret = dev_mode ? 1 : k_min_secret;
  auto jwt_secret = in.secret("PDS_JWT_SECRET", min_secret);
  auto dpop_secret = in.secret("PDS_DPOP_SECRET", k_min_secret);
  auto session_secret = in.secret("AUTH_SESSION_SECRET", k_min_secret);
  auto admin_password = in.secret("PDS_ADMIN_PASSWORD", dev_mode ? 1 : k_min_admin_password);
  std::optional<crypto::PrivateKey> rotation_key;
  if (const auto text = in.raw("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX")) {
    const auto bytes = from_hex(*text);
    auto key = bytes && bytes->size() == 32 && !is_well_known(*text)
                   ? crypto::PrivateKey::from_bytes(crypto::Curve::k256, *bytes)
                   : fail(crypto::KeyError{});
    if (key)
      rotation_key = *key;
    else
      in.problem(
          "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX must be 64 hexadecimal digits, a K-256 private key");
  }

  const std::string data_dir = in.text("PDS_DATA_DIRECTORY", "/data");

  const std::string level = in.text("LOG_LEVEL", "info");
  log::Level log_level = log::Level::info;
  if (level == "debug" || level == "trace")
    log_level = log::Level::debug;
  else if (level == "warn")
    log_level = log::Level::warn;
  else if (level == "error" || level == "fatal")
    log_level = log::Level::error;
  else if (level == "silent")
    log_level = log::Level::off;
  else if (level != "info")
    in.problem(fmt::format("LOG_LEVEL is \"{}\", but must be debug, info, warn, error or silent", level));

  const bool invite_required = in.flag("PDS_INVITE_REQUIRED", true);
  auto trusted = in.list("LATCHKEY_TRUSTED_PROXIES");
  if (trusted.empty()) trusted = {"127.0.0.1", "::1"};
  std::set<std::string> trusted_clients;
  for (auto& client_id : in.list("PDS_OAUTH_TRUSTED_CLIENTS")) {
    // Compared byte for byte with what a client sends, so a typo would go unnoticed.
    const auto url = Url::parse(client_id);
    if (!url || url->scheme != "https" || url->path.empty() || url->str() != client_id)
      in.problem(fmt::format("PDS_OAUTH_TRUSTED_CLIENTS has {}, which is no client_id: https, with a path",
                             client_id));
    trusted_clients.insert(std::move(client_id));
  }

  // Where everybody has one address (a test network), counting by address would stop the test.
  const bool count_requests = in.flag("PDS_RATE_LIMITS_ENABLED", !dev_mode);
  web::RateLimitOptions rate_limits{
      .bypass_key =
          in.secret("PDS_RATE_LIMIT_BYPASS_KEY", min_secret).value_or(Secret<std::string>(std::string())),
      .bypass_addresses = in.list("PDS_RATE_LIMIT_BYPASS_IPS")};
  const auto networks = [&](const char* name, const std::vector<std::string>& list) {
    for (const auto& text : list)
      if (!web::Network::parse(text))
        in.problem(fmt::format("{}: {} is neither an address nor a network such as 10.0.0.0/8", name, text));
  };
  networks("PDS_RATE_LIMIT_BYPASS_IPS", rate_limits.bypass_addresses);
  networks("LATCHKEY_TRUSTED_PROXIES", trusted);

  // A K-256 key that only stands in until the secrets are there.
  SeededRng none(0);
  ServeConfig config{
      .pds = {.public_url = public_url,
              .service_did = service_did,
              .handle_domains = domains,
              .version = in.text("PDS_VERSION", LATCHKEY_VERSION),
              .invite_required = invite_required,
              .blob_upload_limit =
                  static_cast<std::size_t>(in.number("PDS_BLOB_UPLOAD_LIMIT", 5 << 20, 1, 1ll << 40)),
              .privacy_policy_url = in.url("PDS_PRIVACY_POLICY_URL"),
              .terms_of_service_url = in.url("PDS_TERMS_OF_SERVICE_URL"),
              .contact_email = in.text("PDS_CONTACT_EMAIL_ADDRESS"),
              .jwt_secret = jwt_secret.value_or(Secret<std::string>(std::string())),
              .rotation_key =
                  rotation_key ? *rotation_key : crypto::PrivateKey::generate(crypto::Curve::k256, none),
              .recovery_key = recovery_key},
      .auth_origin = auth_origin,
      .plc_url = in.url("PDS_DID_PLC_URL").value_or("https://plc.directory"),
      .service_name = in.text("PDS_SERVICE_NAME", hostname),
      .listen_address = in.text("LATCHKEY_LISTEN", "127.0.0.1"),
      .port = port,
      .data_dir = data_dir,
      .database = in.text("DB_LOCATION", data_dir + "/latchkey.sqlite"),
      .session_secret = Secret<Bytes>(Bytes()),
      .dpop_secret = Secret<Bytes>(Bytes()),
      .storage_secret = Secret<Bytes>(Bytes()),
      .admin_password = admin_password,
      .may_sign_up = !invite_required || in.text("MAGIC_INVITE_CODE").has_value(),
      .dev_mode = dev_mode,
      .ssrf_protection = !in.flag("PDS_DISABLE_SSRF_PROTECTION", false),
      .trusted_proxies = std::move(trusted),
      .trusted_clients = std::move(trusted_clients),
      .rate_limits = count_requests ? std::optional(std::move(rate_limits)) : std::nullopt,
      .ca_file = in.text("SSL_CERT_FILE", ""),
      .smtp = {},
      .from = {*mail::EmailAddress::parse("nobody@example.com"), ""},
      .log_level = log_level};
  while (config.plc_url.ends_with('/')) config.plc_url.pop_back();
  read_mail(in, config);
  // Nothing is made while the configuration is not right: a mistyped run leaves neither folder nor secrets
  // behind.
  if (!problems.empty()) return fail(std::move(problems));
  std::optional<SecretsFile> secrets;
  try {
    std::filesystem::create_directories(data_dir);
    secrets.emplace(data_dir + "/secrets.json", rng);
  } catch (const std::exception& e) {
    in.problem(fmt::format("PDS_DATA_DIRECTORY {} cannot be used: {}", data_dir, e.what()));
    return fail(std::move(problems));
  }

  const auto bytes_of = [&](const std::optional<Secret<std::string>>& given, const char* name) {
    const Secret<std::string> text = given ? *given : secrets->get(name);
    return Secret<Bytes>(to_bytes(std::string_view(text.reveal())));
  };
  config.dpop_secret = bytes_of(dpop_secret, "PDS_DPOP_SECRET");
  config.session_secret = bytes_of(session_secret, "AUTH_SESSION_SECRET");
  config.storage_secret = bytes_of(std::nullopt, "LATCHKEY_STORAGE_SECRET");
  if (!jwt_secret) config.pds.jwt_secret = secrets->get("PDS_JWT_SECRET");
  if (!rotation_key)
    config.pds.rotation_key = *crypto::PrivateKey::from_bytes(
        crypto::Curve::k256, *from_hex(secrets->get("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX").reveal()));
  return config;
}

}  // namespace latchkey::app
