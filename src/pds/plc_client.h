#pragma once
// The PLC directory as the PDS uses it. Source: https://web.plc.directory/api/redoc

#include <optional>
#include <string>
#include <vector>

#include "atproto/plc/operation.h"
#include "base/fetch.h"
#include "base/json.h"

namespace latchkey::pds {

struct PlcFault {
  /// refused: the directory answered and does not hold the operation. unreachable: nobody knows.
  enum class Kind { refused, unreachable };
  Kind kind;
  std::string detail;  // for logs
};

class PlcClient {
 public:
  virtual ~PlcClient() = default;

  /// Hands in a signed genesis operation. Idempotent: an operation the directory already holds is success, so
  /// that a creation cut short by a crash can be taken up again.
  virtual Task<Result<void, PlcFault>> submit(std::string did, std::string operation) = 0;

  /// Hands in the next operation of a DID that exists. Idempotent in the same way.
  virtual Task<Result<void, PlcFault>> append(Did did, plc::Operation operation) = 0;

  /// Every operation of the DID, oldest first, each signature checked; refused when the directory has none.
  virtual Task<Result<std::vector<plc::LogEntry>, PlcFault>> log(Did did) = 0;

  /// The DID document; std::nullopt when the directory knows no such DID or it was deactivated.
  virtual Task<Result<std::optional<json::Value>, PlcFault>> resolve(std::string did) = 0;
};

class HttpPlcClient final : public PlcClient {
 public:
  HttpPlcClient(Fetch& fetch, std::string directory_url);
  Task<Result<void, PlcFault>> submit(std::string did, std::string operation) override;
  Task<Result<void, PlcFault>> append(Did did, plc::Operation operation) override;
  Task<Result<std::vector<plc::LogEntry>, PlcFault>> log(Did did) override;
  Task<Result<std::optional<json::Value>, PlcFault>> resolve(std::string did) override;

 private:
  Task<Result<FetchResponse, FetchError>> post(std::string did, std::string operation);

  Fetch& fetch_;
  std::string url_;  // no trailing slash
};

/// Whether the operation is part of the DID's history.
bool holds(const std::vector<plc::LogEntry>& log, const Cid& operation);

}  // namespace latchkey::pds
