#include <algorithm>

#include "atproto/plc/operation.h"

namespace latchkey::plc {

namespace {

auto wrong(std::string why) { return fail(Error{Error::Code::wrong_record, std::move(why)}); }

json::Array list(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

}  // namespace

json::Object audit_json(const Did& did, const LogEntry& entry) {
  return {{"did", did.str()},
          {"operation", entry.operation.to_json()},
          {"cid", entry.cid.str()},
          {"nullified", entry.nullified},
          {"createdAt", rfc3339(entry.created_at)}};
}

Result<LogEntry, Error> audit_from_json(const Did& did, const json::Value& value) {
  const std::string* its_did = value.string_at("did");
  const std::string* cid_text = value.string_at("cid");
  const std::string* created = value.string_at("createdAt");
  const json::Value* nullified = value.find("nullified");
  const json::Value* operation = value.find("operation");
  if (!its_did || !cid_text || !created || !nullified || !nullified->boolean() || !operation)
    return wrong("not an audit log entry");
  if (*its_did != did.str()) return wrong("entry of another DID");
  const auto created_at = parse_rfc3339(*created);
  if (!created_at) return wrong("createdAt is no time");
  TRY(auto op, Operation::from_json(*operation));
  const Cid cid = op.cid();
  if (cid.str() != *cid_text) return wrong("CID of another operation");
  return LogEntry{
      .operation = std::move(op), .cid = cid, .created_at = *created_at, .nullified = *nullified->boolean()};
}

Result<std::vector<LogEntry>, Error> audit_log_from_json(const Did& did, const json::Value& value) {
  if (!value.array()) return wrong("not a list");
  std::vector<LogEntry> log;
  for (const auto& item : *value.array()) {
    TRY(auto entry, audit_from_json(did, item));
    log.push_back(std::move(entry));
  }
  return log;
}

json::Object data_json(const Did& did, const Data& data) {
  json::Object methods, services;
  for (const auto& [id, key] : data.verification_methods) methods.append(id, key);
  for (const auto& [id, service] : data.services)
    services.append(id, json::Object{{"type", service.type}, {"endpoint", service.endpoint}});
  return {{"did", did.str()},
          {"verificationMethods", std::move(methods)},
          {"rotationKeys", list(data.rotation_keys)},
          {"alsoKnownAs", list(data.also_known_as)},
          {"services", std::move(services)}};
}

// "Presentation as DID Document". The ids of verification methods carry the DID, those of services do not, as
// the directory at plc.directory has it.
json::Object did_document(const Did& did, const Data& data) {
  json::Array context{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"};
  json::Array methods, services;
  for (const auto& [id, did_key] : data.verification_methods) {
    // A suite is named only for the kinds of key we know.
    if (const auto key = crypto::PublicKey::from_did_key(did_key)) {
      const json::Value suite = key->curve() == crypto::Curve::p256
                                    ? "https://w3id.org/security/suites/ecdsa-2019/v1"
                                    : "https://w3id.org/security/suites/secp256k1-2019/v1";
      if (std::ranges::count(context, suite) == 0) context.push_back(suite);
    }
    std::string_view multibase = did_key;
    if (multibase.starts_with("did:key:")) multibase.remove_prefix(8);
    methods.push_back(json::Object{{"id", did.str() + "#" + id},
                                   {"type", "Multikey"},
                                   {"controller", did.str()},
                                   {"publicKeyMultibase", multibase}});
  }
  for (const auto& [id, service] : data.services)
    services.push_back(
        json::Object{{"id", "#" + id}, {"type", service.type}, {"serviceEndpoint", service.endpoint}});
  return {{"@context", std::move(context)},
          {"id", did.str()},
          {"alsoKnownAs", list(data.also_known_as)},
          {"verificationMethod", std::move(methods)},
          {"service", std::move(services)}};
}

}  // namespace latchkey::plc
