#include "auth/service/service.h"

#include <fmt/format.h>

#include "auth/core/schema.h"
#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/bearer/bearer.h"
#include "auth/plugins/email_otp/plugin.h"
#include "auth/plugins/magic_link/magic_link.h"
#include "auth/plugins/passkey/passkey.h"
#include "auth/plugins/social/social.h"
#include "auth/service/forward_auth.h"
#include "auth/service/handle_typeahead.h"
#include "auth/service/letters.h"
#include "auth/service/sign_in_pages.h"
#include "crypto/hash.h"
#include "mail/schema.h"
#include "signin/agent.h"
#include "ui/embedded.h"
#include "web/template_directory.h"

namespace latchkey::service {
namespace {

// Below the page itself: a reverse proxy that shares a host between app and service sends /sign-in and the
// base path here, and no more.
constexpr const char *k_page = "/sign-in", *k_static = "/sign-in/static";

/// Several processes of one secret have one key.
Secret<Bytes> key_of(const ServiceOptions& options, std::string_view label) {
  return Secret<Bytes>(crypto::hkdf_sha256(as_bytes(options.secret.reveal()), {}, label, 32));
}

/// Mails that nobody can send go nowhere; options that need one are refused before.
class NoMail final : public mail::Sender {
  Task<Result<void, mail::MailError>> send(mail::Message) override {
    co_return fail(mail::MailError{.kind = mail::MailError::Kind::other, .detail = "no mail is configured"});
  }
};

/// Apps have no clients with looks of their own here.
Task<Result<std::shared_ptr<const oauth::Client>, oauth::Fault>> no_client(std::string) {
  co_return fail(oauth::Fault{.code = oauth::Error::invalid_client, .description = {}, .detail = {}});
}

auth::EmailOtpLimits limits_of(const ServiceOptions& options) {
  auth::EmailOtpLimits limits;
  if (options.email_otp)
    limits.sends_overall = {{options.email_otp->codes_per_minute, std::chrono::minutes(1)}};
  return limits;
}

bool needs_mail(const ServiceOptions& o) {
  return o.email_otp || o.magic_link || o.email_and_password.require_email_verification;
}

auth::Options auth_options(const ServiceOptions& o, const ServiceParts& parts, auth::EmailOtp& otp,
                           Letters& letters) {
  const auto link = [&letters](Letters::Link kind) -> auth::SendLink {
    return [&letters, kind](auth::LinkMail mail) { return letters.send_link(kind, std::move(mail)); };
  };
  std::vector<auth::Plugin> plugins;
  if (o.email_otp)
    plugins.push_back(auth::email_otp(
        {.otp_length = o.email_otp->otp_length,
         .expires_in = o.email_otp->expires_in,
         .allowed_attempts = o.email_otp->allowed_attempts,
         .disable_sign_up = o.email_otp->disable_sign_up,
         .strict = &otp,
         .send = [&letters](auth::OtpMail mail) { return letters.send_code(std::move(mail)); }}));
  if (o.magic_link)
    plugins.push_back(auth::magic_link({.expires_in = o.magic_link->expires_in,
                                        .disable_sign_up = o.magic_link->disable_sign_up,
                                        .store = auth::MagicLinkOptions::Store::hashed,
                                        .send = link(Letters::Link::sign_in)}));
  if (!o.providers.empty())
    plugins.push_back(
        auth::social({.providers = o.providers,
                      .get_sign_in = o.sign_in_page == Switch::on ? auth::SocialOptions::GetSignIn::on
                                                                  : auth::SocialOptions::GetSignIn::off}));
  if (o.passkey_rp_id)
    plugins.push_back(auth::passkey(
        {.rp_id = *o.passkey_rp_id, .rp_name = o.app_name, .agent_words = [](std::string_view agent) {
           return signin::agent_words(agent);
         }}));
  if (o.bluesky) plugins.push_back(*o.bluesky);
  if (o.anonymous) plugins.push_back(auth::anonymous());
  if (o.bearer) plugins.push_back(auth::bearer());
  if (o.jwt) plugins.push_back(auth::jwt(*o.jwt));

  auth::EmailAndPasswordOptions password = o.email_and_password;
  auth::EmailVerificationOptions verification;
  auth::UserOptions user;
  user.delete_user.enabled = o.delete_user;
  if (parts.mailer) {
    password.send_reset_password = link(Letters::Link::reset);
    verification.send_verification_email = link(Letters::Link::verify);
    user.delete_user.send_delete_account_verification = link(Letters::Link::erase);
  }
  return {.base_url = o.base_url,
          .secret = o.secret,
          .old_secrets = o.old_secrets,
          .database = parts.db,
          .clock = parts.clock,
          .rng = parts.rng,
          .password_pool = &parts.passwords,
          .trusted_origins = o.trusted_origins,
          .cors = o.cors,
          .session = o.session,
          .email_and_password = std::move(password),
          .email_verification = std::move(verification),
          .user = std::move(user),
          .account = {.linking = o.linking},
          .rate_limit = o.rate_limit,
          .cookies = o.cookies,
          .error_url = o.sign_in_page == Switch::on ? "/sign-in/error" : "",
          .plugins = std::move(plugins)};
}

SignInPages::Options page_options(const ServiceOptions& o) {
  SignInPages::Options out{.app_name = o.app_name,
                           .form_key = key_of(o, "latchkey auth forms"),
                           .bluesky = o.bluesky.has_value(),
                           .passkeys = o.passkey_rp_id.has_value(),
                           .password = o.email_and_password.enabled,
                           .typeahead = !o.typeahead.empty(),
                           .providers = signin::buttons_of(o.providers)};
  if (o.email_and_password.enabled && !o.email_and_password.disable_sign_up)
    out.sign_up = {.min_length = o.email_and_password.min_password_length,
                   .max_length = o.email_and_password.max_password_length,
                   .verified_first = o.email_and_password.require_email_verification};
  if (o.email_otp)
    out.code = {.digits = o.email_otp->otp_length, .expires_in = o.email_otp->expires_in};
  else if (o.magic_link)
    out.link_expires_in = o.magic_link->expires_in;
  return out;
}

std::string host_of(const std::string& url) {
  const auto parsed = Url::parse(url);
  if (!parsed) throw std::invalid_argument("base_url is no URL: " + url);
  return parsed->authority();
}

Task<web::Response> health() { co_return web::Response::json(json::Object{{"status", "ok"}}); }

}  // namespace

struct Service::Impl {
  Impl(ServiceOptions o, ServiceParts p)
      : options(std::move(o)),
        parts(p),
        otp(parts.db, parts.clock, parts.rng, key_of(options, "latchkey auth codes"), limits_of(options)),
        static_files(ui::static_files(), k_static),
        messages(ui::messages()),
        templates(ui::templates(), &static_files, &messages,
                  web::TemplateDirectory(options.template_directory).files()),
        letters(
            {.app_name = options.app_name,
             .app_host = host_of(options.base_url),
             .code_lifetime = options.email_otp ? options.email_otp->expires_in : std::chrono::seconds(600)},
            parts.mailer ? *parts.mailer : no_mail, templates, messages, parts.clock),
        auth(auth_options(options, parts, otp, letters)),
        branding({.origin = auth.origin(), .template_domains = {}, .trusted_clients = {}}, no_client,
                 parts.fetch, parts.clock),
        pages({.origin = auth.origin(), .service_host = "", .branding = {.name = options.app_name}},
              templates, messages, branding),
        sign_in(page_options(options), auth, pages),
        typeahead(options.typeahead, auth.origin(), parts.fetch, parts.clock),
        forward_auth(auth, options.sign_in_page == Switch::on ? auth.origin() + k_page : "") {
    if (needs_mail(options) && !parts.mailer)
      throw std::invalid_argument("a way in sends mails, but no mail is configured");
  }

