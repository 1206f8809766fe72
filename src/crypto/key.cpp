#include "crypto/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <secp256k1.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {

// secp256k1_ecdsa_sign wants a context with tables; blinding it once defends against timing attacks. It is
// read-only afterwards.
namespace {
const secp256k1_context* secp() {
  static const secp256k1_context* const ctx = [] {
    secp256k1_context* c = secp256k1_context_create(SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
    must(c != nullptr, "secp256k1_context_create");
    OsRng rng;
    const Bytes seed = rng.bytes(32);
    must(secp256k1_context_randomize(c, seed.data()) == 1, "secp256k1_context_randomize");
    return c;
  }();
  return ctx;
}

Pkey p256_pkey(const std::array<std::uint8_t, 65>& point, const BIGNUM* scalar);
}  // namespace

struct PublicKey::Impl {
  Curve curve;
  std::array<std::uint8_t, 65> point;  // 0x04, x, y
  secp256k1_pubkey k256;

  // What OpenSSL verifies with is made by the first who asks: it costs as much as a signature, and whoever
  // has the private key rarely verifies.
  EVP_PKEY* p256() const {
    std::call_once(once_, [this] { p256_ = p256_pkey(point, nullptr); });
    return p256_.get();
  }
  BytesView x() const { return BytesView(point).subspan(1, 32); }
  BytesView y() const { return BytesView(point).subspan(33, 32); }
  std::array<std::uint8_t, 33> compressed() const {  // SEC 1 §2.3.3
    std::array<std::uint8_t, 33> out;
    out[0] = 2 | (point[64] & 1);
    std::copy_n(point.begin() + 1, 32, out.begin() + 1);
    return out;
  }

 private:
  mutable std::once_flag once_;
  mutable Pkey p256_;
};

struct PrivateKey::Impl {
  Curve curve;
  Secret<std::array<std::uint8_t, 32>> scalar;
  Pkey p256;
  PublicKey public_key;
};

namespace {

using Block = std::array<std::uint8_t, 32>;

constexpr std::size_t k_max_pem = 16 * 1024;

// The order n of P-256's group (SEC 2 §2.4.2) and n / 2, big-endian.
constexpr Block k_p256_n = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                            0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                            0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
constexpr Block k_p256_half_n = {0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
                                 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
                                 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

KeyError bad(std::string detail) {
  ERR_clear_error();  // refusing hostile input is no news for whoever reads OpenSSL's queue next
  return KeyError{std::move(detail)};
}

bool is_high_s(BytesView s) {
  return std::lexicographical_compare(k_p256_half_n.begin(), k_p256_half_n.end(), s.begin(), s.end());
}

// s = n - s, for 0 < s < n.
void negate_s(std::uint8_t* s) {
  int borrow = 0;
  for (int i = 31; i >= 0; --i) {
    const int d = k_p256_n[static_cast<std::size_t>(i)] - s[i] - borrow;
    borrow = d < 0;
    s[i] = static_cast<std::uint8_t>(d);
  }
}

bool is_p256_scalar(BytesView d) {
  return std::any_of(d.begin(), d.end(), [](std::uint8_t b) { return b != 0; }) &&
         std::lexicographical_compare(d.begin(), d.end(), k_p256_n.begin(), k_p256_n.end());
}

const EC_GROUP* p256_group() {
  static const EC_GROUP* const group = [] {
    const EC_GROUP* g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    must(g != nullptr, "P-256 is not available");
    return g;
  }();
  return group;
}

using Point = std::unique_ptr<EC_POINT, Freed<&EC_POINT_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<&OSSL_PARAM_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<&OSSL_PARAM_BLD_free>>;

std::array<std::uint8_t, 65> uncompressed(const EC_POINT* point) {
  std::array<std::uint8_t, 65> out;
  must(EC_POINT_point2oct(p256_group(), point, POINT_CONVERSION_UNCOMPRESSED, out.data(), out.size(),
                          nullptr) == out.size(),
       "EC_POINT_point2oct");
  return out;
}

// Any form of a point, checked to be on the curve. nullopt when it is not.
std::optional<std::array<std::uint8_t, 65>> p256_point(BytesView encoded) {
  const Point point(EC_POINT_new(p256_group()));
  must(point != nullptr, "EC_POINT_new");
  if (EC_POINT_oct2point(p256_group(), point.get(), encoded.data(), encoded.size(), nullptr) != 1 ||
      EC_POINT_is_at_infinity(p256_group(), point.get()))
    return std::nullopt;
  return uncompressed(point.get());
}

Pkey p256_pkey(const std::array<std::uint8_t, 65>& point, const BIGNUM* scalar) {
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  must(builder != nullptr, "OSSL_PARAM_BLD_new");
  must(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
           OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                            point.size()) == 1 &&
           (!scalar || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar) == 1),
       "OSSL_PARAM_BLD_push");
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  const PkeyCtx ctx(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  must(params && ctx && EVP_PKEY_fromdata_init(ctx.get()) == 1 &&
           EVP_PKEY_fromdata(ctx.get(), &key, scalar ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                             params.get()) == 1,
       "EVP_PKEY_fromdata");
  return Pkey(key);
}

// OpenSSL takes and gives DER: SEQUENCE { INTEGER r, INTEGER s } (RFC 3279 §2.2.3), at most 72 bytes here.
struct Der {
  std::array<std::uint8_t, 72> bytes;
  std::size_t size = 0;
};

Der to_der(BytesView compact) {
  Der out;
  std::uint8_t* p = out.bytes.data() + 2;
  for (const BytesView number : {compact.first(32), compact.subspan(32)}) {
    std::size_t skip = 0;
    while (skip < 31 && number[skip] == 0) ++skip;
    const bool pad = number[skip] & 0x80;  // DER integers are signed
    const std::size_t n = 32 - skip + pad;
    *p++ = 0x02;
    *p++ = static_cast<std::uint8_t>(n);
    if (pad) *p++ = 0;
    p = std::copy(number.begin() + static_cast<std::ptrdiff_t>(skip), number.end(), p);
  }
  out.size = static_cast<std::size_t>(p - out.bytes.data());
  out.bytes[0] = 0x30;
  out.bytes[1] = static_cast<std::uint8_t>(out.size - 2);
  return out;
}

Signature from_der(const Der& der) {
  const std::uint8_t* p = der.bytes.data();
  const std::unique_ptr<ECDSA_SIG, Freed<&ECDSA_SIG_free>> sig(
      d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size)));
  Signature out;
  must(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), out.data(), 32) == 32 &&
           BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), out.data() + 32, 32) == 32,
       "d2i_ECDSA_SIG");
  return out;
}

