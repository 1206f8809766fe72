// Compact JWTs from strangers: client assertions, DPoP proofs, bearer tokens.
#include <cstdlib>

#include "oauth/dpop/dpop.h"
#include "oauth/jose/client_assertion.h"
#include "oauth/jose/jwt.h"

using namespace latchkey;

namespace {
const crypto::PrivateKey& key() {
  static const crypto::PrivateKey k = [] {
    SeededRng rng;
    return crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  }();
  return k;
}
void require(bool ok) {
  if (!ok) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Time now = from_unix_seconds(1'562'262'616);  // the iat of RFC 9449's example
  if (const auto jwt = oauth::parse_compact(text)) {
    // Nothing is verified by a key it was not made for.
    require(!oauth::verify(*jwt, key().public_key()));
    require(!oauth::verify_hs256(*jwt, Bytes(32, 7)));
    for (const auto& [name, value] : jwt->payload) {
      (void)jwt->time_claim(name);
      (void)jwt->has_audience(name);
    }
    if (const auto* member = jwt->header.find("jwk")) {
      if (const auto jwk = oauth::Jwk::parse(*member))
        require(oauth::Jwk::parse(json::Value(jwk->to_json())).value().thumbprint() == jwk->thumbprint());
      (void)oauth::Jwks::parse(*member);
      (void)oauth::parse_private_jwk(*member);
    }
    // What was parsed can be signed again, and then verifies.
    const auto again = oauth::parse_compact(oauth::sign_jwt(jwt->header, jwt->payload, key()));
    require(!again || oauth::verify(*again, key().public_key()));
  }
  (void)oauth::check_dpop_proof({.proof = std::string(text),
                                 .method = "POST",
                                 .uri = "https://server.example.com/token",
                                 .access_token = {}},
                                {}, now);
  const oauth::Jwks jwks{{{.key = key().public_key(), .kid = "k1", .alg = {}, .use = {}}}};
  require(!oauth::check_client_assertion(text, "https://app.example/c.json", "https://pds.example", jwks, {},
                                         now));
  const auto half = text.substr(0, size / 2), rest = text.substr(size / 2);
  require(oauth::same_htu(half, rest) == oauth::same_htu(rest, half));
  return 0;
}
