#pragma once
// The environment of `latchkey serve`, read once. docs/configuration.md lists every name.

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "base/secret.h"
#include "crypto/key.h"
#include "mail/smtp.h"
#include "pds/config.h"
#include "web/rate_limit.h"

namespace latchkey::app {

/// std::nullopt: not set. An empty value is set, and empty.
using Environment = std::function<std::optional<std::string>(std::string_view)>;

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
  std::optional<Secret<std::string>> admin_password;
  bool may_sign_up;
  bool dev_mode;
  bool ssrf_protection;
  std::vector<std::string> trusted_proxies;
  std::set<std::string> trusted_clients;  // client_ids
  std::optional<web::RateLimitOptions> rate_limits;  // none: requests are not counted
  std::string ca_file;  // SSL_CERT_FILE. "" : the system's certificates
  mail::SmtpServer smtp;
  mail::From from;
  log::Level log_level;
};

/// What the operator has to mend: one sentence each, beginning with the variable.
using Problems = std::vector<std::string>;

/// Secrets that are not given are made and kept in <data directory>/secrets.json. All problems are found at
/// once.
Result<ServeConfig, Problems> read_config(const Environment& environment, Rng& rng);

}  // namespace latchkey::app
