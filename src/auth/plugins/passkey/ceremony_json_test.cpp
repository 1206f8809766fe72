#include "auth/plugins/passkey/ceremony_json.h"

#include <gtest/gtest.h>

#include "auth/plugins/passkey/testing.h"

namespace latchkey::auth::webauthn {
namespace {
using testing::SoftAuthenticator;

const Bytes k_challenge(32, 0x42);

json::Value registration() { return SoftAuthenticator::to_json(SoftAuthenticator().create(k_challenge)); }
json::Value assertion() {
  SoftAuthenticator a;
  a.user_handle = to_bytes("u");
  return SoftAuthenticator::to_json(a.get(k_challenge));
}
json::Value with(json::Value credential, std::string_view member, json::Value value) {
  credential.object()->set(std::string(member), std::move(value));
  return credential;
}
json::Value with_response(json::Value credential, std::string_view member, json::Value value) {
  credential.object()->find("response")->object()->set(std::string(member), std::move(value));
  return credential;
}

TEST(CeremonyJson, ReadsWhatBrowsersSend) {
  const auto r = parse_registration_response(registration());
  ASSERT_TRUE(r);
  EXPECT_EQ(r->attestation.raw_id, SoftAuthenticator().credential_id);
  EXPECT_EQ(r->transports, (std::vector<std::string>{"internal", "hybrid"}));
  const auto a = parse_authentication_response(assertion());
  ASSERT_TRUE(a);
  EXPECT_EQ(a->user_handle, to_bytes("u"));
}

TEST(CeremonyJson, AttackMalformed_IsRefused) {
  for (const auto& credential : {registration(), assertion()}) {
    const auto accepted = [](const json::Value& v) {
      return parse_registration_response(v) || parse_authentication_response(v);
    };
    ASSERT_TRUE(accepted(credential));
    EXPECT_FALSE(accepted(json::Array{}));
    EXPECT_FALSE(accepted(with(credential, "type", "password")));
    EXPECT_FALSE(accepted(with(credential, "id", base64url(Bytes(32, 2))))) << "id and rawId differ";
    EXPECT_FALSE(accepted(with(credential, "rawId", nullptr)));
    EXPECT_FALSE(accepted(with(with(credential, "id", ""), "rawId", "")));
    EXPECT_FALSE(accepted(with(credential, "response", "text")));
    EXPECT_FALSE(accepted(with(credential, "response", json::Array{})));
    EXPECT_FALSE(accepted(with_response(credential, "clientDataJSON", "no base64url!")));
    EXPECT_FALSE(accepted(with_response(credential, "clientDataJSON", 7)));
  }
  EXPECT_FALSE(parse_registration_response(assertion()));
  EXPECT_FALSE(parse_authentication_response(registration()));
  EXPECT_FALSE(parse_authentication_response(with_response(assertion(), "userHandle", 7)));
}

TEST(CeremonyJson, SizesAreBounded) {
  const auto id_of = [](std::size_t n) {
    const auto id = base64url(Bytes(n, 1));
    return parse_registration_response(with(with(registration(), "id", id), "rawId", id)).has_value();
  };
  EXPECT_TRUE(id_of(k_max_credential_id));
  EXPECT_FALSE(id_of(k_max_credential_id + 1));
  const struct {
    const char* member;
    std::size_t max;
  } k_rows[] = {{"clientDataJSON", k_max_client_data},
                {"authenticatorData", k_max_authenticator_data},
                {"signature", k_max_signature},
                {"userHandle", 64}};
  for (const auto& row : k_rows)
    for (const std::size_t more : {0, 1})
      EXPECT_EQ(parse_authentication_response(
                    with_response(assertion(), row.member, base64url(Bytes(row.max + more))))
                    .has_value(),
                more == 0)
          << row.member;
  for (const std::size_t more : {0, 1})
    EXPECT_EQ(parse_registration_response(with_response(registration(), "attestationObject",
                                                        base64url(Bytes(k_max_attestation_object + more))))
                  .has_value(),
              more == 0);
}

TEST(CeremonyJson, AnEmptyUserHandleIsNone) {
  EXPECT_EQ(parse_authentication_response(with_response(assertion(), "userHandle", ""))->user_handle,
            std::nullopt);
  EXPECT_EQ(parse_authentication_response(with_response(assertion(), "userHandle", nullptr))->user_handle,
            std::nullopt);
}

TEST(CeremonyJson, TransportsAreAtMostEightPlainWords) {
  const auto kept = [](json::Array list) {
    return parse_registration_response(with_response(registration(), "transports", std::move(list)))
        ->transports;
  };
  EXPECT_EQ(kept({"usb", "a,b", "<script>", 7, "", std::string(33, 'x'), "smart-card"}),
            (std::vector<std::string>{"usb", "smart-card"}));
  EXPECT_EQ(kept(json::Array(8, "usb")).size(), k_max_transports);
  EXPECT_EQ(kept(json::Array(9, "usb")).size(), k_max_transports);
}

TEST(CeremonyJson, OptionsAsTheBrowserParsesThem) {
  const auto creation =
      json::Value(to_json(CreationOptions{.challenge = "Y2g",
                                          .rp_id = "auth.example",
                                          .rp_name = "Example",
                                          .user_id = "dQ",
                                          .user_name = "alice",
                                          .user_display_name = "Alice",
                                          .exclude_credentials = {{"aWQ", {"usb"}}},
                                          .attachment = AuthenticatorAttachment::cross_platform}));
  EXPECT_EQ(
      creation.dump(),
      R"({"challenge":"Y2g","rp":{"name":"Example","id":"auth.example"},"user":{"id":"dQ","name":"alice","displayName":"Alice"},)"
      R"("pubKeyCredParams":[{"alg":-8,"type":"public-key"},{"alg":-7,"type":"public-key"},{"alg":-257,"type":"public-key"}],)"
      R"("timeout":60000,"attestation":"none","excludeCredentials":[{"id":"aWQ","type":"public-key","transports":["usb"]}],)"
      R"("authenticatorSelection":{"residentKey":"required","requireResidentKey":true,"userVerification":"required",)"
      R"("authenticatorAttachment":"cross-platform"},"extensions":{"credProps":true},"hints":[]})");
  EXPECT_EQ(json::Value(
                to_json(RequestOptions{.challenge = "Y2g", .rp_id = "auth.example", .allow_credentials = {}}))
                .dump(),
            R"({"rpId":"auth.example","challenge":"Y2g","timeout":60000,"userVerification":"required"})");
}

}  // namespace
}  // namespace latchkey::auth::webauthn
