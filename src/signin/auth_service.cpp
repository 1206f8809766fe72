#include "signin/auth_service.h"

#include "pds/accounts.h"
#include "signin/agent.h"
#include "signin/people.h"

namespace latchkey::signin {
namespace {

constexpr std::string_view k_callback = "/callback/";

// By what a session began: the pages ask for it when they take it over.
std::string method_of(const auth::Context& context) {
  if (context.path.starts_with(k_callback)) return context.path.substr(k_callback.size());
  return context.path == "/passkey/verify-authentication" ? "passkey" : "email";
}

Task<void> note_method(auth::Context& context, web::Response&) {
  const auto* started = context.started();
  if (!started) co_return;
  const std::string token = started->session.token, method = method_of(context);
  co_await context.auth.db().write([&](store::Tx& tx) {
    return context.auth.sessions().update(tx, token, {{k_proven_by_field, method}}, context.now);
  });
}

// In tables of their own names: the PDS has an `account` of its own.
auth::TableNames tables() {
  return {.user = "auth_user",
          .session = "auth_session",
          .account = "auth_identity",
          .verification = "auth_verification",
          .rate_limit = "auth_rate_limit"};
}

}  // namespace

auth::Options auth_options(AuthServiceOptions options, store::Database& db, const Clock& clock, Rng& rng,
                           auth::EmailOtp& otp, AuthServiceHooks hooks) {
  const auth::EmailOtpOptions codes{.otp_length = auth::k_code_digits,
                                    .expires_in = auth::k_email_code_lifetime,
                                    .allowed_attempts = auth::k_code_tries,
                                    .strict = &otp,
                                    .send = std::move(hooks.send_code),
                                    .feign = auth::EmailOtpOptions::Feign::on};
  const auth::PasskeyOptions passkeys{
      .rp_id = options.rp_id,
      .rp_name = options.service_name,
      .origins = {options.origin},
      .agent_words = [](std::string_view agent) { return agent_words(agent); },
      .before_remove = std::move(hooks.before_passkey_removed),
      .changed = std::move(hooks.passkey_changed)};
  const auth::SocialOptions social{.providers = std::move(options.providers),
                                   .match = auth::SocialOptions::Match::by_identity,
                                   .address_taken =
                                       [](store::Tx& tx, std::string_view email) {
                                         return pds::accounts::holder_of_email(tx, email).has_value();
                                       },
                                   .prove_control = std::move(hooks.prove_control),
                                   .get_sign_in = auth::SocialOptions::GetSignIn::on,
                                   .tokens = auth::SocialOptions::Tokens::dropped,
                                   .linked = std::move(hooks.provider_linked)};
  std::vector<auth::Plugin> plugins{auth::email_otp(codes), auth::social(social)};
  // Browsers know passkeys at secure origins only (WebAuthn Level 3 §5.1).
  if (const auto url = Url::parse(options.origin);
      url && (url->scheme == "https" || url->host == "localhost" || url->host.ends_with(".localhost")))
    plugins.push_back(auth::passkey(passkeys));
  return {
      .base_url = options.origin,
      .secret = std::move(options.secret),
      .database = db,
      .clock = clock,
      .rng = rng,
      .session = {.expires_in = options.session_expires_in,
                  .update_age = options.session_update_age,
                  .additional_fields = {{.name = k_proven_by_field, .input = false, .returned = false}}},
      .user = {.additional_fields = {{.name = k_did_field, .unique = true, .input = false}}},
      .account = {.linking = {.allow_different_emails = true, .allow_unlinking_all = true},
                  .before_unlink = std::move(hooks.before_provider_unlinked),
                  .unlinked = std::move(hooks.provider_unlinked)},
      .rate_limit = {.enabled = options.rate_limits, .storage = auth::RateLimitOptions::Storage::database},
      .cookies = {.name_prefix = auth::CookieOptions::NamePrefix::host},
      .tables = tables(),
      .error_url = "/account/login",
      .after = {{.run = note_method}},
      .plugins = std::move(plugins)};
}

}  // namespace latchkey::signin
