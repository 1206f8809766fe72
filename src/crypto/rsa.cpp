#include "crypto/rsa.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "crypto/hash.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {

struct RsaPublicKey::Impl {
  Pkey pkey;
  std::size_t bytes;  // of the modulus
};

namespace {

constexpr int k_min_bits = 2048, k_max_bits = 8192, k_max_exponent_bits = 32;

using Params = std::unique_ptr<OSSL_PARAM, Freed<&OSSL_PARAM_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<&OSSL_PARAM_BLD_free>>;

KeyError bad(std::string detail) {
  ERR_clear_error();
  return KeyError{std::move(detail)};
}

}  // namespace

Result<RsaPublicKey, KeyError> RsaPublicKey::from_numbers(BytesView n, BytesView e) {
  if (n.empty() || n[0] == 0 || e.empty() || e[0] == 0) return fail(bad("rsa: a number with leading zeros"));
  if (n.size() > k_max_bits / 8 || e.size() > k_max_exponent_bits / 8)
    return fail(bad("rsa: modulus or exponent is too long"));
  const Bn modulus(BN_bin2bn(n.data(), static_cast<int>(n.size()), nullptr));
  const Bn exponent(BN_bin2bn(e.data(), static_cast<int>(e.size()), nullptr));
  must(modulus && exponent, "BN_bin2bn");
  if (BN_num_bits(modulus.get()) < k_min_bits) return fail(bad("rsa: modulus has fewer than 2048 bits"));
  // An exponent of 1 makes every message its own signature.
  if (!BN_is_odd(modulus.get()) || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()))
    return fail(bad("rsa: not a public key"));

  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  must(builder && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1 &&
           OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1,
       "OSSL_PARAM_BLD_push");
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  const PkeyCtx ctx(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  must(params && ctx && EVP_PKEY_fromdata_init(ctx.get()) == 1, "EVP_PKEY_fromdata_init");
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return fail(bad("rsa: not a public key"));
  return RsaPublicKey(std::make_shared<const Impl>(Impl{Pkey(key), n.size()}));
}

bool RsaPublicKey::verify(BytesView message, BytesView signature, RsaPadding padding) const {
  if (signature.size() != impl_->bytes) return false;
  const Digest digest = sha256(message);
  const PkeyCtx ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, impl_->pkey.get(), nullptr));
  const int mode = padding == RsaPadding::pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
  must(ctx && EVP_PKEY_verify_init(ctx.get()) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx.get(), mode) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx.get(), EVP_sha256()) == 1 &&
           (padding != RsaPadding::pss ||
            (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx.get(), EVP_sha256()) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx.get(), RSA_PSS_SALTLEN_DIGEST) == 1)),
       "EVP_PKEY_verify_init");
  const bool ok =
      EVP_PKEY_verify(ctx.get(), signature.data(), signature.size(), digest.data(), digest.size()) == 1;
  if (!ok) ERR_clear_error();
  return ok;
}

}  // namespace latchkey::crypto
