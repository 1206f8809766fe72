#include "signin/epds.h"

#include <fmt/format.h>

#include "auth/core/schema.h"
#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "mail/schema.h"
#include "oauth/server/requests.h"
#include "oauth/server/schema.h"
#include "oauth/server/sessions.h"
#include "pds/accounts.h"
#include "pds/schema.h"
#include "signin/account_mails.h"
#include "signin/account_pages.h"
#include "signin/auth_service.h"
#include "signin/edge.h"
#include "signin/metrics.h"
#include "signin/schema.h"
#include "store/migrate.h"
#include "ui/embedded.h"
#include "web/messages.h"
#include "web/template_directory.h"

namespace latchkey::signin {
namespace {

Secret<Bytes> derive(const Secret<Bytes>& secret, std::string_view purpose) {
  return Secret<Bytes>(crypto::hkdf_sha256(secret.reveal(), {}, purpose, 32));
}

// The PDS asks, the authorization server answers; neither includes the other's insides.
class ResourceVerifier final : public pds::OauthVerifier {
 public:
  explicit ResourceVerifier(oauth::Server& server) : server_(server) {}

  Task<Result<pds::OauthCredentials, pds::OauthFault>> verify(pds::OauthRequest request) override {
    auto grant = co_await server_.check_resource({std::move(request.method), std::move(request.uri),
                                                  std::move(request.token), std::move(request.proofs)});
    if (grant) co_return pds::OauthCredentials{grant->did, grant->scope, grant->client_id};
    const oauth::Fault& f = grant.error();
    const std::string error(oauth::wire(f.code).name);
    // RFC 9449 §7.1 and §9: at a resource every DPoP fault is a 401 with a challenge.
    co_return fail(pds::OauthFault{
        .status = f.code == oauth::Error::temporarily_unavailable ? 503 : 401,
        .error = error,
        .description = f.description,
        .www_authenticate = fmt::format("DPoP algs=\"ES256\", error=\"{}\", error_description=\"{}\"", error,
                                        f.description)});
  }
  std::string current_nonce() override { return server_.current_nonce(); }