// Multicodec codes as varints: p256-pub 0x1200, secp256k1-pub 0xe7.
constexpr std::array<std::uint8_t, 2> k_p256_code = {0x80, 0x24};
constexpr std::array<std::uint8_t, 2> k_k256_code = {0xe7, 0x01};
constexpr std::string_view k_did_key = "did:key:";

}  // namespace

Result<PublicKey, KeyError> PublicKey::from_did_key(std::string_view did) {
  if (!did.starts_with(k_did_key)) return fail(bad("not a did:key"));
  return from_multibase(did.substr(k_did_key.size()));
}

Result<PublicKey, KeyError> PublicKey::from_multibase(std::string_view text) {
  if (!text.starts_with('z')) return fail(bad("not multibase base58btc"));
  const auto bytes = from_base58btc(text.substr(1));
  if (!bytes || bytes->size() != 35) return fail(bad("not a public key in base58btc"));
  const BytesView code = BytesView(*bytes).first(2), point = BytesView(*bytes).subspan(2);
  if (std::ranges::equal(code, k_p256_code)) return from_compressed(Curve::p256, point);
  if (std::ranges::equal(code, k_k256_code)) return from_compressed(Curve::k256, point);
  return fail(bad("key type is neither P-256 nor secp256k1"));
}

Result<PublicKey, KeyError> PublicKey::from_legacy_multibase(Curve curve, std::string_view text) {
  if (!text.starts_with('z')) return fail(bad("not multibase base58btc"));
  const auto bytes = from_base58btc(text.substr(1));
  if (!bytes) return fail(bad("not base58btc"));
  if (bytes->size() == 65 && bytes->front() == 4)
    return from_coordinates(curve, BytesView(*bytes).subspan(1, 32), BytesView(*bytes).subspan(33));
  return from_compressed(curve, *bytes);
}

