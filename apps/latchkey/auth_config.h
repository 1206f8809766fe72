#pragma once
// The configuration of `latchkey auth`, from its file and the environment. docs/auth-service.md explains it,
// ui/config/auth.toml lists every key.

#include <optional>
#include <string>
#include <vector>

#include "auth/plugins/atproto/atproto.h"
#include "auth/service/service.h"
#include "auth_file.h"
#include "mail_config.h"
#include "sign_in_providers.h"

namespace latchkey::app {

struct BlueskyConfig {
  std::vector<Secret<std::string>> private_keys;  // PEM; empty on this machine's own addresses
  auth::AtprotoClientMetadata client;
  bool disable_sign_up;
  auth::AtprotoOptions::ProfileSync profile_sync;
  std::vector<auth::AllowedCall> allowed_calls;
};

struct AuthConfig {
  service::ServiceOptions service;  // without providers and bluesky, which need the network
  std::vector<SignInProvider> providers;
  std::optional<BlueskyConfig> bluesky;
  std::string plc_url;
  std::optional<std::string> handle_host;  // a PDS on the private network that is asked for handles
  std::optional<MailConfig> mail;
  std::string listen_address;
  std::uint16_t port;
  std::vector<std::string> trusted_proxies;
  std::string data_dir;
  std::string database;  // a file, or postgres://…
  bool private_network;  // whether what is fetched may be at private addresses
  std::string ca_file;
  log::Level log_level;
};

/// Secrets and keys that are not given are made and kept in <data directory>/secrets.json. All problems are
/// found at once; nothing is made while there is one.
Result<AuthConfig, Problems> read_auth_config(const AuthFile& file, const Environment& environment,
                                              const EnvironmentNames& names, Rng& rng);

}  // namespace latchkey::app