 private:
  oauth::Server& server_;
};

// Asked inside of the authorization server's transactions.
oauth::Standing standing_of(store::Tx& tx, const std::string& did) {
  const auto parsed = Did::parse(did);
  const auto account = parsed ? pds::accounts::by_did(tx, *parsed) : std::nullopt;
  if (!account) return oauth::Standing::missing;
  if (account->taken_down()) return oauth::Standing::takendown;
  return account->active() ? oauth::Standing::active : oauth::Standing::deactivated;
}

// "Fresh" means this much where something cannot be undone.
constexpr std::chrono::minutes k_recent{5};

bool signed_in_just_now(store::Tx& tx, const Did& did, Time now) {
  return devices::proven_since(tx, did.str(), now - k_recent);
}

// In the transaction that deletes the account.
void forget_account(store::Tx& tx, const People& people, const Did& did) {
  oauth::sessions::remove_all(tx, did.str());
  oauth::approvals::forget_all(tx, did.str());
  devices::remove_everywhere(tx, did.str());
  backup_emails::remove_all(tx, did.str());
  recoveries::remove(tx, did.str());
  audit::remove_all(tx, did.str());
  people.forget(tx, did);
}

Task<web::Response> health(std::string service) {
  co_return web::Response::json(json::Object{{"status", "ok"}, {"service", std::move(service)}});
}

}  // namespace

namespace {

std::vector<std::span<const store::Migration>> all_migrations() {
  return {pds::migrations(),  oauth::migrations(), auth::migrations(),
          mail::migrations(), migrations(),        hand_over_migrations()};
}

}  // namespace

void migrate_epds(store::Database& db) {
  for (const auto& list : all_migrations()) store::migrate(db, list);
}

std::vector<store::Migration> pending_epds(store::Tx& tx, store::Engine engine) {
  std::vector<store::Migration> out;
  for (const auto& list : all_migrations())
    for (const auto& m : store::pending(tx, engine, list)) out.push_back(m);
  return out;
}

struct Epds::Impl {
  Impl(EpdsOptions options, EpdsParts parts)
      : public_url(options.pds.public_url),
        auth_origin(options.auth_origin),
        rate_limits(options.rate_limits ? std::make_shared<web::RateLimits>(*options.rate_limits, parts.clock)
                                        : nullptr),
        static_files(ui::static_files()),
        messages(ui::messages()),
        templates(ui::templates(), &static_files, &messages,
                  web::TemplateDirectory(options.template_directory).files()),
        oauth({.issuer = options.pds.public_url,
               .authorization_endpoint = options.auth_origin + "/oauth/authorize",
               .secret = options.dpop_secret,
               .standing = standing_of,
               .local_hosts = options.local_hosts,
               .lexicons = parts.lexicons,
               .trusted_clients = options.trusted_clients},
              parts.db, parts.fetch, parts.clock, parts.rng),
        verifier(oauth),
        plc(parts.fetch, options.plc_url),
        mails({.service_name = options.service_name,
               .service_host = Url::parse(options.pds.public_url)->authority()},
              parts.mailer, templates),
        blob_store(options.pds.blob_directory, parts.reads),
        pds(options.pds,
            {.db = parts.db,
             .clock = parts.clock,
             .rng = parts.rng,
             .passwords = parts.passwords,
             .reads = parts.reads,
             .plc = plc,
             .blobs = blob_store,
             .sealer = crypto::Sealer(derive(options.storage_secret, "latchkey pds signing keys")),
             .oauth = &verifier,
             .resolver = parts.resolver,
             .lexicons = parts.lexicons,
             .mailer = &mails,
             .recent_sign_in = signed_in_just_now}),
        otp(parts.db, parts.clock, parts.rng, derive(options.session_secret, "latchkey auth e-mail codes"),
            options.email_limits),
        branding(
            {.origin = options.auth_origin,
             .template_domains = options.email_template_domains,
             .trusted_clients = options.trusted_clients},
            [this](std::string client_id) { return oauth.client(std::move(client_id)); }, parts.fetch,
            parts.clock),
        pages({.origin = options.auth_origin,
               .service_host = Url::parse(options.pds.public_url)->authority(),
               .branding = options.branding},
              templates, messages, branding),
        devices(parts.db, parts.clock, parts.rng, derive(options.session_secret, "latchkey signin devices"),
                pages.https()),
        letters({.service_name = options.service_name,
                 .service_host = pages.service_host(),
                 .origin = options.auth_origin},
                parts.mailer, templates, messages, parts.clock),
        codes({.service_name = options.service_name,
               .service_host = pages.service_host(),
               .branding = options.branding},
              parts.db, otp, parts.mailer, templates, messages, branding, parts.clock),
        recovery({.delay = options.recovery_delay}, parts.db, otp, codes, letters, parts.clock, parts.rng),
        auth(auth_options({.origin = options.auth_origin,
                           .rp_id = options.passkey_rp_id.empty() ? Url::parse(options.auth_origin)->host
                                                                  : options.passkey_rp_id,
                           .service_name = options.service_name,
                           .secret = Secret<std::string>(
                               base64url(derive(options.session_secret, "latchkey auth framework").reveal())),
                           .providers = options.providers,
                           .session_expires_in = options.session_expires_in,
                           .session_update_age = options.session_update_age,
                           .rate_limits = rate_limits != nullptr},
                          parts.db, parts.clock, parts.rng, otp,
                          {.send_code = [this](auth::OtpMail mail) { return codes.send(std::move(mail)); },
                           .prove_control =
                               [this](auth::Context& context, auth::PendingLink link) {
                                 return prove_control(context, std::move(link));
                               },
                           .passkey_changed =
                               [this](auth::User user, auth::Passkey passkey, auth::PasskeyChange change) {
                                 return passkey_changed(std::move(user), std::move(passkey), change);
                               },
                           .provider_linked =
                               [this](auth::Context& context, auth::User user, std::string label) {
                                 return provider_linked(context, std::move(user), std::move(label));
                               },
                           .before_provider_unlinked =
                               [this](store::Tx& tx, const auth::Context& context, const auth::User& user,
                                      const auth::Account& account) {
                                 return account_pages.before_provider_unlinked(tx, context, user, account);
                               },
                           .provider_unlinked =
                               [this](auth::Context& context, auth::User user, auth::Account account) {
                                 return provider_unlinked(context, std::move(user), std::move(account));
                               },
                           .before_passkey_removed =
                               [this](store::Tx& tx, const auth::Passkey& passkey, std::size_t others) {
                                 return people.may_remove_passkey(tx, passkey, others);
                               }})),
        people(auth),
        account_pages({.secret = derive(options.session_secret, "latchkey account pages"),
                       .handle_domain = options.pds.handle_domains.at(0),
                       .providers = buttons_of(options.providers)},
                      {.db = parts.db,
                       .oauth = oauth,
                       .pds = pds,
                       .otp = otp,
                       .codes = codes,
                       .letters = letters,
                       .recovery = recovery,
                       .people = people,
                       .devices = devices,
                       .pages = pages,
                       .clock = parts.clock,
                       .rng = parts.rng}),
        sign_in({.secret = derive(options.session_secret, "latchkey signin flows"),
                 .sign_up = options.pds.sign_up,
                 .handle_domain = options.pds.handle_domains.at(0),
                 .providers = buttons_of(options.providers)},
                {.db = parts.db,
                 .oauth = oauth,
                 .accounts = pds.accounts(),
                 .otp = otp,
                 .codes = codes,
                 .letters = letters,
                 .recovery = recovery,
                 .people = people,
                 .devices = devices,
                 .pages = pages,
                 .clock = parts.clock,
                 .rng = parts.rng}),
        metrics(parts.db, pds, rate_limits) {
    if (options.split_hosts)
      split_hosts.emplace(*options.split_hosts, SplitHosts::Parts{.db = parts.db,
                                                                  .oauth = oauth,
                                                                  .accounts = pds.accounts(),
                                                                  .sign_up = options.pds.sign_up,
                                                                  .pages = pages,
                                                                  .clock = parts.clock,
                                                                  .rng = parts.rng});
    pds.lifecycle().on_deleted([this](store::Tx& tx, const Did& did) { forget_account(tx, people, did); });
    pds.settings().on_email_confirmed(
        [this, &clock = parts.clock](store::Tx& tx, const pds::Account& account) {
          people.email_changed(tx, account, clock.now());
        });
  }

