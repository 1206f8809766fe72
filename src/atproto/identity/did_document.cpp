#include "atproto/identity/did_document.h"

#include "base/json.h"
#include "base/url.h"

namespace latchkey::identity {
namespace {

/// "#atproto" or "did:plc:…#atproto" → "atproto"; std::nullopt for another DID's fragment.
std::optional<std::string> fragment_of(const std::string& id, const Did& did) {
  const auto hash = id.find('#');
  if (hash == std::string::npos || hash + 1 == id.size()) return std::nullopt;
  if (hash != 0 && std::string_view(id).substr(0, hash) != did.str()) return std::nullopt;
  return id.substr(hash + 1);
}

std::optional<crypto::PublicKey> read_key(const json::Value& method) {
  const auto* type = method.string_at("type");
  const auto* multibase = method.string_at("publicKeyMultibase");
  if (!type || !multibase || multibase->size() > 256) return std::nullopt;
  const auto read = [&]() -> Result<crypto::PublicKey, crypto::KeyError> {
    if (*type == "Multikey") return crypto::PublicKey::from_multibase(*multibase);
    // https://atproto.com/specs/did#legacy-representation, still met in did:web documents.
    if (*type == "EcdsaSecp256r1VerificationKey2019")
      return crypto::PublicKey::from_legacy_multibase(crypto::Curve::p256, *multibase);
    if (*type == "EcdsaSecp256k1VerificationKey2019")
      return crypto::PublicKey::from_legacy_multibase(crypto::Curve::k256, *multibase);
    return fail(crypto::KeyError{"not a key type of atproto"});
  };
  auto key = read();
  if (!key) return std::nullopt;
  return *std::move(key);
}

Result<const json::Array*, DocumentError> array_member(const json::Value& document, std::string_view name) {
  static const json::Array none;
  const auto* member = document.find(name);
  if (!member) return &none;
  const auto* array = member->array();
  if (!array) return fail(DocumentError{std::string(name) + " is not an array"});
  if (array->size() > k_max_document_entries) return fail(DocumentError{std::string(name) + " is too long"});
  return array;
}

}  // namespace

Result<DidDocument, DocumentError> DidDocument::parse(const Did& expected, std::string_view text) {
  if (text.size() > k_max_document_bytes) return fail(DocumentError{"document is too large"});
  auto json = json::parse(text, {.max_depth = 16});
  if (!json) return fail(DocumentError{"not JSON: " + json.error().message});
  if (!json->object()) return fail(DocumentError{"not an object"});
  const auto* id = json->string_at("id");
  if (!id || *id != expected.str()) return fail(DocumentError{"id is not the DID asked for"});

  DidDocument document{.id = expected, .also_known_as = {}, .keys = {}, .services = {}};
  TRY(const auto* names, array_member(*json, "alsoKnownAs"));
  for (const auto& name : *names) {
    if (!name.string()) return fail(DocumentError{"alsoKnownAs holds something else than strings"});
    document.also_known_as.push_back(*name.string());
  }
  TRY(const auto* methods, array_member(*json, "verificationMethod"));
  for (const auto& method : *methods) {
    if (!method.object()) return fail(DocumentError{"verificationMethod holds something else than objects"});
    const auto* method_id = method.string_at("id");
    const auto* controller = method.string_at("controller");
    if (!method_id || !controller || *controller != expected.str()) continue;
    auto fragment = fragment_of(*method_id, expected);
    if (!fragment) continue;
    if (auto key = read_key(method)) document.keys.push_back({*std::move(fragment), *std::move(key)});
  }
  TRY(const auto* services, array_member(*json, "service"));
  for (const auto& service : *services) {
    if (!service.object()) return fail(DocumentError{"service holds something else than objects"});
    const auto* service_id = service.string_at("id");
    const auto* type = service.string_at("type");
    const auto* endpoint = service.string_at("serviceEndpoint");
    if (!service_id || !type || !endpoint)
      continue;  // DID Core allows other shapes; atproto does not use them
    auto fragment = fragment_of(*service_id, expected);
    if (fragment) document.services.push_back({*std::move(fragment), *type, *endpoint});
  }
  return document;
}

// "The current primary handle is the first valid handle URI found in the ordered list."
std::optional<Handle> DidDocument::handle() const {
  for (const auto& name : also_known_as) {
    if (!name.starts_with("at://")) continue;
    if (auto handle = Handle::parse(std::string_view(name).substr(5))) return *std::move(handle);
  }
  return std::nullopt;
}

std::optional<crypto::PublicKey> DidDocument::key(std::string_view fragment) const {
  for (const auto& k : keys)
    if (k.id == fragment) return k.key;
  return std::nullopt;
}

std::optional<crypto::PublicKey> DidDocument::signing_key() const { return key("atproto"); }

std::optional<std::string> DidDocument::service(std::string_view fragment, std::string_view type) const {
  for (const auto& s : services)
    if (s.id == fragment && (type.empty() || s.type == type)) return s.endpoint;
  return std::nullopt;
}

// "It should contain only the URI scheme (http or https), hostname, and optional port number."
std::optional<std::string> DidDocument::pds() const {
  const auto endpoint = service("atproto_pds", "AtprotoPersonalDataServer");
  if (!endpoint) return std::nullopt;
  const auto url = Url::parse(*endpoint);
  if (!url || (url->scheme != "https" && url->scheme != "http")) return std::nullopt;
  if (!url->userinfo.empty() || url->query || url->fragment) return std::nullopt;
  if (!url->path.empty() && url->path != "/") return std::nullopt;
  return url->origin();
}

}  // namespace latchkey::identity
