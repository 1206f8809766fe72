#include "signin/epds.h"

#include <fmt/format.h>

#include "auth/core/schema.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "oauth/server/schema.h"
#include "pds/accounts.h"
#include "pds/schema.h"
#include "signin/account_pages.h"
#include "signin/edge.h"
#include "signin/schema.h"
#include "store/migrate.h"
#include "ui/embedded.h"

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

Task<web::Response> health(std::string service) {
  co_return web::Response::json(json::Object{{"status", "ok"}, {"service", std::move(service)}});
}

}  // namespace

void migrate_epds(store::Database& db) {
  store::migrate(db, pds::migrations());
  store::migrate(db, oauth::migrations());
  store::migrate(db, auth::migrations());
  store::migrate(db, migrations());
}

struct Epds::Impl {
  Impl(EpdsOptions options, EpdsParts parts)
      : public_url(options.pds.public_url),
        auth_origin(options.auth_origin),
        rate_limits(options.rate_limits ? std::make_shared<web::RateLimits>(*options.rate_limits, parts.clock)
                                        : nullptr),
        static_files(ui::static_files()),
        templates(ui::templates(), &static_files),
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
        pds(options.pds,
            {.db = parts.db,
             .clock = parts.clock,
             .rng = parts.rng,
             .passwords = parts.passwords,
             .reads = parts.reads,
             .plc = plc,
             .sealer = crypto::Sealer(derive(options.storage_secret, "latchkey pds signing keys")),
             .oauth = &verifier,
             .resolver = parts.resolver,
             .lexicons = parts.lexicons}),
        otp(parts.db, parts.clock, parts.rng, derive(options.session_secret, "latchkey auth e-mail codes"),
            options.email_limits),
        pages(
            {.origin = options.auth_origin, .service_host = Url::parse(options.pds.public_url)->authority()},
            templates),
        devices(parts.db, parts.clock, parts.rng, derive(options.session_secret, "latchkey signin devices"),
                pages.https()),
        codes({.service_name = options.service_name, .service_host = pages.service_host()}, parts.db, otp,
              parts.mailer, templates),
        account_pages(derive(options.session_secret, "latchkey account pages"), parts.db, oauth, otp, codes,
                      devices, pages, parts.clock, parts.rng),
        sign_in({.secret = derive(options.session_secret, "latchkey signin flows"),
                 .may_sign_up = options.may_sign_up},
                parts.db, oauth, pds.accounts(), otp, codes, devices, pages, parts.clock, parts.rng) {}

  std::string public_url, auth_origin;
  std::shared_ptr<web::RateLimits> rate_limits;  // null: off
  web::StaticFiles static_files;
  web::Templates templates;
  oauth::Server oauth;
  ResourceVerifier verifier;
  pds::HttpPlcClient plc;
  pds::Pds pds;
  auth::EmailOtp otp;
  Pages pages;
  Devices devices;
  CodeMail codes;
  AccountPages account_pages;
  SignIn sign_in;
};

Epds::Epds(EpdsOptions options, EpdsParts parts) : impl_(std::make_unique<Impl>(std::move(options), parts)) {}
Epds::~Epds() = default;
oauth::Server& Epds::oauth() { return impl_->oauth; }
pds::Pds& Epds::pds() { return impl_->pds; }

Task<void> Epds::start() {
  const std::size_t left = co_await impl_->pds.accounts().resume_unfinished(pds::Unfinished::all);
  if (left > 0) log::warn("account creations are still unfinished", {{"count", std::to_string(left)}});
}

Task<void> Epds::clean() {
  co_await impl_->oauth.clean();
  co_await impl_->otp.clean();
  co_await impl_->devices.clean();
  co_await impl_->sign_in.clean();
  co_await impl_->pds.accounts().resume_unfinished(pds::Unfinished::abandoned);
}

Task<void> Epds::settled() { return impl_->codes.settled(); }

web::Router Epds::router() {
  Impl& it = *impl_;
  web::Router pds = pds::routes(it.pds);
  it.oauth.add_routes(pds);
  // https://w3c.github.io/webappsec-change-password-url/ : password managers look there, at either name.
  constexpr const char* k_change_password = "/.well-known/change-password";
  const auto change_password = [&it](web::Request) {
    return web::ready(web::Response::redirect(303, it.auth_origin + "/account"));
  };
  pds.get(k_change_password, change_password);
  if (it.auth_origin == it.public_url) {
    it.sign_in.add_routes(pds);
    it.account_pages.add_routes(pds);
    pds.get("/static/{file*}", it.static_files.handler());
    pds.get("/health", [](web::Request) { return health("epds"); });
  } else {
    // Two names, one process: each answers for its own routes only.
    web::Router auth;
    it.sign_in.add_routes(auth);
    it.account_pages.add_routes(auth);
    auth.get(k_change_password, change_password);
    auth.get("/static/{file*}", it.static_files.handler());
    auth.get("/health", [](web::Request) { return health("auth"); });
    auth.fallback([&it](web::Request r) { return web::ready(it.pages.not_found(r)); });
    pds.get("/health", [](web::Request) { return health("epds"); });
    pds.host(Url::parse(it.auth_origin)->authority(), std::move(auth));
  }
  if (it.rate_limits) add_limits(pds, it.rate_limits, it.pages, it.oauth);
  add_headers(pds, it.pages);
  return pds;
}

}  // namespace latchkey::signin