Result<PublicKey, KeyError> PublicKey::from_compressed(Curve curve, BytesView point) {
  if (point.size() != 33 || (point[0] != 2 && point[0] != 3)) return fail(bad("not a compressed point"));
  auto impl = std::make_shared<Impl>();
  impl->curve = curve;
  if (curve == Curve::p256) {
    const auto full = p256_point(point);
    if (!full) return fail(bad("point is not on P-256"));
    impl->point = *full;
  } else {
    if (secp256k1_ec_pubkey_parse(secp(), &impl->k256, point.data(), point.size()) != 1)
      return fail(bad("point is not on secp256k1"));
    std::size_t n = impl->point.size();
    secp256k1_ec_pubkey_serialize(secp(), impl->point.data(), &n, &impl->k256, SECP256K1_EC_UNCOMPRESSED);
  }
  return PublicKey(std::move(impl));
}

Result<PublicKey, KeyError> PublicKey::from_coordinates(Curve curve, BytesView x, BytesView y) {
  if (x.size() != 32 || y.size() != 32) return fail(bad("coordinates must have 32 bytes"));
  auto impl = std::make_shared<Impl>();
  impl->curve = curve;
  impl->point[0] = 4;
  std::copy(x.begin(), x.end(), impl->point.begin() + 1);
  std::copy(y.begin(), y.end(), impl->point.begin() + 33);
  if (curve == Curve::p256) {
    // An invalid-curve point would let a signer choose a group where signatures are easy.
    if (!p256_point(impl->point)) return fail(bad("point is not on P-256"));
  } else if (secp256k1_ec_pubkey_parse(secp(), &impl->k256, impl->point.data(), impl->point.size()) != 1) {
    return fail(bad("point is not on secp256k1"));
  }
  return PublicKey(std::move(impl));
}

Curve PublicKey::curve() const { return impl_->curve; }
std::string PublicKey::did_key() const { return std::string(k_did_key) + multibase(); }
std::string PublicKey::multibase() const {
  Bytes bytes = to_bytes(BytesView(curve() == Curve::p256 ? k_p256_code : k_k256_code));
  append(bytes, impl_->compressed());
  return "z" + base58btc(bytes);
}
Bytes PublicKey::compressed() const { return to_bytes(BytesView(impl_->compressed())); }
Bytes PublicKey::x() const { return to_bytes(impl_->x()); }
Bytes PublicKey::y() const { return to_bytes(impl_->y()); }
bool PublicKey::operator==(const PublicKey& other) const {
  return impl_ == other.impl_ || (curve() == other.curve() && impl_->point == other.impl_->point);
}

bool PublicKey::verify(BytesView message, BytesView signature, HighS high_s) const {
  if (signature.size() != 64) return false;
  const Digest digest = sha256(message);
  if (curve() == Curve::p256) {
    if (high_s == HighS::refuse && is_high_s(signature.subspan(32))) return false;
    const Der der = to_der(signature);
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, impl_->p256(), nullptr));
    must(ctx && EVP_PKEY_verify_init(ctx.get()) == 1, "EVP_PKEY_verify_init");
    const bool ok = EVP_PKEY_verify(ctx.get(), der.bytes.data(), der.size, digest.data(), digest.size()) == 1;
    if (!ok) ERR_clear_error();
    return ok;
  }
  secp256k1_ecdsa_signature sig;
  if (secp256k1_ecdsa_signature_parse_compact(secp(), &sig, signature.data()) != 1) return false;
  // libsecp256k1 verifies low-S only; normalize tells whether s was high.
  if (secp256k1_ecdsa_signature_normalize(secp(), &sig, &sig) == 1 && high_s == HighS::refuse) return false;
  return secp256k1_ecdsa_verify(secp(), &sig, digest.data(), &impl_->k256) == 1;
}

