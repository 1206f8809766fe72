#include "auth/plugins/passkey/webauthn.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "auth/plugins/passkey/testing.h"

namespace latchkey::auth::webauthn {
namespace {
using testing::cbor_bytes;
using testing::cbor_int;
using testing::cbor_map;
using testing::cbor_text;
using testing::SoftAuthenticator;

const Bytes k_challenge(32, 0x42);

RelyingParty relying_party() { return {.id = "auth.example", .origins = {"https://auth.example"}}; }

std::string outcome(const Result<Registration, Check>& r) { return r ? "ok" : std::string(name(r.error())); }
std::string outcome(const Result<Assertion, Check>& r) { return r ? "ok" : std::string(name(r.error())); }

std::string registered(const SoftAuthenticator& a, const RelyingParty& rp = relying_party()) {
  return outcome(verify_registration(rp, k_challenge, a.create(k_challenge)));
}

CredentialRecord record_of(const SoftAuthenticator& a, std::uint32_t sign_count = 0) {
  return {.credential_id = a.credential_id,
          .public_key = a.key.cose(),
          .sign_count = sign_count,
          .backup_eligible = (a.flags & 0x08) != 0,
          .user_handle = a.user_handle};
}
SoftAuthenticator signed_in_user() {
  SoftAuthenticator a;
  a.user_handle = to_bytes("user-of-this-credential");
  return a;
}
std::string asserted(const SoftAuthenticator& a, const CredentialRecord& record,
                     const RelyingParty& rp = relying_party()) {
  return outcome(
      verify_assertion(rp, k_challenge, a.get(k_challenge), record, UserIdentified::by_the_credential));
}

TEST(WebAuthnRegistration, KeepsWhatTheAuthenticatorSays) {
  SoftAuthenticator a;
  a.flags = 0x01 | 0x04 | 0x08 | 0x10;
  a.sign_count = 7;
  a.aaguid = {0xea, 0x9b, 0x8d, 0x66, 0x4d, 0x01, 0x1d, 0x21, 0x3c, 0xe4, 0xb6, 0xb4, 0x8c, 0xb5, 0x75, 0xd4};
  const auto r = verify_registration(relying_party(), k_challenge, a.create(k_challenge));
  ASSERT_TRUE(r) << name(r.error());
  EXPECT_EQ(r->credential_id, a.credential_id);
  EXPECT_EQ(r->public_key, a.key.cose());
  EXPECT_EQ(r->sign_count, 7u);
  EXPECT_TRUE(r->backup_eligible && r->backed_up);
  EXPECT_EQ(str(r->aaguid), "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4");
}

// Each row bends one thing; only the check named for it refuses.
struct Bent {
  std::string_view name;
  std::string_view expected;
  std::function<void(SoftAuthenticator&)> bend;
};
std::ostream& operator<<(std::ostream& out, const Bent& b) { return out << b.name; }

const Bent k_both_ceremonies[] = {
    {"WrongOrigin", "origin", [](auto& a) { a.origin = "https://evil.example"; }},
    {"OriginOfASubdomain", "origin", [](auto& a) { a.origin = "https://alice.auth.example"; }},
    {"OriginWithAnotherPort", "origin", [](auto& a) { a.origin = "https://auth.example:444"; }},
    {"OriginOverHttp", "origin", [](auto& a) { a.origin = "http://auth.example"; }},
    {"WrongRpId", "rp_id", [](auto& a) { a.rp_id = "example"; }},
    {"WrongChallenge", "challenge", [](auto& a) { a.extra.set("challenge", base64url(Bytes(32, 0x43))); }},
    {"ChallengeWithPadding", "challenge",
     [](auto& a) { a.extra.set("challenge", base64url(k_challenge) + "="); }},
    {"EmptyChallenge", "challenge", [](auto& a) { a.extra.set("challenge", ""); }},
    {"TypeOfAPayment", "type", [](auto& a) { a.extra.set("type", "payment.get"); }},
    {"FramedByAnotherSite", "cross_origin", [](auto& a) { a.extra.set("crossOrigin", true); }},
    {"CrossOriginAsText", "client_data", [](auto& a) { a.extra.set("crossOrigin", "false"); }},
    {"TopOrigin", "cross_origin", [](auto& a) { a.extra.set("topOrigin", "https://evil.example"); }},
    {"UserNotPresent", "user_present", [](auto& a) { a.flags &= ~0x01; }},
    {"UserNotVerified", "user_verified", [](auto& a) { a.flags &= ~0x04; }},
    {"BackedUpButNotEligible", "backup", [](auto& a) { a.flags |= 0x10; }},
    {"BytesBehindTheData", "authenticator_data", [](auto& a) { a.trailing = {0}; }},
    {"ExtensionsThatAreNoMap", "authenticator_data", [](auto& a) { a.extensions = {0x80}; }},
};

class AttackRegistration : public ::testing::TestWithParam<Bent> {};
TEST_P(AttackRegistration, IsRefused) {
  SoftAuthenticator a;
  ASSERT_EQ(registered(a), "ok");
  GetParam().bend(a);
  EXPECT_EQ(registered(a), GetParam().expected);
}
std::string bent_name(const ::testing::TestParamInfo<Bent>& info) { return std::string(info.param.name); }
INSTANTIATE_TEST_SUITE_P(Both, AttackRegistration, ::testing::ValuesIn(k_both_ceremonies), bent_name);
INSTANTIATE_TEST_SUITE_P(
    Own, AttackRegistration,
    ::testing::Values(
        Bent{"AnAssertionPosesAsARegistration", "type", [](auto& a) { a.extra.set("type", "webauthn.get"); }},
        Bent{"NoCredentialId", "authenticator_data", [](auto& a) { a.credential_id.clear(); }},
        Bent{"CredentialIdOf1024Bytes", "authenticator_data", [](auto& a) { a.credential_id.resize(1024); }},
        Bent{"StatementWhereThereIsNone", "attestation",
             [](auto& a) { a.att_stmt = cbor_map({{cbor_text("sig"), cbor_bytes(Bytes(70))}}); }},
        Bent{"SignatureOfSelfAttestation", "attestation",
             [](auto& a) {
               a.fmt = "packed";
               a.att_stmt = cbor_map(
                   {{cbor_text("alg"), cbor_int(-7)}, {cbor_text("sig"), cbor_bytes(a.key.sign(Bytes(32)))}});
             }},
        Bent{"SelfAttestationWithoutASignature", "attestation",
             [](auto& a) {
               a.fmt = "packed";
               a.att_stmt = cbor_map({{cbor_text("alg"), cbor_int(-7)}});
             }},
        Bent{"UnknownFormat", "attestation", [](auto& a) { a.fmt = "android-safetynet"; }}),
    bent_name);

class AttackAssertion : public ::testing::TestWithParam<Bent> {};
TEST_P(AttackAssertion, IsRefused) {
  auto a = signed_in_user();
  const auto record = record_of(a);
  ASSERT_EQ(asserted(a, record), "ok");
  GetParam().bend(a);
  EXPECT_EQ(asserted(a, record), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(Both, AttackAssertion, ::testing::ValuesIn(k_both_ceremonies), bent_name);
INSTANTIATE_TEST_SUITE_P(
    Own, AttackAssertion,
    ::testing::Values(Bent{"ARegistrationPosesAsAnAssertion", "type",
                           [](auto& a) { a.extra.set("type", "webauthn.create"); }},
                      Bent{"UserHandleOfAnotherAccount", "user_handle",
                           [](auto& a) { a.user_handle = to_bytes("mallory"); }},
                      Bent{"NoUserHandle", "user_handle", [](auto& a) { a.user_handle.reset(); }},
                      Bent{"AnotherCredential", "credential_id", [](auto& a) { a.credential_id[0] ^= 1; }},
                      Bent{"BecameEligibleForBackup", "backup", [](auto& a) { a.flags |= 0x08; }},
                      Bent{"AnotherKey", "signature",
                           [](auto& a) { a.key = testing::SoftKey(Algorithm::ES256); }}),
    bent_name);

TEST(WebAuthnRegistration, CredentialIdsHave1To1023Bytes) {
  SoftAuthenticator a;
  a.credential_id = Bytes(1);
  EXPECT_EQ(registered(a), "ok");
  a.credential_id = Bytes(k_max_credential_id, 9);
  EXPECT_EQ(registered(a), "ok");
}

TEST(WebAuthnRegistration, AttackAnotherCredentialIdInTheEnvelope) {
  SoftAuthenticator a;
  auto response = a.create(k_challenge);
  response.raw_id[0] ^= 1;
  EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, response)), "credential_id");
}

TEST(WebAuthnRegistration, AttackForeignStatement_ASelfAttestationSignsThisClientData) {
  SoftAuthenticator a;
  a.fmt = "packed";
  EXPECT_EQ(registered(a), "ok");
  auto response = a.create(k_challenge);
  a.extra.set("note", "other client data, other hash");
  response.client_data_json = a.create(k_challenge).client_data_json;
  EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, response)), "attestation");
}

