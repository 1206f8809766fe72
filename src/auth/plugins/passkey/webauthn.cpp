#include "auth/plugins/passkey/webauthn.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"

namespace latchkey::auth::webauthn {
namespace {

bool same(BytesView a, BytesView b) { return std::ranges::equal(a, b); }

/// §7.1 steps 5-11 and §7.2 steps 8-14: the same words but for the type.
Result<void, Check> check_client_data(const RelyingParty& rp, BytesView challenge, BytesView client_data_json,
                                      std::string_view type) {
  // 5./8. UTF-8 decode strips a byte order mark. 6./9. JSON.
  if (client_data_json.size() > k_max_client_data) return fail(Check::client_data);
  std::string_view text = as_text(client_data_json);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const auto parsed = json::parse(text);
  if (!parsed) return fail(Check::client_data);
  const auto* c = parsed->object();
  if (!c) return fail(Check::client_data);
  // 7./10. A registration cannot pose as a sign-in.
  const auto* c_type = parsed->string_at("type");
  if (!c_type || *c_type != type) return fail(Check::type);
  // 8./11.
  const auto* c_challenge = parsed->string_at("challenge");
  if (!c_challenge || !crypto::equal(*c_challenge, base64url(challenge))) return fail(Check::challenge);
  // 9./12.
  const auto* c_origin = parsed->string_at("origin");
  if (!c_origin || std::ranges::find(rp.origins, *c_origin) == rp.origins.end()) return fail(Check::origin);
  // 10./13. and 11./14. Our pages are never framed, so nobody's top origin is ours to expect.
  if (const auto* cross = c->find("crossOrigin"); cross && cross->boolean() == nullptr)
    return fail(Check::client_data);
  else if (cross && *cross->boolean())
    return fail(Check::cross_origin);
  if (c->find("topOrigin")) return fail(Check::cross_origin);
  return {};
}

/// §7.1 steps 14-17 and §7.2 steps 15-18.
Result<void, Check> check_authenticator_data(const RelyingParty& rp, const AuthenticatorData& data) {
  if (!same(data.rp_id_hash, crypto::sha256(as_bytes(rp.id)))) return fail(Check::rp_id);
  if (!data.up) return fail(Check::user_present);
  if (rp.user_verification == UserVerification::required && !data.uv) return fail(Check::user_verified);
  if (data.bs && !data.be) return fail(Check::backup);
  return {};
}

}  // namespace

std::string_view name(Check check) {
  switch (check) {
    case Check::client_data:
      return "client_data";
    case Check::type:
      return "type";
    case Check::challenge:
      return "challenge";
    case Check::origin:
      return "origin";
    case Check::cross_origin:
      return "cross_origin";
    case Check::attestation_object:
      return "attestation_object";
    case Check::authenticator_data:
      return "authenticator_data";
    case Check::rp_id:
      return "rp_id";
    case Check::user_present:
      return "user_present";
    case Check::user_verified:
      return "user_verified";
    case Check::backup:
      return "backup";
    case Check::credential_id:
      return "credential_id";
    case Check::algorithm:
      return "algorithm";
    case Check::attestation:
      return "attestation";
    case Check::user_handle:
      return "user_handle";
    case Check::signature:
      return "signature";
    case Check::sign_count:
      return "sign_count";
  }
  std::abort();
}

// WebAuthn Level 3 §7.1, its numbers. 1-4 are the browser's part; 18, 19 and 28 leave the rest to policy,
// ours is to keep BE and BS and to ignore extensions; 23 and 24 are attestation_is_correct's; 26, 27 and 29
// belong to whoever stores the record.
Result<Registration, Check> verify_registration(const RelyingParty& rp, BytesView challenge,
                                                const AttestationResponse& response) {
  // 5-11.
  TRY_VOID(check_client_data(rp, challenge, response.client_data_json, "webauthn.create"));
  // 12.
  const auto hash = crypto::sha256(response.client_data_json);
  // 13.
  if (response.attestation_object.size() > k_max_attestation_object) return fail(Check::attestation_object);
  const auto object = CborMap::parse(response.attestation_object);
  if (!object) return fail(Check::attestation_object);
  const auto *fmt = object->find("fmt"), *att_stmt = object->find("attStmt"), *raw = object->find("authData");
  if (!fmt || !fmt->text() || !att_stmt || !raw || !raw->bytes()) return fail(Check::attestation_object);
  if (raw->bytes()->size() > k_max_authenticator_data) return fail(Check::authenticator_data);
  const auto data = AuthenticatorData::parse(*raw->bytes());
  if (!data || !data->attested) return fail(Check::authenticator_data);  // 25. is in there
  // 14-17.
  TRY_VOID(check_authenticator_data(rp, *data));
  // 20.
  const auto key = CredentialPublicKey::parse(data->attested->credential_public_key);
  if (!key) return fail(Check::algorithm);
  // 21-24.
  if (!attestation_is_correct({*fmt->text(), *att_stmt, *raw->bytes(), *data}, key->algorithm(), rp.id, hash))
    return fail(Check::attestation);
  // The record is stored under the authenticator's word; a browser that says otherwise is broken.
  if (!same(data->attested->credential_id, response.raw_id)) return fail(Check::credential_id);
  return Registration{.credential_id = to_bytes(data->attested->credential_id),
                      .public_key = to_bytes(data->attested->credential_public_key),
                      .sign_count = data->sign_count,
                      .backup_eligible = data->be,
                      .backed_up = data->bs,
                      .aaguid = data->attested->aaguid};
}

// WebAuthn Level 3 §7.2, its numbers. 1-4 are the browser's part; 5 is the caller's, who knows what it asked
// for; 23 ignores extensions; 24 and 25 belong to whoever stores the record.
Result<Assertion, Check> verify_assertion(const RelyingParty& rp, BytesView challenge,
                                          const AssertionResponse& response, const CredentialRecord& record,
                                          UserIdentified identified) {
  // 6.
  if (!same(response.raw_id, record.credential_id)) return fail(Check::credential_id);
  if (!response.user_handle && identified == UserIdentified::by_the_credential)
    return fail(Check::user_handle);
  if (response.user_handle && record.user_handle && *response.user_handle != *record.user_handle)
    return fail(Check::user_handle);
  // 7-14.
  TRY_VOID(check_client_data(rp, challenge, response.client_data_json, "webauthn.get"));
  if (response.authenticator_data.size() > k_max_authenticator_data) return fail(Check::authenticator_data);
  const auto data = AuthenticatorData::parse(response.authenticator_data);
  // §6.1: assertions have no attested credential data.
  if (!data || data->attested) return fail(Check::authenticator_data);
  // 15-18.
  TRY_VOID(check_authenticator_data(rp, *data));
  // 19. An authenticator does not become eligible for backup, nor cease to be.
  if (data->be != record.backup_eligible) return fail(Check::backup);
  // 20.
  const auto hash = crypto::sha256(response.client_data_json);
  // 21.
  const auto key = CredentialPublicKey::parse(record.public_key);
  if (!key) return fail(Check::algorithm);
  const auto user_verified = rp.user_verification == UserVerification::required
                                 ? CredentialPublicKey::UserVerified::required
                                 : CredentialPublicKey::UserVerified::not_required;
  if (response.signature.empty() || response.signature.size() > k_max_signature ||
      !key->verify(rp.id, response.authenticator_data, hash, response.signature, user_verified))
    return fail(Check::signature);
  // 22. Most passkeys are synchronised and do not count: both stay zero.
  if ((data->sign_count != 0 || record.sign_count != 0) && data->sign_count <= record.sign_count)
    return fail(Check::sign_count);
  return Assertion{.sign_count = data->sign_count, .backed_up = data->bs, .user_verified = data->uv};
}

}  // namespace latchkey::auth::webauthn
