#include "dev/network.h"

#include <fmt/format.h>

#include "atproto/lexicon/network_resolver.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/secrets_file.h"
#include "dev/demo_app/demo_app.h"
#include "dev/lexicon_names/lexicon_names.h"
#include "dev/mailbox/mailbox.h"
#include "dev/plc_directory/directory.h"
#include "mail/folder.h"
#include "oauth/client/client.h"
#include "signin/epds.h"
#include "ui/embedded.h"
#include "web/client.h"
#include "web/messages.h"
#include "web/server.h"

namespace latchkey::dev {
namespace {
using namespace std::chrono_literals;

// A listener whose routes are known only after its port is.
class Site {
 public:
  Site(std::uint16_t port, unsigned threads)
      : server_(
            web::ServerOptions{.threads = threads,
                               .max_body_of = [this](const web::Request& r) { return router_.max_body(r); }},
            [this](web::Request r) { return router_.handle(std::move(r)); }),
        port_(server_.listen("127.0.0.1", port)) {}
  void start(web::Router router) {
    router_ = std::move(router);
    server_.start();
  }
  web::Server& server() { return server_; }
  std::uint16_t port() const { return port_; }

 private:
  web::Router router_;
  web::Server server_;
  std::uint16_t port_;
};

Secret<Bytes> secret_bytes(SecretsFile& file, const std::string& name) {
  return Secret<Bytes>(*from_hex(file.get(name).reveal()));
}

// Everybody here has the same address, and tests sign up hundreds of people.
auth::EmailOtpLimits limits_of_a_machine_of_ones_own() {
  return {.sends_per_ip = {{10'000, 15min}},
          .sends_overall = {{10'000, 1min}},
          .failures_per_ip = {{10'000, 1h}}};
}

Task<void> clean_now(signin::Epds* epds) {
  try {
    co_await epds->clean();
  } catch (const std::exception& e) {
    log::error("cleaning failed", {{"detail", e.what()}});
  }
}

void clean_regularly(Executor& loop, signin::Epds* epds) {
  loop.post_after(5min, [&loop, epds] {
    spawn(clean_now(epds));
    clean_regularly(loop, epds);
  });
}

}  // namespace

struct Network::Impl {
  explicit Impl(NetworkOptions o)
      : options(std::move(o)),
        plc_site(next_port(1), 1),
        pds_site(next_port(0), options.threads),
        mailbox_site(next_port(2), 1),
        app_site(next_port(3), 1) {
    const std::string pds_url = fmt::format("http://localhost:{}", pds_site.port());
    addresses = {.pds = pds_url,
                 .auth = options.auth_host ? fmt::format("http://{}:{}", *options.auth_host, pds_site.port())
                                           : pds_url,
                 .plc = fmt::format("http://localhost:{}", plc_site.port()),
                 .app = fmt::format("http://127.0.0.1:{}", app_site.port()),
                 .mailbox = fmt::format("http://localhost:{}", mailbox_site.port())};
  }

  std::uint16_t next_port(int offset) const {
    return options.port == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(options.port + offset);
  }

  void start() {
    SecretsFile secrets(options.data_dir + "/secrets.json", rng);

    plc_db = store::open_sqlite(options.data_dir + "/plc.sqlite");
    store::migrate(*plc_db, plc_migrations());
    plc = std::make_unique<PlcDirectory>(*plc_db, clock);
    web::Router plc_routes;
    plc->add_routes(plc_routes);
    plc_site.start(std::move(plc_routes));

    fetch = std::make_unique<web::GuardedClient>(
        web::ClientOptions{.guard = web::Guard::local_network, .ca_file = extra_ca()});
    resolver = std::make_unique<identity::Resolver>(
        identity::ResolverOptions{
            .plc_url = addresses.plc, .dev_handle_host = addresses.pds, .development = true},
        *fetch, nullptr, clock);

    db = store::open_sqlite(options.data_dir + "/pds.sqlite");
    signin::migrate_epds(*db);
    lexicon_names = std::make_unique<LexiconNames>(*db);
    lexicons = std::make_unique<lexicon::NetworkResolver>(lexicon::NetworkOptions{}, *resolver, *fetch,
                                                          *lexicon_names);
    signin::EpdsOptions epds_options{
        .pds = {.public_url = addresses.pds,
                .service_did = "did:web:localhost",
                .handle_domains = {".test"},
                .version = LATCHKEY_VERSION,
                .blob_directory = options.data_dir + "/blobs",
                .jwt_secret = secrets.get("PDS_JWT_SECRET"),
                .rotation_key = *crypto::PrivateKey::from_bytes(
                    crypto::Curve::k256,
                    secret_bytes(secrets, "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX").reveal())},
        .auth_origin = addresses.auth,
        .plc_url = addresses.plc,
        .service_name = "Latchkey",
        .session_secret = secret_bytes(secrets, "AUTH_SESSION_SECRET"),
        .dpop_secret = secret_bytes(secrets, "PDS_DPOP_SECRET"),
        .storage_secret = secret_bytes(secrets, "LATCHKEY_STORAGE_SECRET"),
        .local_hosts = oauth::LocalHosts::allow,
        .email_limits = limits_of_a_machine_of_ones_own()};
    epds_options.trusted_clients = options.trusted_clients;
    if (options.rate_limits) epds_options.rate_limits = web::RateLimitOptions{};
    mail_folder = std::make_unique<mail::Folder>(
        options.data_dir + "/mails",
        mail::From{*mail::EmailAddress::parse("login@latchkey.test"), "Latchkey"}, trap, clock, rng);
    epds = std::make_unique<signin::Epds>(
        std::move(epds_options),
        signin::EpdsParts{*db, *fetch, nullptr, lexicons.get(), *mail_folder, passwords, reads, clock, rng});
    run(epds->start());
    pds_site.start(epds->router());
    clean_regularly(pds_site.server().executor(0), epds.get());

    static_files = std::make_unique<web::StaticFiles>(ui::static_files());
    templates = std::make_unique<web::Templates>(ui::templates(), static_files.get(), &messages);
    mailbox = std::make_unique<Mailbox>(trap, *templates, addresses.app);
    web::Router mailbox_routes;
    mailbox->add_routes(mailbox_routes);
    mailbox_routes.get("/static/{file*}", static_files->handler());
    mailbox_site.start(std::move(mailbox_routes));

    oauth_client = std::make_unique<oauth::client::OauthClient>(
        oauth::client::ClientOptions{.metadata = demo_client_metadata(addresses.app),
                                     .plain_http = oauth::client::PlainHttp::loopback},
        oauth::client::ClientParts{*fetch, *resolver, clock, rng, states, sessions});
    demo = std::make_unique<DemoApp>(DemoAppOptions{.origin = addresses.app,
                                                    .pds_url = addresses.pds,
                                                    .mailbox_url = addresses.mailbox,
                                                    .plc_url = addresses.plc},
                                     *oauth_client, *templates, rng, clock);
    web::Router app_routes;
    demo->add_routes(app_routes);
    app_routes.get("/static/{file*}", static_files->handler());
    app_site.start(std::move(app_routes));
  }

  void stop() {
    if (epds) run(epds->settled());  // mails under way resume on the server's threads
    app_site.server().stop();
    mailbox_site.server().stop();
    pds_site.server().stop();
    plc_site.server().stop();
  }

  // A throw-away authority, for clients whose metadata a test serves over https.
  static std::string extra_ca() {
    const char* file = std::getenv("SSL_CERT_FILE");
    return file ? file : "";
  }

  NetworkOptions options;
  SystemClock clock;
  OsRng rng;
  ThreadPool passwords{1, 100};
  ThreadPool reads{2, 1000};
  mail::Trap trap{clock};
  std::unique_ptr<mail::Folder> mail_folder;
  std::unique_ptr<store::Database> plc_db, db;
  std::unique_ptr<PlcDirectory> plc;
  std::unique_ptr<web::GuardedClient> fetch;
  std::unique_ptr<identity::Resolver> resolver;
  std::unique_ptr<LexiconNames> lexicon_names;
  std::unique_ptr<lexicon::NetworkResolver> lexicons;
  std::unique_ptr<signin::Epds> epds;
  std::unique_ptr<web::StaticFiles> static_files;
  web::Messages messages{ui::messages()};
  std::unique_ptr<web::Templates> templates;
  std::unique_ptr<Mailbox> mailbox;
  oauth::client::MemoryStateStore states;
  oauth::client::MemorySessionStore sessions;
  std::unique_ptr<oauth::client::OauthClient> oauth_client;
  std::unique_ptr<DemoApp> demo;
  Site plc_site, pds_site, mailbox_site, app_site;  // last: their threads use all of the above
  Addresses addresses;
};

Network::Network(NetworkOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Network::~Network() { impl_->stop(); }
void Network::start() { impl_->start(); }
void Network::stop() { impl_->stop(); }
const Addresses& Network::addresses() const { return impl_->addresses; }

}  // namespace latchkey::dev