  Task<std::optional<std::string>> prove_control(auth::Context& context, auth::PendingLink link) {
    // To the pages the browser came from.
    if (link.callback_url.starts_with("/account"))
      co_return co_await account_pages.prove_control(context, std::move(link));
    co_return co_await sign_in.prove_control(context, std::move(link));
  }
  Task<void> passkey_changed(auth::User user, auth::Passkey passkey, auth::PasskeyChange change) {
    co_return co_await account_pages.passkey_changed(std::move(user), std::move(passkey), change);
  }

  Task<void> provider_linked(auth::Context& context, auth::User user, std::string label) {
    co_return co_await account_pages.provider_linked(context, std::move(user), std::move(label));
  }

  Task<void> provider_unlinked(auth::Context& context, auth::User user, auth::Account account) {
    co_return co_await account_pages.provider_unlinked(context, std::move(user), std::move(account));
  }

  std::string public_url, auth_origin;
  std::shared_ptr<web::RateLimits> rate_limits;  // null: off
  web::StaticFiles static_files;
  web::Messages messages;
  web::Templates templates;
  oauth::Server oauth;
  ResourceVerifier verifier;
  pds::HttpPlcClient plc;
  AccountMails mails;
  pds::DiskBlobStore blob_store;
  pds::Pds pds;
  auth::EmailOtp otp;
  Branding branding;
  Pages pages;
  Devices devices;
  Letters letters;
  CodeMail codes;
  Recovery recovery;
  auth::Auth auth;
  People people;
  AccountPages account_pages;
  SignIn sign_in;
  std::optional<SplitHosts> split_hosts;
  Metrics metrics;
};

Epds::Epds(EpdsOptions options, EpdsParts parts) : impl_(std::make_unique<Impl>(std::move(options), parts)) {}
Epds::~Epds() = default;
oauth::Server& Epds::oauth() { return impl_->oauth; }
pds::Pds& Epds::pds() { return impl_->pds; }

Task<void> Epds::start() {
  impl_->auth.migrate();
  const std::size_t left = co_await impl_->pds.resume_unfinished(pds::Unfinished::all);
  if (left > 0)
    log::warn("changes are still waiting for the PLC directory", {{"count", std::to_string(left)}});
}

Task<void> Epds::clean() {
  co_await impl_->oauth.clean();
  co_await impl_->otp.clean();
  co_await impl_->devices.clean();
  co_await impl_->sign_in.clean();
  co_await impl_->recovery.clean();
  co_await impl_->people.clean();
  co_await impl_->auth.clean();
  if (impl_->split_hosts) co_await impl_->split_hosts->clean();
  co_await impl_->pds.resume_unfinished(pds::Unfinished::abandoned);
}

Task<void> Epds::settled() {
  co_await impl_->codes.settled();
  co_await impl_->letters.settled();
}

web::Router Epds::router() {
  Impl& it = *impl_;
  web::Router pds = pds::routes(it.pds);
  it.oauth.add_routes(pds);
  it.metrics.add_routes(pds);
  // https://w3c.github.io/webappsec-change-password-url/ : password managers look there, at either name.
  constexpr const char* k_change_password = "/.well-known/change-password";
  const auto change_password = [&it](web::Request) {
    return web::ready(web::Response::redirect(303, it.auth_origin + "/account"));
  };
  pds.get(k_change_password, change_password);
  if (it.auth_origin == it.public_url) {
    it.sign_in.add_routes(pds);
    it.account_pages.add_routes(pds);
    it.branding.add_routes(pds);
    pds.mount("/api/auth", it.auth.handler());
    pds.get("/static/{file*}", it.static_files.handler());
    pds.get("/health", [](web::Request) { return health("epds"); });
  } else {
    // Two names, one process: each answers for its own routes only.
    web::Router auth;
    it.sign_in.add_routes(auth);
    it.account_pages.add_routes(auth);
    it.branding.add_routes(auth);
    auth.mount("/api/auth", it.auth.handler());
    auth.get(k_change_password, change_password);
    auth.get("/static/{file*}", it.static_files.handler());
    auth.get("/health", [](web::Request) { return health("auth"); });
    auth.fallback([&it](web::Request r) { return web::ready(it.pages.not_found(r)); });
    pds.get("/health", [](web::Request) { return health("epds"); });
    if (it.split_hosts) {
      it.split_hosts->add_routes(pds);
      pds.get("/static/{file*}", it.static_files.handler());  // of its pages
    }
    pds.host(Url::parse(it.auth_origin)->authority(), std::move(auth));
  }
  if (it.rate_limits) add_limits(pds, it.rate_limits, it.pages, it.oauth);
  add_headers(pds, it.pages);
  return pds;
}

web::Router Epds::internal_router() {
  web::Router router = impl_->split_hosts ? impl_->split_hosts->internal_routes() : web::Router();
  add_headers(router, impl_->pages);
  return router;
}

}  // namespace latchkey::signin
