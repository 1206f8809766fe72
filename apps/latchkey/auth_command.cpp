#include "auth_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "auth_config.h"
#include "base/log.h"
#include "cleaning.h"
#include "crypto/hash.h"
#include "mail/queue.h"
#include "ui/embedded.h"
#include "web/client.h"
#include "web/dns.h"
#include "web/server.h"

namespace latchkey::app {
namespace {

Result<AuthConfig, Problems> configuration(const std::string& path, Rng& rng) {
  AuthFile file;
  if (!path.empty()) {
    if (!std::filesystem::is_regular_file(path)) return fail(Problems{path + ": there is no such file"});
    TRY(file, AuthFile::parse(file_text(path), path));
  }
  return read_auth_config(file, process_environment(), process_environment_names(), rng);
}

// Everything but listeners: what serving and migrating have in common.
class Parts {
 public:
  explicit Parts(AuthConfig config)
      : config_(std::move(config)),
        db_(store::open_database(config_.database)),
        fetch_({.guard = config_.private_network ? web::Guard::local_network : web::Guard::strict,
                .ca_file = config_.ca_file}),
        resolver_({.plc_url = config_.plc_url,
                   .dev_handle_host = config_.handle_host,
                   .development = config_.private_network},
                  fetch_, &dns_, clock_),
        passwords_(2, 100),
        mails_(static_cast<unsigned>(queue_options_.parallel)) {
    if (config_.mail) {
      smtp_.emplace(mail::SmtpOptions{.server = config_.mail->smtp,
                                      .from = config_.mail->from,
                                      .dkim = config_.mail->dkim,
                                      .helo = Url::parse(config_.service.base_url)->host},
                    mails_, clock_, rng_);
      mailer_.emplace(queue_options_, *db_,
                      crypto::Sealer(Secret<Bytes>(crypto::hkdf_sha256(
                          as_bytes(config_.service.secret.reveal()), {}, "latchkey mail queue", 32))),
                      *smtp_, clock_, rng_);
    }
    auto options = config_.service;
    options.providers = social_providers(config_.providers, fetch_, clock_);
    if (config_.bluesky)
      options.bluesky =
          auth::atproto({.fetch = fetch_,
                         .resolver = resolver_,
                         .private_keys = config_.bluesky->private_keys,
                         .client = config_.bluesky->client,
                         .disable_sign_up = config_.bluesky->disable_sign_up,
                         .profile_sync = config_.bluesky->profile_sync,
                         .plain_http = config_.private_network ? oauth::client::PlainHttp::loopback
                                                               : oauth::client::PlainHttp::refuse,
                         .allowed_calls = config_.bluesky->allowed_calls});
    service_.emplace(std::move(options), service::ServiceParts{*db_, fetch_, mailer_ ? &*mailer_ : nullptr,
                                                               passwords_, clock_, rng_});
  }

  const AuthConfig& config() const { return config_; }
  service::Service& service() { return *service_; }
  mail::Queue* mailer() { return mailer_ ? &*mailer_ : nullptr; }

 private:
  AuthConfig config_;
  OsRng rng_;
  SystemClock clock_;
  std::unique_ptr<store::Database> db_;
  web::GuardedClient fetch_;
  web::DnsResolver dns_;
  identity::Resolver resolver_;
  const mail::QueueOptions queue_options_;
  ThreadPool passwords_, mails_;
  std::optional<mail::SmtpSender> smtp_;
  std::optional<mail::Queue> mailer_;
  std::optional<service::Service> service_;
};

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
}

EnvironmentNames process_environment_names() {
  return [](std::string_view prefix) {
    std::vector<std::string> names;
    for (char** entry = environ; *entry; ++entry) {
      const std::string_view text(*entry);
      if (text.starts_with(prefix)) names.emplace_back(text.substr(0, text.find('=')));
    }
    return names;
  };
}

int complain(const Problems& problems) {
  fmt::print(stderr, "latchkey cannot start:\n");
  for (const auto& problem : problems) fmt::print(stderr, "  - {}\n", problem);
  return 2;
}

int serve_auth(const std::string& file, const std::function<void()>& wait_for_end) {
  OsRng rng;
  auto config = configuration(file, rng);
  if (!config) return complain(config.error());
  log::set_level(config->log_level);
  Parts parts(*std::move(config));
  parts.service().migrate();
  web::Server server({.trusted_proxies = parts.config().trusted_proxies, .access_log = true},
                     parts.service().router());
  server.listen(parts.config().listen_address, parts.config().port);
  server.start();
  clean_regularly(server.executor(0), &parts.service());
  if (auto* mailer = parts.mailer()) mailer->start(server.executor(0));
  log::info("serving",
            {{"url", parts.service().auth().url("")},
             {"listen", fmt::format("{}:{}", parts.config().listen_address, parts.config().port)}});
  wait_for_end();
  // Mails under way resume on the server's threads. What waits stays in the database.
  run(parts.service().settled());
  if (auto* mailer = parts.mailer()) run(mailer->stop());
  server.stop();
  return 0;
}

int check_auth_config(const std::string& file) {
  OsRng rng;
  const auto config = configuration(file, rng);
  if (!config) return complain(config.error());
  fmt::print("The configuration is complete. The service would answer as {}.\n", config->service.base_url);
  return 0;
}

int print_auth_config() {
  for (const auto& file : ui::config_files())
    if (file.path == "auth.toml")
      fmt::print("{}", std::string_view(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()));
  return 0;
}

int migrate_auth(const std::string& file, Apply apply) {
  OsRng rng;
  auto config = configuration(file, rng);
  if (!config) return complain(config.error());
  log::set_level(log::Level::warn);
  Parts parts(*std::move(config));
  const auto missing = parts.service().pending();
  if (missing.empty()) {
    fmt::print("Nothing to do: the database has everything.\n");
    return 0;
  }
  for (const auto& what : missing) fmt::print("{} {}\n", apply == Apply::yes ? "made:   " : "missing:", what);
  if (apply == Apply::yes) {
    parts.service().migrate();
    return 0;
  }
  fmt::print("\nNothing was changed. `latchkey migrate --apply` makes them.\n");
  return 1;
}

}  // namespace latchkey::app
