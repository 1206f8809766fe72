#include "oauth/jose/jwt.h"

#include <cmath>
#include <stdexcept>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::oauth {
namespace {

constexpr std::size_t k_max_depth = 16;
constexpr std::size_t k_min_hs256_secret = 32;                 // RFC 7518 §3.2
constexpr std::int64_t k_last_numeric_date = 253'402'300'799;  // the end of the year 9999

JoseError bad(std::string detail) { return JoseError{std::move(detail)}; }

Result<json::Object, JoseError> object_part(std::string_view part, std::string_view name) {
  const auto bytes = from_base64url(part);
  if (!bytes) return fail(bad("jwt: " + std::string(name) + " is not base64url"));
  auto value = json::parse(as_text(*bytes), {.max_depth = k_max_depth});
  if (!value || !value->object()) return fail(bad("jwt: " + std::string(name) + " is not a JSON object"));
  return std::move(*value->object());
}

bool is_none(std::string_view alg) {  // any case: some verifiers were fooled by "nOnE"
  constexpr std::string_view none = "none";
  if (alg.size() != none.size()) return false;
  for (std::size_t i = 0; i < none.size(); ++i)
    if ((alg[i] | 0x20) != none[i]) return false;
  return true;
}

std::string signing_input(const json::Object& header, const json::Object& payload) {
  return base64url(as_bytes(json::Value(header).dump())) + "." +
         base64url(as_bytes(json::Value(payload).dump()));
}

void require_strong(BytesView secret) {
  if (secret.size() < k_min_hs256_secret)
    throw std::invalid_argument("HS256: secret has fewer than 32 bytes");
}

const std::string* text_member(const json::Object& o, std::string_view name) {
  const auto* v = o.find(name);
  return v ? v->string() : nullptr;
}

}  // namespace

std::string_view Jwt::alg() const {
  const auto* s = text_member(header, "alg");
  return s ? std::string_view(*s) : std::string_view();
}
std::string_view Jwt::typ() const {
  const auto* s = text_member(header, "typ");
  return s ? std::string_view(*s) : std::string_view();
}
const std::string* Jwt::string_claim(std::string_view name) const { return text_member(payload, name); }

std::optional<Time> Jwt::time_claim(std::string_view name) const {
  const auto* v = payload.find(name);
  if (!v) return std::nullopt;
  // RFC 7519 §2: seconds since the epoch, fractions allowed. Zero is a date like any other, long past.
  if (const auto* i = v->integer()) {
    if (*i < 0 || *i > k_last_numeric_date) return std::nullopt;
    return from_unix_seconds(*i);
  }
  if (const auto* d = v->number()) {
    if (!(*d >= 0 && *d <= static_cast<double>(k_last_numeric_date))) return std::nullopt;
    return from_unix_micros(static_cast<std::int64_t>(std::floor(*d * 1e6)));
  }
  return std::nullopt;
}

bool Jwt::has_audience(std::string_view audience) const {  // RFC 7519 §4.1.3
  const auto* aud = payload.find("aud");
  if (!aud) return false;
  if (const auto* one = aud->string()) return *one == audience;
  if (const auto* many = aud->array())
    for (const auto& v : *many)
      if (v.string() && *v.string() == audience) return true;
  return false;
}

Result<Jwt, JoseError> parse_compact(std::string_view text) {
  if (text.size() > k_max_jwt_bytes) return fail(bad("jwt: longer than 16 KiB"));
  const auto first = text.find('.');
  const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return fail(bad("jwt: not three parts"));
  TRY(auto header, object_part(text.substr(0, first), "header"));
  TRY(auto payload, object_part(text.substr(first + 1, second - first - 1), "payload"));
  auto signature = from_base64url(text.substr(second + 1));
  if (!signature) return fail(bad("jwt: signature is not base64url"));
  const auto* alg = text_member(header, "alg");
  if (!alg || alg->empty()) return fail(bad("jwt: no alg"));
  if (is_none(*alg) || signature->empty()) return fail(bad("jwt: not signed"));
  // RFC 7515 §4.1.11: extensions the recipient does not understand make the JWS invalid. We understand none.
  if (header.find("crit")) return fail(bad("jwt: critical extensions are not supported"));
  return Jwt{std::move(header), std::move(payload), std::string(text.substr(0, second)),
             std::move(*signature)};
}

std::string sign_jwt(json::Object header, json::Object payload, const crypto::PrivateKey& key) {
  header.set("alg", alg_of(key.curve()));
  std::string out = signing_input(header, payload);
  const auto signature = key.sign(as_bytes(out));
  return out + "." + base64url(signature);
}

std::string sign_hs256(json::Object header, json::Object payload, BytesView secret) {
  require_strong(secret);
  header.set("alg", "HS256");
  std::string out = signing_input(header, payload);
  const auto mac = crypto::hmac_sha256(secret, as_bytes(out));
  return out + "." + base64url(mac);
}

bool verify(const Jwt& jwt, const crypto::PublicKey& key) {
  return jwt.alg() == alg_of(key.curve()) &&
         key.verify(as_bytes(jwt.signing_input), jwt.signature, crypto::HighS::accept);
}

bool verify_hs256(const Jwt& jwt, BytesView secret) {
  require_strong(secret);
  return jwt.alg() == "HS256" &&
         crypto::equal(crypto::hmac_sha256(secret, as_bytes(jwt.signing_input)), jwt.signature);
}

}  // namespace latchkey::oauth
