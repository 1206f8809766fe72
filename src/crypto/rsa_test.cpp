#include "crypto/rsa.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

Bytes b64(std::string_view text) { return from_base64url(text).value(); }

// RFC 7515 A.2.
const Bytes k_n = b64(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-"
    "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ");
const Bytes k_e = b64("AQAB");
constexpr std::string_view k_input =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const Bytes k_signature = b64(
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9u"
    "JdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_e"
    "SN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A"
    "XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");

/// A key pair of OpenSSL's making, and what it signs.
struct Signer {
  Pkey pkey;
  explicit Signer(unsigned bits) : pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{bits})) {}
  Bytes number(const char* name) const {
    BIGNUM* raw = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(pkey.get(), name, &raw), 1);
    const Bn bn(raw);
    Bytes out(static_cast<std::size_t>(BN_num_bytes(bn.get())));
    BN_bn2bin(bn.get(), out.data());
    return out;
  }
  Result<RsaPublicKey, KeyError> public_key() const {
    return RsaPublicKey::from_numbers(number(OSSL_PKEY_PARAM_RSA_N), number(OSSL_PKEY_PARAM_RSA_E));
  }
  Bytes sign(std::string_view message, int padding, int salt = RSA_PSS_SALTLEN_DIGEST) const {
    const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr));
    EXPECT_EQ(EVP_PKEY_sign_init(ctx.get()), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(ctx.get(), padding), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_signature_md(ctx.get(), EVP_sha256()), 1);
    if (padding == RSA_PKCS1_PSS_PADDING) EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx.get(), salt), 1);
    const Digest digest = sha256(as_bytes(message));
    std::size_t n = 0;
    EVP_PKEY_sign(ctx.get(), nullptr, &n, digest.data(), digest.size());
    Bytes out(n);
    EXPECT_EQ(EVP_PKEY_sign(ctx.get(), out.data(), &n, digest.data(), digest.size()), 1);
    return out;
  }
};

TEST(Rsa, VerifiesRfc7515) {
  const auto key = RsaPublicKey::from_numbers(k_n, k_e);
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->verify(as_bytes(k_input), k_signature, RsaPadding::pkcs1_v1_5));
  EXPECT_FALSE(key->verify(as_bytes(k_input), k_signature, RsaPadding::pss));
  EXPECT_FALSE(key->verify(as_bytes(std::string(k_input) + " "), k_signature, RsaPadding::pkcs1_v1_5));
}

TEST(RsaAttack, AChangedShortenedOrPaddedSignatureIsNone) {
  const auto key = RsaPublicKey::from_numbers(k_n, k_e).value();
  const auto ok = [&](const Bytes& s) { return key.verify(as_bytes(k_input), s, RsaPadding::pkcs1_v1_5); };
  for (const std::size_t i : {0u, 100u, 255u}) {
    Bytes changed = k_signature;
    changed[i] ^= 1;
    EXPECT_FALSE(ok(changed)) << i;
  }
  Bytes shorter = k_signature, longer{0};
  shorter.pop_back();
  append(longer, k_signature);
  EXPECT_FALSE(ok(shorter));
  EXPECT_FALSE(ok(longer));
  EXPECT_FALSE(ok({}));
  EXPECT_FALSE(ok(Bytes(256, 0)));
}

TEST(Rsa, PssHasASaltAsLongAsTheDigest) {  // RFC 7518 §3.5
  const Signer signer(2048);
  const auto key = signer.public_key().value();
  const auto good = signer.sign("m", RSA_PKCS1_PSS_PADDING);
  EXPECT_TRUE(key.verify(as_bytes("m"), good, RsaPadding::pss));
  EXPECT_FALSE(key.verify(as_bytes("n"), good, RsaPadding::pss));
  EXPECT_FALSE(key.verify(as_bytes("m"), good, RsaPadding::pkcs1_v1_5));
  EXPECT_FALSE(key.verify(as_bytes("m"), signer.sign("m", RSA_PKCS1_PSS_PADDING, 20), RsaPadding::pss));
  EXPECT_FALSE(key.verify(as_bytes("m"), signer.sign("m", RSA_PKCS1_PADDING), RsaPadding::pss));
}

TEST(RsaAttack, KeysBelow2048BitsAreRefused) {  // RFC 7518 §3.3
  EXPECT_FALSE(Signer(1024).public_key());
  EXPECT_FALSE(Signer(2040).public_key());
  EXPECT_TRUE(Signer(2048).public_key());
}

TEST(RsaAttack, NumbersThatAreNoKeyOrCostTooMuchAreRefused) {
  const auto makes = [](const Bytes& n, const Bytes& e) {
    return RsaPublicKey::from_numbers(n, e).has_value();
  };
  Bytes largest(1024, 0xff), larger(1025, 0xff), even = k_n, zero_first{0};
  even.back() &= 0xfe;
  append(zero_first, k_n);
  EXPECT_TRUE(makes(largest, k_e)) << "8192 bits";
  EXPECT_FALSE(makes(larger, k_e));
  EXPECT_FALSE(makes(even, k_e));
  EXPECT_FALSE(makes(zero_first, k_e));
  EXPECT_FALSE(makes({}, k_e));
  EXPECT_TRUE(makes(k_n, Bytes{3}));
  EXPECT_TRUE(makes(k_n, Bytes{0xff, 0xff, 0xff, 0xff}));
  EXPECT_FALSE(makes(k_n, Bytes{1, 0, 0, 0, 1})) << "33 bits";
  EXPECT_FALSE(makes(k_n, Bytes{1})) << "every message would be its own signature";
  EXPECT_FALSE(makes(k_n, Bytes{2}));
  EXPECT_FALSE(makes(k_n, Bytes{0, 3}));
  EXPECT_FALSE(makes(k_n, {}));
}

}  // namespace
}  // namespace latchkey::crypto