TEST(WebAuthnRegistration, SelfAttestationsAlgorithmIsTheCredentials) {  // §8.2
  SoftAuthenticator a(Algorithm::EdDSA);
  a.fmt = "packed";  // says -7
  EXPECT_EQ(registered(a), "attestation");
}

TEST(WebAuthnRegistration, ExtensionsNobodyAskedForAreIgnored) {  // §7.1 step 28
  SoftAuthenticator a;
  const Bytes yes{0xf5};
  a.extensions = cbor_map({{cbor_text("credProtect"), cbor_int(2)},
                           {cbor_text("hmac-secret"), yes},
                           {cbor_text("minPinLength"), cbor_int(6)},
                           {cbor_text("example.invented"), yes}});
  EXPECT_EQ(registered(a), "ok");
  a.fmt = "packed";
  EXPECT_EQ(registered(a), "ok");
}

TEST(WebAuthnRegistration, SizesAreBounded) {
  SoftAuthenticator a;
  const auto padded = [&](std::size_t size) {
    a.extra.set("pad", "");
    const auto bare = a.create(k_challenge).client_data_json.size();
    a.extra.set("pad", std::string(size - bare, 'x'));
    return registered(a);
  };
  EXPECT_EQ(padded(k_max_client_data), "ok");
  EXPECT_EQ(padded(k_max_client_data + 1), "client_data");
  a.extra = {};

  // 1023 bytes of credential ID and an extension fill the authenticator data.
  const auto data_of = [&](std::size_t size) {
    a.extensions = cbor_map({{cbor_text("x"), cbor_bytes(Bytes(1000))}});
    const auto bare = a.authenticator_data(true).size();
    a.extensions = cbor_map({{cbor_text("x"), cbor_bytes(Bytes(1000 + size - bare))}});
    return registered(a);
  };
  EXPECT_EQ(data_of(k_max_authenticator_data), "ok");
  EXPECT_EQ(data_of(k_max_authenticator_data + 1), "authenticator_data");
  a.extensions.clear();

  const auto object_of = [&](std::size_t size) {
    auto response = a.create(k_challenge);
    // An unknown fourth member: ignored, but it counts.
    response.attestation_object[0] = 0xa4;
    append(response.attestation_object, cbor_text("pad"));
    append(response.attestation_object, cbor_bytes(Bytes(size - response.attestation_object.size() - 3)));
    EXPECT_EQ(response.attestation_object.size(), size);
    return outcome(verify_registration(relying_party(), k_challenge, response));
  };
  EXPECT_EQ(object_of(k_max_attestation_object), "ok");
  EXPECT_EQ(object_of(k_max_attestation_object + 1), "attestation_object");
}

