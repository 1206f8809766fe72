#pragma once
// Operations of did:plc: the objects, their two encodings, signatures, and the rules by which a directory
// accepts one. Pure: no clock, no storage.
// Source: https://web.plc.directory/spec/v0.1/did-plc

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/syntax/did.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/key.h"

namespace latchkey::plc {

struct Error {
  enum class Code {
    improper_operation,  // not one of the three kinds, unknown or missing field, a limit exceeded
    genesis_hash,        // the DID is not the hash of its first operation
    misordered,          // `prev` is missing, unknown, nullified or a tombstone
    invalid_signature,   // no key that may sign this signed it, or the signature is not in its one encoding
    late_recovery,       // more than 72 hours after the operation it would nullify
    wrong_record,        // an audit log states another CID, DID or nullification than follows from it
  };
  Code code;
  std::string detail;  // fit for the client
};

// What a directory takes from strangers. The specification sets the size; the rest is what the directory at
// plc.directory enforces.
inline constexpr std::size_t k_max_operation_bytes = 7500;  // DAG-CBOR, with the signature
inline constexpr std::size_t k_max_rotation_keys = 10;
inline constexpr std::size_t k_max_verification_methods = 10;
inline constexpr std::size_t k_max_also_known_as = 10;
inline constexpr std::size_t k_max_also_known_as_bytes = 258;
inline constexpr std::size_t k_max_services = 10;
inline constexpr std::size_t k_max_service_type_bytes = 256;
inline constexpr std::size_t k_max_service_endpoint_bytes = 512;
inline constexpr std::size_t k_max_id_bytes = 32;  // of a service or verification method
inline constexpr std::size_t k_max_did_key_bytes = 256;
inline constexpr std::chrono::hours k_recovery_window{72};

struct Service {
  std::string type;
  std::string endpoint;
  bool operator==(const Service&) const = default;
};

/// The state an operation leads to.
struct Data {
  std::vector<std::string> rotation_keys;                   // did:key, most powerful first
  std::map<std::string, std::string> verification_methods;  // id without '#' -> did:key
  std::vector<std::string> also_known_as;
  std::map<std::string, Service> services;  // id without '#'
  bool operator==(const Data&) const = default;
};

/// An account of atproto: keys `atproto`, service `atproto_pds`. `handle` without at://.
Data atproto_data(std::vector<std::string> rotation_keys, const crypto::PublicKey& signing_key,
                  std::string_view handle, std::string_view pds_endpoint);

struct PlcOperation {  // type plc_operation
  Data data;
  std::optional<Cid> prev;  // nullopt: genesis
  bool operator==(const PlcOperation&) const = default;
};

struct PlcTombstone {  // type plc_tombstone
  Cid prev;
  bool operator==(const PlcTombstone&) const = default;
};

/// Type create: genesis only, in old logs only; new ones are refused.
struct LegacyCreate {
  std::string signing_key;
  std::string recovery_key;
  std::string handle;
  std::string service;
  bool operator==(const LegacyCreate&) const = default;
};

using Unsigned = std::variant<PlcOperation, PlcTombstone, LegacyCreate>;

/// The DAG-CBOR that is signed: all fields but `sig`.
Bytes encode(const Unsigned& operation);

class Operation {
 public:
  static Operation sign(Unsigned content, const crypto::PrivateKey& rotation_key);
  /// Exactly the fields of one of the three types; any other field is refused. Nothing about limits, keys or
  /// the signature is checked here: see check_incoming and check_next.
  static Result<Operation, Error> from_json(const json::Value& value);
  static Result<Operation, Error> parse(std::string_view json);

  json::Object to_json() const;
  Bytes encode() const;  // DAG-CBOR with `sig`
  Cid cid() const;       // of encode()

  const Unsigned& content() const { return content_; }
  const std::string& sig() const { return sig_; }
  bool is_tombstone() const { return std::holds_alternative<PlcTombstone>(content_); }
  std::optional<Cid> prev() const;
  /// The state after it, a legacy create translated; nullopt after a tombstone.
  std::optional<Data> data() const;
  /// Index of the first of these did:keys that made the signature (low-S, base64url without padding).
  std::optional<std::size_t> signer(std::span<const std::string> rotation_keys) const;

  bool operator==(const Operation&) const = default;

 private:
  Operation(Unsigned content, std::string sig) : content_(std::move(content)), sig_(std::move(sig)) {}
  Unsigned content_;
  std::string sig_;
};

/// did:plc: and the first 24 characters of the base32 of the SHA-256 of the signed operation.
Did did_of(const Operation& genesis);

/// The limits above, for an operation someone hands in. Refuses legacy creates, and (as the specification
/// says, though plc.directory does not) rotation keys that are none, repeated or of an unsupported kind.
Result<void, Error> check_incoming(const Operation& operation);

/// One line of an audit log.
struct LogEntry {
  Operation operation;
  Cid cid;
  Time created_at;
  bool nullified = false;
};

struct Accepted {
  std::vector<Cid> nullified;  // operations of the log that the new one takes out of history
  std::optional<Cid> prev;     // nullopt: genesis
};

/// Whether the directory may append `next` at `now`. `log` is everything known of the DID in the order it was
/// accepted, nullified entries included; empty for a genesis operation. To be called in the transaction that
/// stores the operation. Does not repeat check_incoming.
Result<Accepted, Error> check_next(const Did& did, std::span<const LogEntry> log, const Operation& next,
                                   Time now);

/// Replays a whole audit log: every signature, CID, time and nullification. The state after it; nullopt when
/// the DID ends in a tombstone.
Result<std::optional<Data>, Error> validate_log(const Did& did, std::span<const LogEntry> log);

/// {did, operation, cid, nullified, createdAt}, as in /log/audit and /export.
json::Object audit_json(const Did& did, const LogEntry& entry);
/// The other way; wrong_record when it belongs to another DID or the CID is not the operation's.
Result<LogEntry, Error> audit_from_json(const Did& did, const json::Value& value);
/// A whole /log/audit answer. Check it with validate_log.
Result<std::vector<LogEntry>, Error> audit_log_from_json(const Did& did, const json::Value& value);

/// What GET /:did/data answers.
json::Object data_json(const Did& did, const Data& data);
/// What GET /:did answers: the DID document.
json::Object did_document(const Did& did, const Data& data);

}  // namespace latchkey::plc
