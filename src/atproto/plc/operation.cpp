#include "atproto/plc/operation.h"

#include <fmt/format.h>

#include <set>

#include "atproto/cbor/cbor.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::plc {

namespace {

using Code = Error::Code;

auto improper(std::string why) { return fail(Error{Code::improper_operation, std::move(why)}); }

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

cbor::Value text_list(const std::vector<std::string>& list) {
  cbor::Array out;
  for (const auto& item : list) out.emplace_back(item);
  return out;
}

cbor::Map to_cbor(const Unsigned& operation) {
  return std::visit(
      Overload{[](const PlcOperation& op) {
                 cbor::Map methods, services;
                 for (const auto& [id, key] : op.data.verification_methods) methods.set(id, key);
                 for (const auto& [id, service] : op.data.services)
                   services.set(id, cbor::Map{{"type", service.type}, {"endpoint", service.endpoint}});
                 return cbor::Map{
                     {"type", "plc_operation"},
                     {"rotationKeys", text_list(op.data.rotation_keys)},
                     {"verificationMethods", std::move(methods)},
                     {"alsoKnownAs", text_list(op.data.also_known_as)},
                     {"services", std::move(services)},
                     // "In DAG-CBOR encoding, the CID is string-encoded, not a binary IPLD Link."
                     {"prev", op.prev ? cbor::Value(op.prev->str()) : cbor::Value(nullptr)}};
               },
               [](const PlcTombstone& op) {
                 return cbor::Map{{"type", "plc_tombstone"}, {"prev", op.prev.str()}};
               },
               [](const LegacyCreate& op) {
                 return cbor::Map{
                     {"type", "create"},    {"signingKey", op.signing_key}, {"recoveryKey", op.recovery_key},
                     {"handle", op.handle}, {"service", op.service},        {"prev", nullptr}};
               }},
      operation);
}

std::string with_at_prefix(std::string_view handle) {
  if (handle.starts_with("at://")) return std::string(handle);
  for (const std::string_view scheme : {"http://", "https://"})
    if (handle.starts_with(scheme)) handle.remove_prefix(scheme.size());
  return "at://" + std::string(handle);
}

std::string with_http_prefix(std::string_view service) {
  if (service.starts_with("http://") || service.starts_with("https://")) return std::string(service);
  return "https://" + std::string(service);
}

// Reading JSON: takes members one by one and knows at the end whether any was left over.
class Fields {
 public:
  explicit Fields(const json::Object& object) : object_(object) {}

  const json::Value* take(std::string_view name) {
    const json::Value* value = object_.find(name);
    if (value) ++taken_;
    return value;
  }
  Result<std::string, Error> text(std::string_view name) {
    const json::Value* value = take(name);
    if (!value || !value->string()) return missing(name, "a string");
    return *value->string();
  }
  Result<std::vector<std::string>, Error> texts(std::string_view name) {
    const json::Value* value = take(name);
    if (!value || !value->array()) return missing(name, "a list of strings");
    std::vector<std::string> out;
    for (const auto& item : *value->array()) {
      if (!item.string()) return missing(name, "a list of strings");
      out.push_back(*item.string());
    }
    return out;
  }
  Result<std::optional<Cid>, Error> prev() {
    const json::Value* value = take("prev");
    if (!value) return missing("prev", "null or a CID");
    if (value->is_null()) return std::nullopt;
    const auto cid = Cid::parse(value->string() ? *value->string() : std::string());
    if (!cid || !cid->is_dag_cbor()) return missing("prev", "null or a CID");
    return *cid;
  }
  Result<const json::Object*, Error> object(std::string_view name) {
    const json::Value* value = take(name);
    if (!value || !value->object()) return missing(name, "an object");
    return value->object();
  }
  Result<void, Error> nothing_else() const {
    if (taken_ != object_.size()) return improper("unknown field");
    return {};
  }