Result<PrivateKey, KeyError> PrivateKey::from_bytes(Curve curve, BytesView scalar) {
  if (scalar.size() != 32) return fail(bad("private key must have 32 bytes"));
  Block d;
  std::copy(scalar.begin(), scalar.end(), d.begin());
  const Secret<Block> secret(d);
  wipe(d);
  const Block& k = secret.reveal();
  auto pub = std::make_shared<PublicKey::Impl>();
  pub->curve = curve;
  Pkey pkey;
  if (curve == Curve::p256) {
    if (!is_p256_scalar(k)) return fail(bad("private key is out of range"));
    const Bn bn(BN_secure_new());
    must(bn && BN_bin2bn(k.data(), 32, bn.get()) != nullptr, "BN_bin2bn");
    BN_set_flags(bn.get(), BN_FLG_CONSTTIME);
    const Point point(EC_POINT_new(p256_group()));
    must(point && EC_POINT_mul(p256_group(), point.get(), bn.get(), nullptr, nullptr, nullptr) == 1,
         "EC_POINT_mul");
    pub->point = uncompressed(point.get());
    pkey = p256_pkey(pub->point, bn.get());
  } else {
    if (secp256k1_ec_pubkey_create(secp(), &pub->k256, k.data()) != 1)
      return fail(bad("private key is out of range"));
    std::size_t n = pub->point.size();
    secp256k1_ec_pubkey_serialize(secp(), pub->point.data(), &n, &pub->k256, SECP256K1_EC_UNCOMPRESSED);
  }
  return PrivateKey(
      std::make_shared<const Impl>(Impl{curve, secret, std::move(pkey), PublicKey(std::move(pub))}));
}

PrivateKey PrivateKey::generate(Curve curve, Rng& rng) {
  for (;;) {  // all but one in 2^32 draws are in range
    const Secret<Bytes> scalar(rng.bytes(32));
    if (auto key = from_bytes(curve, scalar.reveal())) return std::move(*key);
  }
}

Result<PrivateKey, KeyError> PrivateKey::from_pem(std::string_view pem) {
  if (pem.size() > k_max_pem) return fail(bad("PEM is too long"));
  const std::unique_ptr<BIO, Freed<&BIO_free>> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  must(bio != nullptr, "BIO_new_mem_buf");
  // Without a callback OpenSSL would ask the terminal for a pass phrase.
  const auto no_pass_phrase = [](char*, int, int, void*) { return -1; };
  const Pkey pkey(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  if (!pkey) return fail(bad("not an unencrypted private key in PEM"));
  char group[64] = {};
  std::size_t n = 0;
  if (EVP_PKEY_get_utf8_string_param(pkey.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &n) != 1)
    return fail(bad("not an elliptic-curve key on a named curve"));
  const std::string_view name(group, n);
  std::optional<Curve> curve;
  if (name == "prime256v1" || name == "P-256") curve = Curve::p256;
  if (name == "secp256k1") curve = Curve::k256;
  if (!curve) return fail(bad("curve is neither P-256 nor secp256k1"));
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(pkey.get(), OSSL_PKEY_PARAM_PRIV_KEY, &raw) != 1)
    return fail(bad("no private key inside"));
  const Bn scalar(raw);
  Block d;
  if (BN_bn2binpad(scalar.get(), d.data(), 32) != 32) return fail(bad("private key is out of range"));
  const Secret<Block> secret(d);
  wipe(d);
  return from_bytes(*curve, secret.reveal());
}

Curve PrivateKey::curve() const { return impl_->curve; }
Secret<Bytes> PrivateKey::bytes() const { return Secret<Bytes>(to_bytes(BytesView(impl_->scalar.reveal()))); }
PublicKey PrivateKey::public_key() const { return impl_->public_key; }

Signature PrivateKey::sign(BytesView message) const {
  const Digest digest = sha256(message);
  Signature out;
  if (impl_->curve == Curve::p256) {
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, impl_->p256.get(), nullptr));
    Der der;
    der.size = der.bytes.size();
    must(ctx && EVP_PKEY_sign_init(ctx.get()) == 1 &&
             EVP_PKEY_sign(ctx.get(), der.bytes.data(), &der.size, digest.data(), digest.size()) == 1,
         "EVP_PKEY_sign");
    out = from_der(der);
    if (is_high_s(BytesView(out).subspan(32))) negate_s(out.data() + 32);
  } else {
    secp256k1_ecdsa_signature sig;  // RFC 6979 nonce, low-S
    must(secp256k1_ecdsa_sign(secp(), &sig, digest.data(), impl_->scalar.reveal().data(), nullptr, nullptr) ==
             1,
         "secp256k1_ecdsa_sign");
    secp256k1_ecdsa_signature_serialize_compact(secp(), out.data(), &sig);
  }
  return out;
}

}  // namespace latchkey::crypto
