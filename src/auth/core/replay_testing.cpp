#include "auth/core/replay_testing.h"

#include "auth/plugins/anonymous/anonymous.h"
#include "auth/plugins/bearer/bearer.h"
#include "auth/plugins/email_otp/plugin.h"
#include "auth/plugins/jwt/jwt.h"
#include "auth/plugins/magic_link/magic_link.h"
#include "auth/plugins/social/generic_oauth.h"
#include "auth/plugins/social/github.h"
#include "auth/plugins/social/social.h"

namespace latchkey::auth::replay {
namespace {

struct Skipped {
  std::string_view scenario, why;
};
constexpr Skipped k_skipped[] = {
    {"13-cookie-cache", "session.cookieCache, which the contract marks L"},
};

Plugin social_of(std::string_view profile, World& w) {
  SocialOptions o{.providers = {github({.credentials = {"gh-client", Secret<std::string>("gh-secret")}},
                                       w.network, w.clock)}};
  if (profile != "plugins") {
    const std::string idp(k_idp);
    o.providers.push_back(generic_oauth({.id = "acme",
                                         .label = "Acme",
                                         .credentials = {"acme-client", Secret<std::string>("acme-secret")},
                                         .authorization_endpoint = idp + "/authorize",
                                         .token_endpoint = idp + "/token",
                                         .userinfo_endpoint = idp + "/userinfo",
                                         .scopes = {"openid", "email"},
                                         .rules = {.disable_sign_up = profile == "nosignup"}},
                                        w.network, w.clock));
  }
  return social(std::move(o));
}

Task<void> keep_code(World* world, OtpMail mail) {
  world->mail["otp:" + mail.type + ":" + mail.email] = mail.otp;
  co_return;
}

Plugin email_otp_of(std::string_view profile, World& w) {
  using namespace std::chrono_literals;
  EmailOtpOptions o{.disable_sign_up = profile == "nosignup",
                    .send = [&w](OtpMail mail) { return keep_code(&w, std::move(mail)); }};
  if (profile == "epds") {
    o.otp_length = 8;
    o.expires_in = 600s;
    o.allowed_attempts = 5;
    o.store = EmailOtpOptions::Store::hashed;
  }
  return email_otp(std::move(o));
}

/// Plugins of every profile, and of some.
std::vector<Plugin> plugins_of(std::string_view profile, World& w) {
  std::vector<Plugin> out{social_of(profile, w), email_otp_of(profile, w)};
  if (profile == "plugins") {
    out.push_back(magic_link({.send = w.keeps("magic")}));
    out.push_back(anonymous());
    out.push_back(bearer());
    out.push_back(jwt());
  }
  return out;
}

std::vector<Field> bsky_fields() {
  return {{.name = "bskyDid", .unique = true, .input = false},
          {.name = "bskyHandle", .input = false},
          {.name = "bskyBio", .input = false},
          {.name = "bskyBanner", .input = false},
          {.name = "nickname"},
          {.name = "plan", .input = false, .default_value = "free"},
          {.name = "internalNote", .returned = false}};
}

Options options_of(std::string_view profile, const std::string& base_url, World& w) {
  using namespace std::chrono_literals;
  Options o{.base_url = base_url,
            .secret = Secret<std::string>(std::string(k_secret)),
            .database = *w.db,
            .clock = w.clock,
            .rng = w.rng,
            .trusted_origins = {"https://app.example.test", "https://*.apps.example.test", "myapp://"},
            .email_and_password = {.enabled = true, .send_reset_password = w.keeps("reset")},
            .email_verification = {.send_verification_email = w.keeps("verify")},
            .plugins = plugins_of(profile, w)};
  o.user.delete_user.enabled = true;
  o.user.change_email.enabled = true;
  o.rate_limit.enabled = profile == "ratelimit";
  if (profile == "nosignup") o.email_and_password.disable_sign_up = true;
  if (profile == "verified") {
    o.email_and_password.require_email_verification = true;
    o.email_verification.send_on_sign_in = true;
    o.email_verification.auto_sign_in_after_verification = true;
  }
  if (profile == "stale") {
    o.session.fresh_age = 1s;
    o.session.update_age = 0s;
  }
  if (profile == "linking")
    o.account.linking = {
        .trusted_providers = {"acme"}, .allow_different_emails = true, .update_user_info_on_link = true};
  if (profile == "nolinking") o.account.linking.enabled = false;
  if (profile == "epds") o.email_and_password.enabled = false;
  if (profile == "deletemail") o.user.delete_user.send_delete_account_verification = w.keeps("delete");
  if (profile == "bsky") o.user.additional_fields = bsky_fields();
  return o;
}

Task<void> keep(World* world, std::string kind, LinkMail link) {
  world->mail["mail:" + kind + ":" + link.user.email + ":token"] = link.token;
  co_return;
}

}  // namespace

World::World(store::Engine engine, const std::string& profile, const std::string& base_url)
    : identity_provider(network, std::string(k_idp)),
      db(engine),
      auth(std::make_unique<Auth>(options_of(profile, base_url, *this))) {
  auth->migrate();
}

SendLink World::keeps(std::string kind) {
  return [this, kind = std::move(kind)](LinkMail link) { return keep(this, kind, std::move(link)); };
}

void World::prepare(std::string_view label) {
  if (label != "session with Bluesky columns set")
    throw std::logic_error("an unknown note: " + std::string(label));
  run(db->write([&](store::Tx& tx) {
    const auto user = auth->users().find_by_email(tx, "sky@example.test");
    auth->users()
        .update(tx, user->id, {.fields = {{"bskyDid", "did:plc:abc"}, {"bskyHandle", "sky.example.test"}}},
                clock.now())
        .value();
  }));
}

std::string_view skipped_scenario(std::string_view name) {
  for (const Skipped& s : k_skipped)
    if (s.scenario == name) return s.why;
  return "";
}

bool missing_route(std::string_view) { return false; }

}  // namespace latchkey::auth::replay
