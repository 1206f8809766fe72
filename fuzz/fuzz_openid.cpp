// What OpenID providers and the OAuth servers beside them send: metadata, key sets, claims, ID tokens.
#include <cstdlib>

#include "auth/plugins/social/id_token.h"
#include "auth/plugins/social/issuer.h"
#include "auth/plugins/social/profile.h"

using namespace latchkey;

namespace {
void require(bool ok) {
  if (!ok) std::abort();
}

const oauth::VerificationKey& key() {
  static const oauth::VerificationKey k = [] {
    SeededRng rng;
    return oauth::VerificationKey{crypto::Ed25519PrivateKey::generate(rng).public_key(), "k1", "EdDSA"};
  }();
  return k;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Time now = from_unix_seconds(1'750'000'000);
  if (const auto token = oauth::parse_compact(text))
    require(!auth::check_id_token(*token, key(),
                                  {.issuer = "https://idp.example.com", .client_id = "client-1"}, "", now));
  const auto value = json::parse(text, {.max_depth = 32});
  if (!value) return 0;
  if (const auto keys = oauth::VerificationKeys::parse(*value)) {
    require(keys->keys.size() <= keys->published);
    for (const auto& k : keys->keys)
      if (const auto* found = keys->find(k.kid, "RS256")) require(found->fits("RS256"));
  }
  if (!value->object()) return 0;
  if (const auto metadata =
          auth::IssuerMetadata::parse(*value->object(), "https://idp.example.com", auth::PlainHttp::refuse)) {
    require(Url::parse(metadata->authorization_endpoint)->scheme == "https");
    require(!metadata->signing_algs.empty());
  }
  if (const auto profile = auth::profile_from_claims(*value->object())) {
    require(!profile->subject.empty() && profile->subject.size() <= auth::k_max_subject);
    require(profile->name.size() <= auth::k_max_profile_name && is_valid_utf8(profile->name));
    require(!profile->email_verified || profile->email.has_value());
  }
  return 0;
}