TEST(WebAuthnRegistration, AttackOffCurve_AKeyIsAPointOfItsCurve) {
  SoftAuthenticator a;
  auto response = a.create(k_challenge);
  response.attestation_object.back() ^= 1;  // y
  EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, response)), "algorithm");
}

TEST(WebAuthnRegistration, AttackTruncation_NoPrefixOfAnAnswerIsAnAnswer) {
  SoftAuthenticator a;
  const auto whole = a.create(k_challenge);
  for (std::size_t n = 0; n < whole.attestation_object.size(); ++n) {
    auto cut = whole;
    cut.attestation_object.resize(n);
    EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, cut)), "attestation_object") << n;
  }
  for (std::size_t n = 0; n < whole.client_data_json.size(); ++n) {
    auto cut = whole;
    cut.client_data_json.resize(n);
    EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, cut)), "client_data") << n;
  }
}

TEST(WebAuthnRegistration, AByteOrderMarkIsStripped) {  // §7.1 step 5
  auto response = SoftAuthenticator().create(k_challenge);
  const Bytes bom{0xef, 0xbb, 0xbf};
  response.client_data_json.insert(response.client_data_json.begin(), bom.begin(), bom.end());
  EXPECT_EQ(outcome(verify_registration(relying_party(), k_challenge, response)), "ok");
}

