#include "auth/plugins/passkey/fido.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>

#include <memory>

#include "crypto/openssl.h"

namespace latchkey::auth::webauthn {
namespace {

/// An object of libfido2, freed through a pointer to its pointer.
template <auto New, auto Free>
auto make() {
  static thread_local const bool ready =
      (fido_init(0), true);  // wanted once per thread, before anything else
  static_cast<void>(ready);
  auto* object = New();
  const auto free = [](auto* p) { Free(&p); };
  std::unique_ptr<std::remove_pointer_t<decltype(object)>, decltype(free)> owner(object, free);
  crypto::must(owner != nullptr, "libfido2");
  return owner;
}

/// Calls use(key) with libfido2's form of the key when libfido2 accepts it.
template <auto New, auto Free, auto FromPtr>
bool with_key(BytesView bytes, const auto& use) {
  const auto key = make<New, Free>();
  return FromPtr(key.get(), bytes.data(), bytes.size()) == FIDO_OK && use(key.get());
}
bool with_key(Algorithm algorithm, BytesView bytes, const auto& use) {
  switch (algorithm) {
    case Algorithm::ES256:
      return with_key<es256_pk_new, es256_pk_free, es256_pk_from_ptr>(bytes, use);
    case Algorithm::EdDSA:
      return with_key<eddsa_pk_new, eddsa_pk_free, eddsa_pk_from_ptr>(bytes, use);
    case Algorithm::RS256:
      return with_key<rs256_pk_new, rs256_pk_free, rs256_pk_from_ptr>(bytes, use);
  }
  std::abort();
}

int cose(Algorithm algorithm) { return static_cast<int>(algorithm); }

// libfido2 demands that the extensions in the authenticator data are the ones asked for. We ask for none and
// ignore what comes unasked (§7.1 step 28, §7.2 step 23), so we tell it what came.
bool is_true(const CborMap& extensions, std::string_view name) {
  const auto* item = extensions.find(name);
  return item && item->boolean() == true;
}
void expect_extensions(fido_cred_t* cred, const CborMap& extensions) {
  int mask = 0;
  if (is_true(extensions, "hmac-secret")) mask |= FIDO_EXT_HMAC_SECRET;
  if (is_true(extensions, "credBlob")) mask |= FIDO_EXT_CRED_BLOB;
  if (extensions.find("credProtect")) mask |= FIDO_EXT_CRED_PROTECT;
  if (extensions.find("minPinLength")) mask |= FIDO_EXT_MINPINLEN;
  fido_cred_set_extensions(cred, mask);
  if (const auto* level = extensions.find("credProtect"))
    fido_cred_set_prot(cred, static_cast<int>(level->integer().value_or(0)));
  if (const auto* length = extensions.find("minPinLength"))
    fido_cred_set_pin_minlen(cred, static_cast<std::size_t>(length->argument));
}
void expect_extensions(fido_assert_t* assertion, const CborMap& extensions) {
  int mask = 0;
  if (extensions.find("hmac-secret")) mask |= FIDO_EXT_HMAC_SECRET;
  if (extensions.find("credBlob")) mask |= FIDO_EXT_CRED_BLOB;
  fido_assert_set_extensions(assertion, mask);
}

std::optional<BytesView> bytes_at(const CborMap& map, std::int64_t key, std::size_t size) {
  const auto* item = map.find(key);
  const auto bytes = item ? item->bytes() : std::nullopt;
  return bytes && bytes->size() == size ? bytes : std::nullopt;
}
bool integer_is(const CborMap& map, std::int64_t key, std::int64_t expected) {
  const auto* item = map.find(key);
  return item && item->integer() == expected;
}

}  // namespace

std::optional<CredentialPublicKey> CredentialPublicKey::parse(BytesView cose_key) {
  const auto map = CborMap::parse(cose_key);
  if (!map) return std::nullopt;
  // Labels of a COSE_Key: 1 is kty, 3 is alg; -1 … are the parameters of the type.
  Bytes key;
  Algorithm algorithm;
  if (integer_is(*map, 3, cose(Algorithm::ES256))) {
    algorithm = Algorithm::ES256;
    const auto x = bytes_at(*map, -2, 32), y = bytes_at(*map, -3, 32);
    if (!integer_is(*map, 1, COSE_KTY_EC2) || !integer_is(*map, -1, COSE_P256) || !x || !y)
      return std::nullopt;
    append(key, *x);
    append(key, *y);
  } else if (integer_is(*map, 3, cose(Algorithm::EdDSA))) {
    algorithm = Algorithm::EdDSA;
    const auto x = bytes_at(*map, -2, 32);
    if (!integer_is(*map, 1, COSE_KTY_OKP) || !integer_is(*map, -1, COSE_ED25519) || !x) return std::nullopt;
    append(key, *x);
  } else if (integer_is(*map, 3, cose(Algorithm::RS256))) {
    algorithm = Algorithm::RS256;
    const auto n = bytes_at(*map, -1, 256), e = bytes_at(*map, -2, 3);
    if (!integer_is(*map, 1, COSE_KTY_RSA) || !n || !e) return std::nullopt;
    append(key, *n);
    append(key, *e);
  } else {
    return std::nullopt;
  }
  if (!with_key(algorithm, key, [](const void*) { return true; })) return std::nullopt;
  return CredentialPublicKey(algorithm, std::move(key));
}

bool CredentialPublicKey::verify(std::string_view rp_id, BytesView authenticator_data,
                                 const crypto::Digest& client_data_hash, BytesView signature,
                                 UserVerified user_verified) const {
  const auto assertion = make<fido_assert_new, fido_assert_free>();
  fido_assert_t* a = assertion.get();
  const auto parsed = AuthenticatorData::parse(authenticator_data);
  if (!parsed) return false;
  if (parsed->extensions) expect_extensions(a, *parsed->extensions);
  return fido_assert_set_rp(a, std::string(rp_id).c_str()) == FIDO_OK &&
         fido_assert_set_clientdata_hash(a, client_data_hash.data(), client_data_hash.size()) == FIDO_OK &&
         fido_assert_set_up(a, FIDO_OPT_TRUE) == FIDO_OK &&
         fido_assert_set_uv(a, user_verified == UserVerified::required ? FIDO_OPT_TRUE : FIDO_OPT_OMIT) ==
             FIDO_OK &&
         fido_assert_set_count(a, 1) == FIDO_OK &&
         fido_assert_set_authdata_raw(a, 0, authenticator_data.data(), authenticator_data.size()) ==
             FIDO_OK &&
         fido_assert_set_sig(a, 0, signature.data(), signature.size()) == FIDO_OK &&
         with_key(algorithm_, key_, [&](const void* key) {
           return fido_assert_verify(a, 0, cose(algorithm_), key) == FIDO_OK;
         });
}

bool attestation_is_correct(const Attestation& in, Algorithm credential_algorithm, std::string_view rp_id,
                            const crypto::Digest& client_data_hash) {
  const auto statement = CborMap::parse(in.att_stmt.raw);
  if (!statement) return false;
  if (in.fmt == "none") return statement->size() == 0;
  const bool self = statement->find("x5c") == nullptr;
  if (in.fmt == "packed" && self) {
    // §8.2, self attestation: alg is the credential's own.
    const auto* alg = statement->find("alg");
    if (!alg || alg->integer() != cose(credential_algorithm)) return false;
  } else if (self || (in.fmt != "packed" && in.fmt != "fido-u2f")) {
    return false;
  }
  const auto credential = make<fido_cred_new, fido_cred_free>();
  fido_cred_t* c = credential.get();
  if (in.parsed.extensions) expect_extensions(c, *in.parsed.extensions);
  const std::string rp(rp_id);
  if (fido_cred_set_type(c, cose(credential_algorithm)) != FIDO_OK ||
      fido_cred_set_rp(c, rp.c_str(), rp.c_str()) != FIDO_OK ||
      fido_cred_set_fmt(c, std::string(in.fmt).c_str()) != FIDO_OK ||
      fido_cred_set_clientdata_hash(c, client_data_hash.data(), client_data_hash.size()) != FIDO_OK ||
      fido_cred_set_authdata_raw(c, in.auth_data.data(), in.auth_data.size()) != FIDO_OK ||
      fido_cred_set_attstmt(c, in.att_stmt.raw.data(), in.att_stmt.raw.size()) != FIDO_OK)
    return false;
  return (self ? fido_cred_verify_self(c) : fido_cred_verify(c)) == FIDO_OK;
}

}  // namespace latchkey::auth::webauthn
