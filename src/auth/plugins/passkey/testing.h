#pragma once
// For tests: an authenticator and its browser in software, honest unless told otherwise.

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <map>
#include <optional>
#include <string>

#include "auth/plugins/passkey/webauthn.h"
#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/openssl.h"

namespace latchkey::auth::webauthn::testing {

// CBOR, as little as is needed here; the heads are the shortest.
inline Bytes cbor_head(std::uint8_t major, std::size_t n) {
  const auto top = static_cast<std::uint8_t>(major << 5);
  if (n < 24) return {static_cast<std::uint8_t>(top | n)};
  if (n < 256) return {static_cast<std::uint8_t>(top | 24), static_cast<std::uint8_t>(n)};
  return {static_cast<std::uint8_t>(top | 25), static_cast<std::uint8_t>(n >> 8),
          static_cast<std::uint8_t>(n)};
}
inline Bytes cbor_int(int i) {
  return i < 0 ? cbor_head(1, static_cast<std::size_t>(-1 - i)) : cbor_head(0, static_cast<std::size_t>(i));
}
inline Bytes cbor_bytes(BytesView b) {
  Bytes out = cbor_head(2, b.size());
  append(out, b);
  return out;
}
inline Bytes cbor_text(std::string_view s) {
  Bytes out = cbor_head(3, s.size());
  append(out, as_bytes(s));
  return out;
}
inline Bytes cbor_map(std::initializer_list<std::pair<Bytes, Bytes>> members) {
  Bytes out = cbor_head(5, members.size());
  for (const auto& [key, value] : members) {
    append(out, key);
    append(out, value);
  }
  return out;
}

/// A key of one of the three algorithms.
class SoftKey {
 public:
  explicit SoftKey(Algorithm algorithm) : algorithm_(algorithm) {
    switch (algorithm) {
      case Algorithm::ES256:
        key_.reset(EVP_EC_gen("P-256"));
        break;
      case Algorithm::EdDSA:
        key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        break;
      case Algorithm::RS256:
        key_.reset(EVP_RSA_gen(2048));
        break;
    }
    crypto::must(key_ != nullptr, "keygen");
  }
  Bytes cose() const {
    const Bytes alg = cbor_int(static_cast<int>(algorithm_));
    switch (algorithm_) {
      case Algorithm::ES256:
        return cbor_map({{cbor_int(1), cbor_int(2)},
                         {cbor_int(3), alg},
                         {cbor_int(-1), cbor_int(1)},
                         {cbor_int(-2), cbor_bytes(number("qx", 32))},
                         {cbor_int(-3), cbor_bytes(number("qy", 32))}});
      case Algorithm::EdDSA: {
        Bytes x(32);
        std::size_t n = x.size();
        crypto::must(EVP_PKEY_get_raw_public_key(key_.get(), x.data(), &n) == 1, "raw key");
        return cbor_map({{cbor_int(1), cbor_int(1)},
                         {cbor_int(3), alg},
                         {cbor_int(-1), cbor_int(6)},
                         {cbor_int(-2), cbor_bytes(x)}});
      }
      case Algorithm::RS256:
        return cbor_map({{cbor_int(1), cbor_int(3)},
                         {cbor_int(3), alg},
                         {cbor_int(-1), cbor_bytes(number("n", 256))},
                         {cbor_int(-2), cbor_bytes(number("e", 3))}});
    }
    std::abort();
  }
  Bytes sign(BytesView message) const {
    const crypto::MdCtx ctx(EVP_MD_CTX_new());
    const EVP_MD* md = algorithm_ == Algorithm::EdDSA ? nullptr : EVP_sha256();
    std::size_t n = 0;
    crypto::must(EVP_DigestSignInit(ctx.get(), nullptr, md, nullptr, key_.get()) == 1 &&
                     EVP_DigestSign(ctx.get(), nullptr, &n, message.data(), message.size()) == 1,
                 "sign");
    Bytes out(n);
    crypto::must(EVP_DigestSign(ctx.get(), out.data(), &n, message.data(), message.size()) == 1, "sign");
    out.resize(n);
    return out;
  }