 private:
  static std::unexpected<Error> missing(std::string_view name, std::string_view what) {
    return improper(fmt::format("{} must be {}", name, what));
  }
  const json::Object& object_;
  std::size_t taken_ = 0;
};

Result<Data, Error> read_data(Fields& fields) {
  Data data;
  TRY(data.rotation_keys, fields.texts("rotationKeys"));
  TRY(data.also_known_as, fields.texts("alsoKnownAs"));
  TRY(const json::Object* methods, fields.object("verificationMethods"));
  for (const auto& [id, key] : *methods) {
    if (!key.string()) return improper("verificationMethods must map to strings");
    data.verification_methods.emplace(id, *key.string());
  }
  TRY(const json::Object* services, fields.object("services"));
  for (const auto& [id, value] : *services) {
    if (!value.object()) return improper("services must map to objects");
    Fields inner(*value.object());
    Service service;
    TRY(service.type, inner.text("type"));
    TRY(service.endpoint, inner.text("endpoint"));
    TRY_VOID(inner.nothing_else());
    data.services.emplace(id, std::move(service));
  }
  return data;
}

Result<Unsigned, Error> read_content(Fields& fields) {
  TRY(const std::string type, fields.text("type"));
  TRY(const auto prev, fields.prev());
  if (type == "plc_operation") {
    TRY(auto data, read_data(fields));
    return PlcOperation{.data = std::move(data), .prev = prev};
  }
  if (type == "plc_tombstone") {
    if (!prev) return improper("a tombstone's prev must be a CID");
    return PlcTombstone{*prev};
  }
  if (type == "create") {
    if (prev) return improper("a create's prev must be null");
    LegacyCreate create;
    TRY(create.signing_key, fields.text("signingKey"));
    TRY(create.recovery_key, fields.text("recoveryKey"));
    TRY(create.handle, fields.text("handle"));
    TRY(create.service, fields.text("service"));
    return create;
  }
  return improper("unknown type");
}

json::Array json_list(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

}  // namespace

Data atproto_data(std::vector<std::string> rotation_keys, const crypto::PublicKey& signing_key,
                  std::string_view handle, std::string_view pds_endpoint) {
  return {.rotation_keys = std::move(rotation_keys),
          .verification_methods = {{"atproto", signing_key.did_key()}},
          .also_known_as = {with_at_prefix(handle)},
          .services = {{"atproto_pds", {"AtprotoPersonalDataServer", std::string(pds_endpoint)}}}};
}

Bytes encode(const Unsigned& operation) { return cbor::encode(to_cbor(operation)); }

Operation Operation::sign(Unsigned content, const crypto::PrivateKey& rotation_key) {
  std::string sig = base64url(rotation_key.sign(plc::encode(content)));
  return Operation(std::move(content), std::move(sig));
}

Result<Operation, Error> Operation::from_json(const json::Value& value) {
  if (!value.object()) return improper("not an object");
  Fields fields(*value.object());
  TRY(std::string sig, fields.text("sig"));
  TRY(Unsigned content, read_content(fields));
  TRY_VOID(fields.nothing_else());
  return Operation(std::move(content), std::move(sig));
}

Result<Operation, Error> Operation::parse(std::string_view text) {
  const auto value = json::parse(text);
  if (!value) return improper("not JSON: " + value.error().message);
  return from_json(*value);
}

json::Object Operation::to_json() const {
  json::Object out = std::visit(
      Overload{[](const PlcOperation& op) {
                 json::Object methods, services;
                 for (const auto& [id, key] : op.data.verification_methods) methods.append(id, key);
                 for (const auto& [id, service] : op.data.services)
                   services.append(id, json::Object{{"type", service.type}, {"endpoint", service.endpoint}});
                 return json::Object{{"type", "plc_operation"},
                                     {"rotationKeys", json_list(op.data.rotation_keys)},
                                     {"verificationMethods", std::move(methods)},
                                     {"alsoKnownAs", json_list(op.data.also_known_as)},
                                     {"services", std::move(services)},
                                     {"prev", op.prev ? json::Value(op.prev->str()) : json::Value()}};
               },
               [](const PlcTombstone& op) {
                 return json::Object{{"type", "plc_tombstone"}, {"prev", op.prev.str()}};
               },
               [](const LegacyCreate& op) {
                 return json::Object{
                     {"type", "create"},    {"signingKey", op.signing_key}, {"recoveryKey", op.recovery_key},
                     {"handle", op.handle}, {"service", op.service},        {"prev", nullptr}};
               }},
      content_);
  out.append("sig", sig_);
  return out;
}

Bytes Operation::encode() const {
  cbor::Map map = to_cbor(content_);
  map.set("sig", sig_);
  return cbor::encode(std::move(map));
}

Cid Operation::cid() const { return Cid::of_dag_cbor(encode()); }

std::optional<Cid> Operation::prev() const {
  return std::visit(Overload{[](const PlcOperation& op) { return op.prev; },
                             [](const PlcTombstone& op) { return std::optional(op.prev); },
                             [](const LegacyCreate&) { return std::optional<Cid>(); }},
                    content_);
}

std::optional<Data> Operation::data() const {
  return std::visit(
      Overload{
          [](const PlcOperation& op) { return std::optional(op.data); },
          [](const PlcTombstone&) { return std::optional<Data>(); },
          [](const LegacyCreate& op) {
            return std::optional(Data{
                .rotation_keys = {op.recovery_key, op.signing_key},
                .verification_methods = {{"atproto", op.signing_key}},
                .also_known_as = {with_at_prefix(op.handle)},
                .services = {{"atproto_pds", {"AtprotoPersonalDataServer", with_http_prefix(op.service)}}}});
          }},
      content_);
}

std::optional<std::size_t> Operation::signer(std::span<const std::string> rotation_keys) const {
  // "Non-canonical encodings or high-S values rejected": otherwise anyone could change the CID of an
  // operation.
  const auto signature = from_base64url(sig_);
  if (!signature) return std::nullopt;
  const Bytes message = plc::encode(content_);
  for (std::size_t i = 0; i < rotation_keys.size(); ++i) {
    const auto key = crypto::PublicKey::from_did_key(rotation_keys[i]);
    if (key && key->verify(message, *signature, crypto::HighS::refuse)) return i;
  }
  return std::nullopt;
}

Did did_of(const Operation& genesis) {
  return *Did::parse("did:plc:" + base32(crypto::sha256(genesis.encode())).substr(0, 24));
}

Result<void, Error> check_incoming(const Operation& operation) {
  if (const std::size_t size = operation.encode().size(); size > k_max_operation_bytes)
    return improper(fmt::format("{} bytes of DAG-CBOR, at most {}", size, k_max_operation_bytes));
  if (operation.is_tombstone()) return {};
  const auto* op = std::get_if<PlcOperation>(&operation.content());
  if (!op) return improper("operations of type create are no longer taken");
  const Data& data = op->data;

  if (data.also_known_as.size() > k_max_also_known_as) return improper("too many alsoKnownAs");
  if (std::set<std::string_view>(data.also_known_as.begin(), data.also_known_as.end()).size() !=
      data.also_known_as.size())
    return improper("alsoKnownAs repeats");
  for (const auto& name : data.also_known_as)
    if (name.size() > k_max_also_known_as_bytes) return improper("alsoKnownAs too long");

  // "Must include least 1 key ... with no duplication."
  if (data.rotation_keys.empty()) return improper("no rotationKeys");
  if (data.rotation_keys.size() > k_max_rotation_keys) return improper("too many rotationKeys");
  if (std::set<std::string_view>(data.rotation_keys.begin(), data.rotation_keys.end()).size() !=
      data.rotation_keys.size())
    return improper("rotationKeys repeats");
  for (const auto& key : data.rotation_keys)
    if (!crypto::PublicKey::from_did_key(key)) return improper("unsupported key in rotationKeys");

  if (data.services.size() > k_max_services) return improper("too many services");
  for (const auto& [id, service] : data.services) {
    if (id.size() > k_max_id_bytes) return improper("service id too long");
    if (service.type.size() > k_max_service_type_bytes) return improper("service type too long");
    if (service.endpoint.size() > k_max_service_endpoint_bytes) return improper("service endpoint too long");
  }

  if (data.verification_methods.size() > k_max_verification_methods)
    return improper("too many verificationMethods");
  for (const auto& [id, key] : data.verification_methods) {
    if (id.size() > k_max_id_bytes) return improper("verification method id too long");
    if (key.size() > k_max_did_key_bytes) return improper("verification method key too long");
    // Of any kind, but "they must have a did:key: prefix, followed by a base58btc multibase string".
    constexpr std::string_view k_prefix = "did:key:z";
    if (!key.starts_with(k_prefix) || key.size() == k_prefix.size() ||
        !from_base58btc(std::string_view(key).substr(k_prefix.size())))
      return improper("verification method is no did:key");
  }
  return {};
}

}  // namespace latchkey::plc
