// latchkey: reads the configuration, builds the parts, starts the listeners. Nothing else.

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <set>

#include "atproto/lexicon/network_resolver.h"
#include "auth_command.h"
#include "base/log.h"
#include "cleaning.h"
#include "config.h"
#include "crypto/hash.h"
#include "dev/network.h"
#include "dev/plc_directory/directory.h"
#include "mail/queue.h"
#include "operator_commands.h"
#include "pds/invites.h"
#include "signin/epds.h"
#include "store/migrate.h"
#include "web/client.h"
#include "web/dns.h"
#include "web/server.h"

namespace latchkey::app {
namespace {
using namespace std::chrono_literals;

// Blocked before the first thread starts, so that only wait_for_end() sees them.
sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}
void wait_for_end() {
  const sigset_t set = end_signals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  log::info("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
}

// A folder that goes when the program ends, unless it was given.
class DataDir {
 public:
  explicit DataDir(std::string given) : path_(std::move(given)), ours_(path_.empty()) {
    if (ours_) {
      std::string pattern = (std::filesystem::temp_directory_path() / "latchkey-XXXXXX").string();
      if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder");
      path_ = pattern;
    } else {
      std::filesystem::create_directories(path_);
    }
  }
  ~DataDir() {
    std::error_code ignored;
    if (ours_) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool ours_;
};

// glibc gives memory back to the kernel early, and a server asks for it again with the next request: an
// export or a burst of writes paid for fresh pages each time. What is kept stays far below what caches may
// take.
void keep_freed_memory() {
  constexpr int k_keep = 32 << 20;
  ::mallopt(M_MMAP_THRESHOLD, k_keep);
  ::mallopt(M_TRIM_THRESHOLD, k_keep);
  ::mallopt(M_TOP_PAD, 1 << 20);
}

struct DevArguments {
  std::uint16_t port = 2583;
  std::string data_dir, auth_host;
  bool json = false;
  bool rate_limits = false;
  std::set<std::string> trusted_clients;
};

int dev(const DevArguments& args) {
  if (args.json) log::set_level(log::Level::warn);
  DataDir data(args.data_dir);
  dev::Network network({.port = args.port,
                        .data_dir = data.path(),
                        .auth_host = args.auth_host.empty() ? std::nullopt : std::optional(args.auth_host),
                        .rate_limits = args.rate_limits,
                        .trusted_clients = args.trusted_clients});
  network.start();
  const auto& at = network.addresses();
  if (args.json) {
    const json::Object line{
        {"pds", at.pds}, {"auth", at.auth}, {"plc", at.plc}, {"app", at.app}, {"mailbox", at.mailbox}};
    fmt::print("{}\n", json::Value(line).dump());
  } else {
    fmt::print(
        "\n  Your atproto network is running.\n\n"
        "  Demo app   {}\n"
        "  Mailbox    {}\n"
        "  PDS        {}\n"
        "  PLC        {}\n\n"
        "  Open the demo app, type any e-mail address, and read the code in the mailbox.\n"
        "  Data is kept in {}{}. Ctrl-C ends it.\n\n",
        at.app, at.mailbox, at.pds, at.plc, data.path(), args.data_dir.empty() ? " until you stop" : "");
  }
  std::fflush(stdout);
  wait_for_end();
  network.stop();
  return 0;
}

Result<ServeConfig, Problems> configuration(Rng& rng) {
  return read_config(process_environment(), process_environment_names(), rng);
}

std::optional<signin::SplitHostsOptions> split_hosts_of(const ServeConfig& config) {
  if (!config.split_hosts) return std::nullopt;
  return signin::SplitHostsOptions{config.split_hosts->callback_secret, config.split_hosts->internal_secret};
}

int serve() {
  OsRng rng;
  SystemClock clock;
  auto config = configuration(rng);
  if (!config) return complain(config.error());
  log::set_level(config->log_level);

  auto db = store::open_database(config->database);
  signin::migrate_epds(*db);
  web::GuardedClient fetch({.guard = config->ssrf_protection ? web::Guard::strict : web::Guard::local_network,
                            .ca_file = config->ca_file});
  web::DnsResolver dns;
  identity::Resolver resolver({.plc_url = config->plc_url, .development = config->dev_mode}, fetch, &dns,
                              clock);
  lexicon::NetworkResolver lexicons({}, resolver, fetch, dns);
  ThreadPool passwords(1, 100), reads(2, 1000);
  const mail::QueueOptions queue_options;
  ThreadPool mails(static_cast<unsigned>(queue_options.parallel));
  mail::SmtpSender smtp({.server = config->smtp,
                         .from = config->from,
                         .dkim = config->dkim,
                         .helo = Url::parse(config->pds.public_url)->host},
                        mails, clock, rng);
  mail::Queue mailer(queue_options, *db,
                     crypto::Sealer(Secret<Bytes>(crypto::hkdf_sha256(config->storage_secret.reveal(), {},
                                                                      "latchkey mail queue", 32))),
                     smtp, clock, rng);
  signin::Epds epds({.pds = config->pds,
                     .auth_origin = config->auth_origin,
                     .plc_url = config->plc_url,
                     .service_name = config->service_name,
                     .session_secret = config->session_secret,
                     .dpop_secret = config->dpop_secret,
                     .storage_secret = config->storage_secret,
                     .providers = social_providers(config->sign_in_providers, fetch, clock),
                     .passkey_rp_id = config->passkey_rp_id,
                     .session_expires_in = config->session_expires_in,
                     .session_update_age = config->session_update_age,
                     .local_hosts = config->dev_mode ? oauth::LocalHosts::allow : oauth::LocalHosts::refuse,
                     .trusted_clients = config->trusted_clients,
                     .email_limits = {.sends_overall = {{config->codes_per_minute, 1min}}},
                     .recovery_delay = config->recovery_delay,
                     .rate_limits = config->rate_limits,
                     .branding = config->branding,
                     .email_template_domains = config->email_template_domains,
                     .template_directory = config->template_directory,
                     .split_hosts = split_hosts_of(*config)},
                    {*db, fetch, &resolver, &lexicons, mailer, passwords, reads, clock, rng});
  run(epds.start());
  web::Server server({.trusted_proxies = config->trusted_proxies, .access_log = true}, epds.router());
  server.listen(config->listen_address, config->port);
  // The other host asks now and then: one thread.
  web::Server internal({.threads = 1}, epds.internal_router());
  const auto& split = config->split_hosts;
  if (split && !split->internal_address.empty()) {
    internal.listen(split->internal_address, split->internal_port);
    internal.start();
  }
  server.start();
  clean_regularly(server.executor(0), &epds);
  mailer.start(server.executor(0));
  log::info("serving", {{"url", config->pds.public_url},
                        {"auth", config->auth_origin},
                        {"listen", fmt::format("{}:{}", config->listen_address, config->port)},
                        {"sign_up", config->pds.sign_up.str()}});
  wait_for_end();
  // Mails under way resume on the server's threads. What waits stays in the database.
  run(epds.settled());
  run(mailer.stop());
  internal.stop();
  server.stop();
  return 0;
}

int check_config() {
  OsRng rng;
  const auto config = configuration(rng);
  if (!config) return complain(config.error());
  fmt::print("The configuration is complete. The server would answer as {} and {}.\n", config->pds.public_url,
             config->auth_origin);
  return 0;
}

int plc(std::uint16_t port, const std::string& data_dir) {
  DataDir data(data_dir);
  SystemClock clock;
  auto db = store::open_sqlite(data.path() + "/plc.sqlite");
  store::migrate(*db, dev::plc_migrations());
  dev::PlcDirectory directory(*db, clock);
  web::Router router;
  directory.add_routes(router);
  web::Server server({}, std::move(router));
  const auto actual = server.listen("127.0.0.1", port);
  server.start();
  fmt::print("PLC directory on http://localhost:{}\n", actual);
  std::fflush(stdout);
  wait_for_end();
  server.stop();
  return 0;
}

// What `migrate` is about is what is configured: a file, or BETTER_AUTH_URL, is `latchkey auth`.
bool is_about_auth(const std::string& config_file) {
  return !config_file.empty() ||
         (process_environment()("BETTER_AUTH_URL") && !process_environment()("PDS_HOSTNAME"));
}

int migrate_serve(Apply apply) {
  OsRng rng;
  const auto config = configuration(rng);
  if (!config) return complain(config.error());
  auto db = store::open_database(config->database);
  const auto missing = run(db->read([&](store::Tx& tx) { return signin::pending_epds(tx, db->engine()); }));
  if (missing.empty()) {
    fmt::print("Nothing to do: the database has everything.\n");
    return 0;
  }
  for (const auto& step : missing)
    fmt::print("{} step {} of {}\n", apply == Apply::yes ? "made:   " : "missing:", step.version,
               step.component);
  if (apply == Apply::yes) {
    signin::migrate_epds(*db);
    return 0;
  }
  fmt::print("\nNothing was changed. `latchkey migrate --apply` makes them.\n");
  return 1;
}

struct InviteArguments {
  std::int64_t uses = 1;
  std::string code;
};

// Opens the database of serve for a command that changes a row or two.
template <class F>
int with_database(F f) {
  OsRng rng;
  const auto config = configuration(rng);
  if (!config) return complain(config.error());
  auto db = store::open_database(config->database);
  signin::migrate_epds(*db);
  return f(*config, *db, rng);
}

int create_invite(const InviteArguments& args) {
  return with_database([&](const ServeConfig& config, store::Database& db, Rng& rng) {
    const pds::Invites rules(config.pds.public_url, std::nullopt);
    const pds::Invite invite{.code = rules.new_code(rng),
                             .max_uses = args.uses,
                             .for_account = "admin",
                             .created_by = "admin",
                             .created_at = SystemClock().now()};
    run(db.write([&](store::Tx& tx) { pds::invites::insert(tx, invite); }));
    fmt::print("{}\n", invite.code);
    return 0;
  });
}

int list_invites() {
  constexpr std::int64_t k_shown = 1000;
  return with_database([&](const ServeConfig&, store::Database& db, Rng&) {
    const auto list = run(db.read([](store::Tx& tx) { return pds::invites::list(tx, k_shown); }));
    for (const auto& i : list)
      fmt::print("{}  {} of {} used  {}{}\n", i.code, i.uses, i.max_uses, rfc3339(i.created_at),
                 i.disabled_at ? "  disabled" : "");
    return 0;
  });
}

int disable_invite(const InviteArguments& args) {
  return with_database([&](const ServeConfig&, store::Database& db, Rng&) {
    const Time now = SystemClock().now();
    if (run(db.write([&](store::Tx& tx) { return pds::invites::disable(tx, args.code, now); }))) return 0;
    fmt::print(stderr, "There is no invite {}\n", args.code);
    return 1;
  });
}

int test_mail(const std::string& address) {
  OsRng rng;
  const auto config = configuration(rng);
  if (!config) return complain(config.error());
  return mail_test(*config, address);
}

int run_command(int argc, char** argv) {
  CLI::App cli("The front door of the AT Protocol.", "latchkey");
  cli.set_version_flag("--version", std::string("latchkey ") + LATCHKEY_VERSION);
  cli.require_subcommand(1);

  DevArguments dev_args;
  auto* dev_command = cli.add_subcommand("dev", "Run a whole atproto network on this machine");
  dev_command
      ->add_option("--port", dev_args.port, "Port of the PDS; the others take the next three. 0: free ports")
      ->capture_default_str();
  dev_command->add_option("--data-dir", dev_args.data_dir,
                          "Where to keep data (default: a fresh temporary folder)");
  dev_command->add_option("--auth-host", dev_args.auth_host,
                          "Serve the sign-in pages under this name, e.g. auth.localhost");
  dev_command->add_flag("--json", dev_args.json, "Print the addresses as one line of JSON");

  dev_command->add_flag("--rate-limits", dev_args.rate_limits, "Count requests per address as serve does");
  dev_command->add_option("--trust", dev_args.trusted_clients,
                          "client_ids of apps the operator trusts, as PDS_OAUTH_TRUSTED_CLIENTS of serve");

  auto* serve_command =
      cli.add_subcommand("serve", "Run an ePDS, configured by PDS_*, AUTH_* and SMTP_* variables");
  auto* check_command =
      cli.add_subcommand("check-config", "Say what is missing or weak in the configuration of serve");
  bool check_auth = false;
  std::string auth_file;
  check_command->add_flag("--auth", check_auth, "The configuration of auth instead");
  check_command->add_option("--config", auth_file, "The file of auth");

  bool print_config = false;
  auto* auth_command = cli.add_subcommand(
      "auth", "Run users and sessions beside an app in any language, with Better Auth's routes");
  auth_command->add_option("--config", auth_file, "A file such as --print-config prints");
  auth_command->add_flag("--print-config", print_config, "Print a commented configuration file");

  bool apply = false;
  auto* migrate_command =
      cli.add_subcommand("migrate", "Show what the database of auth, or of serve, lacks; or make it");
  migrate_command->add_option("--config", auth_file, "The file of auth");
  migrate_command->add_flag("--apply", apply, "Make it");

  std::string mail_address;
  auto* mail_command = cli.add_subcommand("mail", "Look after the mails of serve");
  mail_command->require_subcommand(1);
  auto* mail_test_command =
      mail_command->add_subcommand("test", "Send a test mail, and say what is wrong if it does not go out");
  mail_test_command->add_option("address", mail_address, "Who gets it")->required();

  std::string templates_directory;
  auto* templates_command = cli.add_subcommand("templates", "Pages and mails of one's own");
  templates_command->require_subcommand(1);
  auto* export_command =
      templates_command->add_subcommand("export", "Write the built-in templates into a folder");
  export_command->add_option("directory", templates_directory, "Where to")->required();

  std::uint16_t plc_port = 2582;
  std::string plc_data;
  auto* plc_command = cli.add_subcommand("plc", "Run a PLC directory");
  plc_command->add_option("--port", plc_port, "0: a free port")->capture_default_str();
  plc_command->add_option("--data-dir", plc_data, "Where to keep data (default: a fresh temporary folder)");

  InviteArguments invite_args;
  auto* invite_command = cli.add_subcommand("invite", "Invite codes of serve");
  invite_command->require_subcommand(1);
  auto* invite_create = invite_command->add_subcommand("create", "Make a code and print it");
  invite_create->add_option("--uses", invite_args.uses, "Accounts it is good for")
      ->check(CLI::Range(std::int64_t{1}, pds::k_max_invite_uses))
      ->capture_default_str();
  auto* invite_list =
      invite_command->add_subcommand("list", "The newest codes, and how often they were used");
  auto* invite_disable = invite_command->add_subcommand("disable", "Take a code back; accounts stay");
  invite_disable->add_option("code", invite_args.code)->required();

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return cli.exit(e);
  }
  if (dev_command->parsed()) return dev(dev_args);
  if (serve_command->parsed()) return serve();
  if (auth_command->parsed()) return print_config ? print_auth_config() : serve_auth(auth_file, wait_for_end);
  if (check_command->parsed())
    return check_auth || !auth_file.empty() ? check_auth_config(auth_file) : check_config();
  if (migrate_command->parsed()) {
    const Apply how = apply ? Apply::yes : Apply::no;
    return is_about_auth(auth_file) ? migrate_auth(auth_file, how) : migrate_serve(how);
  }
  if (invite_create->parsed()) return create_invite(invite_args);
  if (invite_list->parsed()) return list_invites();
  if (invite_disable->parsed()) return disable_invite(invite_args);
  if (mail_test_command->parsed()) return test_mail(mail_address);
  if (export_command->parsed()) return export_templates(templates_directory);
  if (plc_command->parsed()) return plc(plc_port, plc_data);
  return 2;
}

}  // namespace
}  // namespace latchkey::app

int main(int argc, char** argv) {
  const sigset_t signals = latchkey::app::end_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  latchkey::app::keep_freed_memory();
  try {
    return latchkey::app::run_command(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "latchkey: {}\n", e.what());
    return 1;
  }
}