TEST(WebAuthnAssertion, EveryAlgorithmWeAskForSigns) {
  for (const Algorithm algorithm : k_algorithms) {
    SoftAuthenticator a(algorithm);
    a.user_handle = to_bytes("u");
    EXPECT_EQ(registered(a), "ok") << static_cast<int>(algorithm);
    EXPECT_EQ(asserted(a, record_of(a)), "ok") << static_cast<int>(algorithm);
    auto response = a.get(k_challenge);
    response.signature.back() ^= 1;
    EXPECT_EQ(outcome(verify_assertion(relying_party(), k_challenge, response, record_of(a),
                                       UserIdentified::by_the_credential)),
              "signature")
        << static_cast<int>(algorithm);
  }
}

TEST(WebAuthnAssertion, AttackTampering_TheSignatureCoversDataAndClientData) {
  auto a = signed_in_user();
  const auto record = record_of(a);
  const auto try_with = [&](const AssertionResponse& response) {
    return outcome(
        verify_assertion(relying_party(), k_challenge, response, record, UserIdentified::by_the_credential));
  };
  auto response = a.get(k_challenge);
  response.authenticator_data[36] = 9;  // the sign count
  EXPECT_EQ(try_with(response), "signature");
  response = a.get(k_challenge);
  response.client_data_json.push_back(' ');
  EXPECT_EQ(try_with(response), "signature");
  response = a.get(k_challenge);
  response.signature.clear();
  EXPECT_EQ(try_with(response), "signature");
}

TEST(WebAuthnAssertion, AttackRollback_ASignCountThatDoesNotGrowIsRefused) {  // §7.2 step 22
  auto a = signed_in_user();
  const struct {
    std::uint32_t stored, said;
    std::string_view expected;
  } k_rows[] = {{0, 0, "ok"},
                {0, 1, "ok"},
                {1, 2, "ok"},
                {5, 5, "sign_count"},
                {5, 4, "sign_count"},
                {5, 0, "sign_count"},
                {0xfffffffe, 0xffffffff, "ok"},
                {0xffffffff, 0, "sign_count"}};
  for (const auto& row : k_rows) {
    a.sign_count = row.said;
    EXPECT_EQ(asserted(a, record_of(a, row.stored)), row.expected) << row.stored << " then " << row.said;
  }
}

TEST(WebAuthnAssertion, AKnownUserNeedNotNameItself) {  // §7.2 step 6
  auto a = signed_in_user();
  const auto record = record_of(a);
  a.user_handle.reset();
  const auto response = a.get(k_challenge);
  EXPECT_TRUE(verify_assertion(relying_party(), k_challenge, response, record, UserIdentified::before));
}

TEST(WebAuthnAssertion, ARecordOfAnotherProgramHasNoHandleToCompare) {
  auto a = signed_in_user();
  auto record = record_of(a);
  record.user_handle.reset();
  EXPECT_EQ(asserted(a, record), "ok");
}

TEST(WebAuthnAssertion, AttackAttestedDataDoesNotBelong) {  // §6.1
  auto a = signed_in_user();
  EXPECT_EQ(outcome(verify_assertion(relying_party(), k_challenge, a.get(k_challenge, true), record_of(a),
                                     UserIdentified::by_the_credential)),
            "authenticator_data");
}

TEST(WebAuthnAssertion, ExtensionsNobodyAskedForAreIgnored) {  // §7.2 step 23
  auto a = signed_in_user();
  a.extensions = cbor_map({{cbor_text("uvm"), {0x80}}, {cbor_text("hmac-secret"), cbor_bytes(Bytes(32))}});
  EXPECT_EQ(asserted(a, record_of(a)), "ok");
}

TEST(WebAuthnAssertion, UserVerificationIsNotAskedForWhenOnlyPreferred) {
  auto a = signed_in_user();
  a.flags = 0x01;
  auto rp = relying_party();
  rp.user_verification = UserVerification::preferred;
  const auto assertion =
      verify_assertion(rp, k_challenge, a.get(k_challenge), record_of(a), UserIdentified::by_the_credential);
  ASSERT_TRUE(assertion);
  EXPECT_FALSE(assertion->user_verified);
}

