#include "auth/plugins/passkey/ceremony_json.h"

#include <algorithm>

#include "base/encoding.h"

namespace latchkey::auth::webauthn {
namespace {

// How long the browser may take. A hint; the challenge's own lifetime is what counts.
constexpr int k_timeout_ms = 60'000;

std::optional<Bytes> binary(const json::Value* object, std::string_view key, std::size_t max) {
  const auto* text = object ? object->string_at(key) : nullptr;
  // Four characters for three bytes: what is longer is not worth decoding.
  if (!text || text->size() > max / 3 * 4 + 4) return std::nullopt;
  auto bytes = from_base64url(*text);
  if (!bytes || bytes->size() > max) return std::nullopt;
  return bytes;
}

/// Credential ID, when this is the JSON of a PublicKeyCredential.
std::optional<Bytes> raw_id(const json::Value& credential) {
  const auto* type = credential.string_at("type");
  if (!type || *type != "public-key") return std::nullopt;
  const auto id = binary(&credential, "id", k_max_credential_id);
  if (!id || id->empty() || id != binary(&credential, "rawId", k_max_credential_id)) return std::nullopt;
  return id;
}

bool plain_word(std::string_view s) {
  return !s.empty() && s.size() <= 32 && std::ranges::all_of(s, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::vector<std::string> transports_of(const json::Value* response) {
  std::vector<std::string> out;
  const auto* list = response->find("transports");
  if (!list || !list->array()) return out;
  for (const auto& item : *list->array()) {
    if (out.size() == k_max_transports) break;
    if (const auto* word = item.string(); word && plain_word(*word)) out.push_back(*word);
  }
  return out;
}

json::Array to_json(const std::vector<Descriptor>& descriptors) {
  json::Array out;
  for (const auto& d : descriptors) {
    json::Object o{{"id", d.id}, {"type", "public-key"}};
    if (!d.transports.empty()) {
      json::Array transports;
      for (const auto& t : d.transports) transports.emplace_back(t);
      o.set("transports", std::move(transports));
    }
    out.emplace_back(std::move(o));
  }
  return out;
}

std::string_view word(UserVerification v) {
  return v == UserVerification::required ? "required" : "preferred";
}

}  // namespace

std::optional<RegistrationResponse> parse_registration_response(const json::Value& credential) {
  auto id = raw_id(credential);
  const auto* response = credential.find("response");
  auto client_data = binary(response, "clientDataJSON", k_max_client_data);
  auto object = binary(response, "attestationObject", k_max_attestation_object);
  if (!id || !client_data || !object) return std::nullopt;
  return RegistrationResponse{{std::move(*id), std::move(*client_data), std::move(*object)},
                              transports_of(response)};
}

std::optional<AssertionResponse> parse_authentication_response(const json::Value& credential) {
  auto id = raw_id(credential);
  const auto* response = credential.find("response");
  auto client_data = binary(response, "clientDataJSON", k_max_client_data);
  auto data = binary(response, "authenticatorData", k_max_authenticator_data);
  auto signature = binary(response, "signature", k_max_signature);
  if (!id || !client_data || !data || !signature) return std::nullopt;
  std::optional<Bytes> user_handle;
  if (const auto* handle = response->find("userHandle"); handle && !handle->is_null()) {
    user_handle = binary(response, "userHandle", 64);  // §5.4.3
    if (!user_handle) return std::nullopt;
    // Some authenticators say "none" with an empty one.
    if (user_handle->empty()) user_handle.reset();
  }
  return AssertionResponse{std::move(*id), std::move(*client_data), std::move(*data), std::move(*signature),
                           std::move(user_handle)};
}

json::Object to_json(const CreationOptions& o) {
  json::Array params;
  for (const Algorithm a : k_algorithms)
    params.emplace_back(json::Object{{"alg", static_cast<int>(a)}, {"type", "public-key"}});
  const bool required = o.resident_key == ResidentKey::required;
  json::Object selection{{"residentKey", required ? "required" : "preferred"},
                         {"requireResidentKey", required},
                         {"userVerification", word(o.user_verification)}};
  if (o.attachment)
    selection.set("authenticatorAttachment",
                  *o.attachment == AuthenticatorAttachment::platform ? "platform" : "cross-platform");
  return {
      {"challenge", o.challenge},
      {"rp", json::Object{{"name", o.rp_name}, {"id", o.rp_id}}},
      {"user", json::Object{{"id", o.user_id}, {"name", o.user_name}, {"displayName", o.user_display_name}}},
      {"pubKeyCredParams", std::move(params)},
      {"timeout", k_timeout_ms},
      {"attestation", "none"},
      {"excludeCredentials", to_json(o.exclude_credentials)},
      {"authenticatorSelection", std::move(selection)},
      {"extensions", json::Object{{"credProps", true}}},
      {"hints", json::Array{}}};
}

json::Object to_json(const RequestOptions& o) {
  json::Object out{{"rpId", o.rp_id},
                   {"challenge", o.challenge},
                   {"timeout", k_timeout_ms},
                   {"userVerification", word(o.user_verification)}};
  if (!o.allow_credentials.empty()) out.set("allowCredentials", to_json(o.allow_credentials));
  return out;
}

}  // namespace latchkey::auth::webauthn