 private:
  Bytes number(const char* name, int size) const {
    BIGNUM* raw = nullptr;
    crypto::must(EVP_PKEY_get_bn_param(key_.get(), name, &raw) == 1, "parameter");
    const crypto::Bn owner(raw);
    Bytes out(static_cast<std::size_t>(size));
    crypto::must(BN_bn2binpad(raw, out.data(), size) == size, "parameter size");
    return out;
  }
  Algorithm algorithm_;
  crypto::Pkey key_;
};

/// One credential on one authenticator, and the page it is used from. Tests bend the members.
struct SoftAuthenticator {
  explicit SoftAuthenticator(Algorithm algorithm = Algorithm::ES256, std::uint8_t tag = 1)
      : key(algorithm), credential_id(32, tag) {}

  SoftKey key;
  Bytes credential_id;
  std::optional<Bytes> user_handle;
  std::string rp_id = "auth.example";
  std::string origin = "https://auth.example";
  std::uint8_t flags = 0x01 | 0x04;  // UP, UV
  std::uint32_t sign_count = 0;      // of the next answer
  Aaguid aaguid{};
  Bytes extensions;    // a CBOR map, or empty
  Bytes trailing;      // behind the authenticator data
  json::Object extra;  // members added to the client data
  std::string fmt = "none";
  std::optional<Bytes> att_stmt;  // an empty map unless set

  std::string client_data(std::string_view type, BytesView challenge) const {
    json::Object c{
        {"type", type}, {"challenge", base64url(challenge)}, {"origin", origin}, {"crossOrigin", false}};
    for (const auto& m : extra) c.set(m.key, m.value);
    return json::Value(c).dump();
  }
  Bytes authenticator_data(bool attested) const {
    const auto rp_id_hash = crypto::sha256(as_bytes(rp_id));
    Bytes out(rp_id_hash.begin(), rp_id_hash.end());
    out.push_back(static_cast<std::uint8_t>(flags | (attested ? 0x40 : 0) | (extensions.empty() ? 0 : 0x80)));
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(sign_count >> shift));
    if (attested) {
      append(out, aaguid);
      out.push_back(static_cast<std::uint8_t>(credential_id.size() >> 8));
      out.push_back(static_cast<std::uint8_t>(credential_id.size()));
      append(out, credential_id);
      append(out, key.cose());
    }
    append(out, extensions);
    append(out, trailing);
    return out;
  }
  AttestationResponse create(BytesView challenge) const {
    const Bytes data = authenticator_data(true);
    const std::string client = client_data("webauthn.create", challenge);
    Bytes statement = att_stmt.value_or(cbor_map({}));
    if (fmt == "packed" && !att_stmt) {  // self attestation, §8.2
      Bytes message = data;
      append(message, crypto::sha256(as_bytes(client)));
      statement =
          cbor_map({{cbor_text("alg"), cbor_int(-7)}, {cbor_text("sig"), cbor_bytes(key.sign(message))}});
    }
    return {credential_id, to_bytes(client),
            cbor_map({{cbor_text("fmt"), cbor_text(fmt)},
                      {cbor_text("attStmt"), statement},
                      {cbor_text("authData"), cbor_bytes(data)}})};
  }
  AssertionResponse get(BytesView challenge, bool attested = false) const {
    const Bytes data = authenticator_data(attested);
    const std::string client = client_data("webauthn.get", challenge);
    Bytes message = data;
    append(message, crypto::sha256(as_bytes(client)));
    return {credential_id, to_bytes(client), data, key.sign(message), user_handle};
  }

  // As the browser's toJSON() gives them.
  static json::Object to_json(const AttestationResponse& r) {
    return {{"id", base64url(r.raw_id)},
            {"rawId", base64url(r.raw_id)},
            {"type", "public-key"},
            {"clientExtensionResults", json::Object{}},
            {"response", json::Object{{"clientDataJSON", base64url(r.client_data_json)},
                                      {"attestationObject", base64url(r.attestation_object)},
                                      {"transports", json::Array{"internal", "hybrid"}}}}};
  }
  static json::Object to_json(const AssertionResponse& r) {
    json::Object response{{"clientDataJSON", base64url(r.client_data_json)},
                          {"authenticatorData", base64url(r.authenticator_data)},
                          {"signature", base64url(r.signature)}};
    if (r.user_handle) response.set("userHandle", base64url(*r.user_handle));
    return {{"id", base64url(r.raw_id)},
            {"rawId", base64url(r.raw_id)},
            {"type", "public-key"},
            {"clientExtensionResults", json::Object{}},
            {"response", std::move(response)}};
  }
};

}  // namespace latchkey::auth::webauthn::testing