// WebAuthn Level 3 §16, "Test Vectors". Its origin is https://example.org.
struct Expected {
  std::string_view registration, authentication;
};
const std::map<std::string, Expected, std::less<>> k_vectors{
    {"ES256 Credential with No Attestation", {"ok", "ok"}},
    {"ES256 Credential with Self Attestation", {"ok", "ok"}},
    {"ES256 Credential with \"crossOrigin\": true in clientDataJSON", {"cross_origin", "cross_origin"}},
    {"ES256 Credential with \"topOrigin\" in clientDataJSON", {"cross_origin", "cross_origin"}},
    {"ES256 Credential with very long credential ID", {"ok", "ok"}},
    {"Packed Attestation with ES256 Credential", {"ok", "ok"}},
    // Algorithms that are not asked for.
    {"Packed Attestation with ES384 Credential", {"algorithm", "algorithm"}},
    {"Packed Attestation with ES512 Credential", {"algorithm", "algorithm"}},
    {"Packed Attestation with Ed448 Credential", {"algorithm", "algorithm"}},
    // 3482 bits; libfido2 knows RSA with 2048 only, which is what TPMs have.
    {"Packed Attestation with RS256 Credential", {"algorithm", "algorithm"}},
    {"Packed Attestation with Ed25519 Credential", {"ok", "ok"}},
    // Formats libfido2 does not know, or only with SHA-1. Browsers take them away when none is asked for
    // (§5.4.7).
    {"TPM Attestation with ES256 Credential", {"attestation", "ok"}},
    {"Android Key Attestation with ES256 Credential", {"attestation", "ok"}},
    {"Apple Anonymous Attestation with ES256 Credential", {"attestation", "ok"}},
    {"FIDO U2F Attestation with ES256 Credential", {"ok", "ok"}},
};

TEST(WebAuthnVectors, AnswersAreVerified) {
  std::ifstream file(std::string(LATCHKEY_FIXTURES) + "/webauthn/vectors.json");
  const auto vectors = json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  ASSERT_TRUE(vectors && vectors->array());
  EXPECT_EQ(vectors->array()->size(), k_vectors.size());
  RelyingParty rp{.id = "example.org",
                  .origins = {"https://example.org"},
                  .user_verification = UserVerification::preferred};
  for (const auto& vector : *vectors->array()) {
    const std::string& title = *vector.string_at("name");
    const auto expected = k_vectors.find(title);
    ASSERT_NE(expected, k_vectors.end()) << title;
    const auto get = [&](std::string_view part, std::string_view key) {
      return from_hex(*vector.find(part)->string_at(key)).value();
    };
    const AttestationResponse created{get("registration", "credential_id"),
                                      get("registration", "clientDataJSON"),
                                      get("registration", "attestationObject")};
    const auto challenge = get("registration", "challenge");
    EXPECT_EQ(outcome(verify_registration(rp, challenge, created)), expected->second.registration) << title;

    // The record as §7.1 step 27 makes it, also of those we refuse.
    const auto object = CborMap::parse(created.attestation_object).value();
    const auto data = AuthenticatorData::parse(*object.find("authData")->bytes()).value();
    const CredentialRecord record{.credential_id = created.raw_id,
                                  .public_key = to_bytes(data.attested->credential_public_key),
                                  .sign_count = data.sign_count,
                                  .backup_eligible = data.be,
                                  .user_handle = {}};
    const AssertionResponse got{created.raw_id,
                                get("authentication", "clientDataJSON"),
                                get("authentication", "authenticatorData"),
                                get("authentication", "signature"),
                                {}};
    const auto assertion = [&] {
      return outcome(
          verify_assertion(rp, get("authentication", "challenge"), got, record, UserIdentified::before));
    };
    EXPECT_EQ(assertion(), expected->second.authentication) << title;

    // Where the user was not verified, our own policy refuses.
    rp.user_verification = UserVerification::required;
    if (expected->second.registration == "ok")
      EXPECT_EQ(outcome(verify_registration(rp, challenge, created)), data.uv ? "ok" : "user_verified")
          << title;
    rp.user_verification = UserVerification::preferred;
  }
}

}  // namespace
}  // namespace latchkey::auth::webauthn
