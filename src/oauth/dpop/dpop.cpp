#include "oauth/dpop/dpop.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/url.h"
#include "crypto/hash.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth {
namespace {

constexpr std::string_view k_typ = "dpop+jwt";
constexpr std::size_t k_max_jti = 256, k_max_nonce = 256;

std::unexpected<DpopError> bad_proof(std::string_view what) {
  return fail(DpopError{"DPoP proof: " + std::string(what)});
}

std::string ath_of(std::string_view access_token) {  // §4.2
  return base64url(crypto::sha256(as_bytes(access_token)));
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// RFC 3986 §6.2.2.1, §6.2.2.2: escapes of unreserved characters are decoded, the others get upper-case
// digits. nullopt on a broken escape.
std::optional<std::string> normal_escapes(std::string_view path) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(path.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const auto byte = path.size() - i < 3 ? std::nullopt : from_hex(path.substr(i + 1, 2));
    if (!byte) return std::nullopt;
    const std::uint8_t b = byte->front();
    if (is_unreserved(static_cast<char>(b))) {
      out += static_cast<char>(b);
    } else {
      out += '%';
      out += digits[b >> 4];
      out += digits[b & 15];
    }
    i += 2;
  }
  return out;
}

// RFC 3986 §5.2.4, for a path that is empty or begins with a slash.
std::string without_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto next = path.find('/', 1);
    const std::string_view segment = path.substr(0, next);  // with its slash
    const bool last = next == std::string_view::npos;
    path = last ? std::string_view() : path.substr(next);
    if (segment == "/.." || segment == "/.") {
      if (segment == "/..") out.erase(std::min(out.rfind('/'), out.size()));
      if (last) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

struct Target {
  std::string scheme, host, path;
  std::uint16_t port;
  bool operator==(const Target&) const = default;
};

// Url::parse has lower-cased scheme and host and dropped the default port.
std::optional<Target> target_of(std::string_view uri) {
  auto url = Url::parse(uri);
  if (!url || (url->scheme != "https" && url->scheme != "http") || !url->userinfo.empty())
    return std::nullopt;
  const auto path = normal_escapes(url->path);
  if (!path) return std::nullopt;
  const auto port = url->effective_port();
  return Target{std::move(url->scheme), std::move(url->host),
                path->empty() ? "/" : without_dot_segments(*path), port};
}

}  // namespace

bool same_htu(std::string_view a, std::string_view b) {
  const auto left = target_of(a);
  return left && left == target_of(b);
}

// RFC 9449 §4.3 "Checking DPoP Proofs", RFC's numbers. The caller has 1 (one header) and 10 (the nonce, which
// needs the server's secret) and of 12 that the token is bound to this key.
Result<DpopProof, DpopError> check_dpop_proof(const DpopInput& in, const DpopPolicy& policy, Time now) {
  // 2. A single, well-formed JWT.
  const auto jwt = parse_compact(in.proof);
  if (!jwt) return bad_proof(jwt.error().detail);
  // 4. typ is dpop+jwt: keeps other JWTs signed by this key from posing as proofs.
  if (jwt->typ() != k_typ) return bad_proof("typ");
  // 5. An asymmetric algorithm we support: ES256, and the metadata says so. With the key inside the proof,
  // anything symmetric would let everybody sign.
  if (jwt->alg() != alg_of(crypto::Curve::p256)) return bad_proof("alg");
  // 3., 8. htm is the request's method (case-sensitive, RFC 9110 §9.1).
  const auto* htm = jwt->string_claim("htm");
  if (!htm || htm->empty() || *htm != in.method) return bad_proof("htm");
  // 3., 9. htu is the request's URI, "ignoring any query and fragment parts": in it as in ours.
  const auto* htu = jwt->string_claim("htu");
  if (!htu || !same_htu(*htu, in.uri)) return bad_proof("htu");
  // 3. An identifier that can be remembered.
  const auto* jti = jwt->string_claim("jti");
  if (!jti || jti->empty() || jti->size() > k_max_jti) return bad_proof("jti");
  // 3., 11. Created within an acceptable window, on both sides of now.
  const auto iat = jwt->time_claim("iat");
  if (!iat || now - *iat > policy.max_age || *iat - now > policy.max_skew) return bad_proof("iat");
  // RFC 7519 §4.1.4, §4.1.5: not claims of DPoP, but they mean something wherever they stand.
  if (jwt->payload.find("exp")) {
    const auto exp = jwt->time_claim("exp");
    if (!exp || *exp + policy.max_skew <= now) return bad_proof("exp");
  }
  if (jwt->payload.find("nbf")) {
    const auto nbf = jwt->time_claim("nbf");
    if (!nbf || *nbf - now > policy.max_skew) return bad_proof("nbf");
  }
  // 12. With an access token, ath is its hash. Without one it is refused: such a proof was made for a
  // resource.
  const auto* ath = jwt->payload.find("ath");
  if (in.access_token.has_value() != (ath != nullptr)) return bad_proof("ath");
  if (ath && (!ath->string() || !crypto::equal(*ath->string(), ath_of(*in.access_token))))
    return bad_proof("ath");
  // 10. is the caller's; here only that it can be compared.
  std::optional<std::string> nonce;
  if (const auto* v = jwt->payload.find("nonce")) {
    if (!v->string() || v->string()->size() > k_max_nonce) return bad_proof("nonce");
    nonce = *v->string();
  }
  // 7. jwk holds no private key (Jwk::parse), and is for the one algorithm we take.
  const auto* header_jwk = jwt->header.find("jwk");
  if (!header_jwk) return bad_proof("jwk");
  const auto jwk = Jwk::parse(*header_jwk, policy.keys);
  if (!jwk) return bad_proof(jwk.error().detail);
  // 6. The signature verifies with that key. Last, because it costs more than the rest together.
  if (!verify(*jwt, jwk->key)) return bad_proof("signature");
  return DpopProof{.jkt = jwk->thumbprint(),
                   .jti = *jti,
                   .nonce = std::move(nonce),
                   .iat = *iat,
                   // One tick more: at exactly max_age the proof is still accepted.
                   .remember_until = *iat + policy.max_age + Time::duration(1)};
}

std::string make_dpop_proof(const crypto::PrivateKey& key, std::string_view method, std::string_view url,
                            const std::optional<std::string>& nonce,
                            const std::optional<std::string>& access_token, Rng& rng, Time now) {
  const Jwk jwk{.key = key.public_key(), .kid = {}, .alg = {}, .use = {}};
  json::Object payload{{"jti", rng.token(16)},
                       {"htm", method},
                       {"htu", url.substr(0, url.find_first_of("?#"))},  // §4.2
                       {"iat", unix_seconds(now)}};
  if (nonce) payload.set("nonce", *nonce);
  if (access_token) payload.set("ath", ath_of(*access_token));
  return sign_jwt({{"typ", k_typ}, {"jwk", jwk.to_json()}}, std::move(payload), key);
}

}  // namespace latchkey::oauth
