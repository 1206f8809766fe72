#include "config.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "atproto/syntax/did.h"
#include "base/encoding.h"
#include "base/secrets_file.h"
#include "base/url.h"
#include "crypto/hash.h"
#include "mail_config.h"
#include "template_config.h"
#include "variables.h"
#include "web/address.h"

namespace latchkey::app {
namespace {

constexpr std::size_t k_min_admin_password = 12;

struct SignUp {
  pds::SignUpPolicy policy;
  bool invite_required;  // by createAccount
};

// LATCHKEY_SIGN_UP says it all. Without it the variables of the reference and of ePDS do: the pages then use
// MAGIC_INVITE_CODE on everybody's behalf.
SignUp read_sign_up(Variables& in, bool invite_required, bool magic) {
  using Kind = pds::SignUpPolicy::Kind;
  const auto text = in.text("LATCHKEY_SIGN_UP");
  if (!text)
    return {.policy = pds::SignUpPolicy::parse(invite_required && !magic ? "invite" : "open").value(),
            .invite_required = invite_required};
  const auto policy = pds::SignUpPolicy::parse(*text);
  if (!policy) {
    in.problem(fmt::format("LATCHKEY_SIGN_UP is \"{}\", but {}", *text, policy.error()));
    return {.policy = {}, .invite_required = invite_required};
  }
  const bool by_invite = policy->kind() == Kind::invite;
  if (in.text("PDS_INVITE_REQUIRED") && invite_required != by_invite)
    in.problem(fmt::format("LATCHKEY_SIGN_UP is {}, but PDS_INVITE_REQUIRED is {}: leave the latter out",
                           policy->str(), invite_required));
  return {.policy = *policy, .invite_required = by_invite};
}

bool is_host_name(const std::string& text) {
  const auto url = Url::parse("https://" + text);
  return url && url->host == text && !url->host_is_ip() && !text.ends_with('.');
}

void read_branding(Variables& in, ServeConfig& config) {
  auto& out = config.branding;
  out.name = in.text("PDS_SERVICE_NAME", "");
  out.colors = {.brand = in.color("PDS_PRIMARY_COLOR"),
                .bad = in.color("PDS_ERROR_COLOR"),
                .good = in.color("PDS_SUCCESS_COLOR"),
                .accent = in.color("PDS_INFO_COLOR")};
  in.color("PDS_WARNING_COLOR");  // no page warns; what is not a colour is said all the same
  out.logo_url = in.web_url("PDS_LOGO_URL").value_or("");
  out.favicon_url = in.web_url("LATCHKEY_FAVICON_URL").value_or("");
  out.home_url = in.web_url("PDS_HOME_URL").value_or("");
  out.support_url = in.web_url("PDS_SUPPORT_URL").value_or("");
  out.terms_of_service_url = config.pds.terms_of_service_url.value_or("");
  out.privacy_policy_url = config.pds.privacy_policy_url.value_or("");
  for (auto& domain : in.list("EMAIL_TEMPLATE_ALLOWED_DOMAINS")) {
    if (!is_host_name(domain))
      in.problem(
          fmt::format("EMAIL_TEMPLATE_ALLOWED_DOMAINS has {}, which is no host name in lower case", domain));
    config.email_template_domains.insert(std::move(domain));
  }
}

// "127.0.0.1:3002" or "[::1]:3002".
void read_internal_listener(Variables& in, SplitHosts& out) {
  constexpr const char* k_name = "LATCHKEY_INTERNAL_LISTEN";
  const auto text = in.text(k_name);
  if (!text) return;
  const auto url = Url::parse("http://" + *text);
  // What looks like no port is port 80, which nobody means here.
  if (!url || !url->port || !url->host_is_ip() || url->authority() != *text) {
    in.problem(fmt::format("{} is \"{}\", but must be an address with a port, such as 127.0.0.1:3002", k_name,
                           *text));
    return;
  }
  out.internal_address = url->host;
  if (out.internal_address.starts_with('['))
    out.internal_address = out.internal_address.substr(1, out.internal_address.size() - 2);
  out.internal_port = *url->port;
  if (const auto ip = web::IpAddress::parse(out.internal_address); !ip || ip->is_public())
    in.problem(fmt::format("{} is {}, which the whole internet reaches; give an address of a private network",
                           k_name, *text));
}

// Both secrets or none; in development, too, for the one signs sign-ins and the other opens what is said of
// addresses.
void read_split_hosts(Variables& in, ServeConfig& config) {
  constexpr const char* k_callback = "MAGIC_CALLBACK_SECRET";
  constexpr const char* k_internal = "MAGIC_INTERNAL_SECRET";
  const auto callback = in.secret(k_callback, k_min_secret), internal = in.secret(k_internal, k_min_secret);
  if (!callback && !internal) {
    if (in.text("LATCHKEY_INTERNAL_LISTEN"))
      in.problem(
          fmt::format("LATCHKEY_INTERNAL_LISTEN is set, but neither {} nor {}: nothing is there to serve",
                      k_callback, k_internal));
    return;
  }
  if (!callback || !internal) {
    in.problem(fmt::format("{} is missing: a sign-in service on another host needs {} and {}",
                           callback ? k_internal : k_callback, k_callback, k_internal));
    return;
  }
  if (callback->reveal() == internal->reveal())
    in.problem(fmt::format("{} is the same as {}; whoever reads it in a request could sign people in",
                           k_internal, k_callback));
  if (config.auth_origin == config.pds.public_url)
    in.problem(fmt::format("{} is for a sign-in service on another host, but AUTH_HOSTNAME is this one",
                           k_callback));
  const auto bytes = [](const Secret<std::string>& text) {
    return Secret<Bytes>(to_bytes(std::string_view(text.reveal())));
  };
  config.split_hosts = SplitHosts{.callback_secret = bytes(*callback),
                                  .internal_secret = bytes(*internal),
                                  .internal_address = {},
                                  .internal_port = 0};
  read_internal_listener(in, *config.split_hosts);
}

}  // namespace

Result<ServeConfig, Problems> read_config(const Environment& environment, const EnvironmentNames& names,
                                          Rng& rng) {
  Problems problems;
  Variables in(environment, problems);

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

  const log::Level log_level = in.log_level();
  const bool invite_required = in.flag("PDS_INVITE_REQUIRED", true);
  const auto magic_invite_code = in.text("MAGIC_INVITE_CODE");
  const auto sign_up = read_sign_up(in, invite_required, magic_invite_code.has_value());
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
              .sign_up = sign_up.policy,
              .invite_required = sign_up.invite_required,
              .magic_invite_code =
                  magic_invite_code ? std::optional(Secret<std::string>(*magic_invite_code)) : std::nullopt,
              .admin_password = admin_password,
              .blob_upload_limit =
                  static_cast<std::size_t>(in.number("PDS_BLOB_UPLOAD_LIMIT", 5 << 20, 1, 1ll << 40)),
              .blob_directory = in.text("PDS_BLOBSTORE_DISK_LOCATION", data_dir + "/blobs"),
              .privacy_policy_url = in.web_url("PDS_PRIVACY_POLICY_URL"),
              .terms_of_service_url = in.web_url("PDS_TERMS_OF_SERVICE_URL"),
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
      .dev_mode = dev_mode,
      .ssrf_protection = !in.flag("PDS_DISABLE_SSRF_PROTECTION", false),
      .trusted_proxies = std::move(trusted),
      .trusted_clients = std::move(trusted_clients),
      .branding = {},
      .email_template_domains = {},
      .rate_limits = count_requests ? std::optional(std::move(rate_limits)) : std::nullopt,
      .codes_per_minute = in.number("LATCHKEY_CODES_PER_MINUTE", 30, 1, 1'000'000),
      .ca_file = in.text("SSL_CERT_FILE", ""),
      .smtp = {},
      .from = {*mail::EmailAddress::parse("nobody@example.com"), ""},
      .dkim = {},
      .template_directory = {},
      .sign_in_providers = {},
      .passkey_rp_id = in.text("LATCHKEY_PASSKEY_RP_ID", ""),
      .session_expires_in = std::chrono::seconds(in.number("SESSION_EXPIRES_IN", 604'800, 3600, 34'560'000)),
      .session_update_age = std::chrono::seconds(in.number("SESSION_UPDATE_AGE", 86'400, 0, 34'560'000)),
      .recovery_delay = std::chrono::hours(in.number("LATCHKEY_RECOVERY_DELAY_HOURS", 0, 0, 24 * 30)),
      .log_level = log_level};
  while (config.plc_url.ends_with('/')) config.plc_url.pop_back();
  auto mail = read_mail(in, config.service_name, config.ca_file);
  config.smtp = std::move(mail.smtp);
  config.from = std::move(mail.from);
  config.dkim = std::move(mail.dkim);
  read_branding(in, config);
  config.template_directory = read_template_directory(in);
  read_split_hosts(in, config);
  config.sign_in_providers = read_sign_in_providers(
      environment, names,
      dev_mode || !config.ssrf_protection ? PlainHttpProviders::allow : PlainHttpProviders::refuse, problems);
  if (const auto pages = Url::parse(config.auth_origin); !config.passkey_rp_id.empty() && pages &&
                                                         pages->host != config.passkey_rp_id &&
                                                         !pages->host.ends_with("." + config.passkey_rp_id))
    in.problem(fmt::format("LATCHKEY_PASSKEY_RP_ID is {}, but must be {} or a domain above it",
                           config.passkey_rp_id, pages->host));
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