  ServiceOptions options;
  ServiceParts parts;
  NoMail no_mail;
  auth::EmailOtp otp;
  web::StaticFiles static_files;
  web::Messages messages;
  web::Templates templates;
  Letters letters;
  auth::Auth auth;
  signin::Branding branding;
  signin::Pages pages;
  SignInPages sign_in;
  HandleTypeahead typeahead;
  ForwardAuth forward_auth;
};

Service::Service(ServiceOptions options, ServiceParts parts)
    : impl_(std::make_unique<Impl>(std::move(options), parts)) {}
Service::~Service() = default;

auth::Auth& Service::auth() { return impl_->auth; }

std::vector<std::string> Service::pending() {
  store::Database& db = impl_->parts.db;
  auto out = run(db.read([&db](store::Tx& tx) {
    std::vector<std::string> lines;
    for (const auto& list : {auth::migrations(), mail::migrations()})
      for (const auto& m : store::pending(tx, db.engine(), list))
        lines.push_back(fmt::format("step {} of {}'s own tables", m.version, m.component));
    return lines;
  }));
  for (const auto& change : impl_->auth.pending()) out.push_back(change.what);
  return out;
}

void Service::migrate() {
  store::migrate(impl_->parts.db, auth::migrations());
  store::migrate(impl_->parts.db, mail::migrations());
  impl_->auth.migrate();
}

web::Router Service::router() {
  Impl& it = *impl_;
  web::Router router;
  router.get("/health", [](web::Request) { return health(); });
  if (it.options.forward_auth == Switch::on) {
    const auto answer = [&it](web::Request r) { return it.forward_auth.answer(std::move(r)); };
    router.get("/forward-auth", answer);
    router.get(it.auth.base_path() + "/forward-auth", answer);
  }
  if (it.options.sign_in_page == Switch::on) {
    it.sign_in.add_routes(router);
    if (!it.options.typeahead.empty()) it.typeahead.add_routes(router);
    router.get(std::string(k_static) + "/{file*}", it.static_files.handler());
  }
  router.mount(it.auth.base_path(), it.auth.handler());
  const bool https = it.auth.origin().starts_with("https://");
  router.finish([https](web::Response& r) { web::add_data_headers(r, https); });
  return router;
}

Task<void> Service::clean() {
  co_await impl_->otp.clean();
  co_await impl_->auth.clean();
}

Task<void> Service::settled() { return impl_->letters.settled(); }

}  // namespace latchkey::service
