#pragma once
// The environment of `latchkey serve`, read once. docs/configuration.md lists every name.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "base/secret.h"
#include "crypto/key.h"
#include "environment.h"
#include "mail/smtp.h"
#include "pds/config.h"
#include "sign_in_providers.h"
#include "signin/branding/branding.h"
#include "web/rate_limit.h"

namespace latchkey::app {

// A sign-in service on another host (epds-flows, section 10).
struct SplitHosts {
  Secret<Bytes> callback_secret, internal_secret;
  std::string internal_address;  // "" : no internal listener
  std::uint16_t internal_port = 0;
};

struct ServeConfig {
  pds::Config pds;
  std::string auth_origin;
  std::string plc_url;
  std::string service_name;
  std::string listen_address;
  std::uint16_t port;
  std::string data_dir;
  std::string database;  // a file, or postgres://…
  Secret<Bytes> session_secret, dpop_secret, storage_secret;
  bool dev_mode;
  bool ssrf_protection;
  std::vector<std::string> trusted_proxies;
  std::set<std::string> trusted_clients;  // client_ids
  signin::OperatorBranding branding;
  std::set<std::string> email_template_domains;
  std::optional<web::RateLimitOptions> rate_limits;  // none: requests are not counted
  std::int64_t codes_per_minute;                     // mailed to everybody together
  std::string ca_file;                               // SSL_CERT_FILE. "" : the system's certificates
  mail::SmtpServer smtp;
  mail::From from;
  std::optional<mail::Dkim> dkim;                               // none: mails leave unsigned
  std::string template_directory;                               // "" : the embedded templates
  std::vector<SignInProvider> sign_in_providers;                // beside the code by mail
  std::string passkey_rp_id;                                    // "" : the host of the pages
  std::chrono::seconds session_expires_in, session_update_age;  // of /api/auth
  std::chrono::hours recovery_delay;           // how long the primary mailbox may call a recovery off
  std::optional<SplitHosts> split_hosts = {};  // none: the pages are served here
  log::Level log_level;
};

/// Secrets that are not given are made and kept in <data directory>/secrets.json. All problems are found at
/// once.
Result<ServeConfig, Problems> read_config(const Environment& environment, const EnvironmentNames& names,
                                          Rng& rng);

}  // namespace latchkey::app
