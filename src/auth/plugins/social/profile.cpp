#include "auth/plugins/social/profile.h"

#include <algorithm>

#include "base/url.h"
#include "mail/address.h"

namespace latchkey::auth {
namespace {

bool is_control(char c) {
  const auto b = static_cast<unsigned char>(c);
  return b < 0x20 || b == 0x7f;
}

/// Without control characters, cut at a character.
std::string clean_name(std::string text) {
  std::erase_if(text, is_control);
  return utf8_prefix(std::move(text), k_max_profile_name);
}

std::string text_of(const json::Object& o, std::string_view name) {
  const auto* v = o.find(name);
  const auto* s = v ? v->string() : nullptr;
  return s ? *s : std::string();
}

}  // namespace

Result<SocialProfile, ProviderError> make_profile(ProfileParts parts, json::Object raw) {
  if (parts.subject.empty() || parts.subject.size() > k_max_subject ||
      std::ranges::any_of(parts.subject, is_control))
    return fail(ProviderError{ProviderError::Kind::invalid, "no usable subject"});
  SocialProfile out;
  out.subject = std::move(parts.subject);
  if (const auto address = mail::EmailAddress::parse(parts.email)) {
    out.email = address->str();
    out.email_verified = parts.email_verified;
  }
  out.name = clean_name(std::move(parts.name));
  if (parts.image.size() <= k_max_image_url)
    if (const auto url = Url::parse(parts.image); url && url->scheme == "https") out.image = parts.image;
  out.raw = std::move(raw);
  return out;
}

Result<SocialProfile, ProviderError> profile_from_claims(json::Object claims) {
  const auto* verified = claims.find("email_verified");
  std::string name = text_of(claims, "name");
  if (name.empty()) name = text_of(claims, "given_name");
  if (name.empty()) name = text_of(claims, "preferred_username");
  ProfileParts parts{.subject = text_of(claims, "sub"),
                     .email = text_of(claims, "email"),
                     .name = std::move(name),
                     .image = text_of(claims, "picture"),
                     .email_verified = verified && verified->boolean() && *verified->boolean()};
  return make_profile(std::move(parts), std::move(claims));
}

}  // namespace latchkey::auth
