#include "auth/core/email_tokens.h"

#include <fmt/format.h>

#include "oauth/jose/jwt.h"

namespace latchkey::auth {

std::string sign_email_token(const Auth& auth, const EmailToken& t, Time now) {
  json::Object claims{{"email", t.email}, {"userId", t.user_id}};
  if (!t.update_to.empty()) claims.append("updateTo", t.update_to);
  if (!t.request_type.empty()) claims.append("requestType", t.request_type);
  const auto lifetime = auth.options().email_verification.expires_in;
  claims.append("iat", unix_seconds(now));
  claims.append("exp", unix_seconds(now + lifetime));
  return oauth::sign_hs256({}, std::move(claims), as_bytes(auth.secret()));
}

Result<EmailToken, Fault> read_email_token(const Auth& auth, std::string_view text, Time now) {
  const auto jwt = oauth::parse_compact(text);
  if (!jwt) return refuse(Error::INVALID_TOKEN, 401);
  bool ours = oauth::verify_hs256(*jwt, as_bytes(auth.secret()));
  for (const auto& old : auth.options().old_secrets)
    ours = ours || oauth::verify_hs256(*jwt, as_bytes(old.reveal()));
  const auto exp = jwt->time_claim("exp");
  const std::string* const email = jwt->string_claim("email");
  if (!ours || !exp || !email) return refuse(Error::INVALID_TOKEN, 401);
  if (*exp <= now) return refuse(Error::TOKEN_EXPIRED);
  const auto claim = [&](std::string_view name) {
    const std::string* const v = jwt->string_claim(name);
    return v ? *v : std::string();
  };
  return EmailToken{*email, claim("userId"), claim("updateTo"), claim("requestType")};
}

std::string verification_url(const Auth& auth, std::string_view token,
                             const std::optional<std::string>& callback_url) {
  return fmt::format("{}?token={}&callbackURL={}", auth.url("/verify-email"), token,
                     encode_uri_component(callback_url.value_or("/")));
}

Task<void> send_verification_mail(Context& c, User user, std::optional<std::string> callback_url) {
  const auto& send = c.auth.options().email_verification.send_verification_email;
  if (!send) co_return;
  const std::string token = sign_email_token(c.auth, {.email = user.email, .user_id = user.id}, c.now);
  co_await c.auth.mail(
      &send, {std::move(user), verification_url(c.auth, token, callback_url), token, c.accept_language()});
}

}  // namespace latchkey::auth
