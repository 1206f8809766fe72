#include "pds/plc_client.h"

#include <algorithm>

namespace latchkey::pds {
namespace {

PlcFault unreachable(std::string detail) { return {PlcFault::Kind::unreachable, std::move(detail)}; }

std::string describe(const Result<FetchResponse, FetchError>& answer) {
  return answer ? "POST answered " + std::to_string(answer->status) : answer.error().detail;
}

/// A 4xx is the directory's last word on an operation, except when it only asks for patience or was busy with
/// another one of the same DID.
bool is_last_word(const Result<FetchResponse, FetchError>& answer) {
  return answer && answer->status / 100 == 4 && answer->status != 408 && answer->status != 409 &&
         answer->status != 429;
}

}  // namespace

bool holds(const std::vector<plc::LogEntry>& log, const Cid& operation) {
  return std::ranges::any_of(
      log, [&](const plc::LogEntry& entry) { return entry.cid == operation && !entry.nullified; });
}

HttpPlcClient::HttpPlcClient(Fetch& fetch, std::string directory_url)
    : fetch_(fetch), url_(std::move(directory_url)) {
  while (url_.ends_with('/')) url_.pop_back();
}

Task<Result<FetchResponse, FetchError>> HttpPlcClient::post(std::string did, std::string operation) {
  return fetch_.fetch({.method = "POST",
                       .url = url_ + "/" + did,
                       .headers = {{"content-type", "application/json"}},
                       .body = std::move(operation)});
}

Task<Result<void, PlcFault>> HttpPlcClient::submit(std::string did, std::string operation) {
  const auto answer = co_await post(did, std::move(operation));
  if (answer && answer->status / 100 == 2) co_return {};
  // The answer may have been lost, or the directory may refuse an operation because it already has it. A
  // did:plc is the hash of its genesis operation: if the DID is there, so is this operation.
  CO_TRY(auto document, co_await resolve(did));
  if (document) co_return {};
  if (is_last_word(answer)) co_return fail(PlcFault{PlcFault::Kind::refused, describe(answer)});
  co_return fail(unreachable(describe(answer)));
}

Task<Result<void, PlcFault>> HttpPlcClient::append(Did did, plc::Operation operation) {
  const auto answer = co_await post(did.str(), json::Value(operation.to_json()).dump());
  if (answer && answer->status / 100 == 2) co_return {};
  // As above; here the log says whether it got through.
  CO_TRY(const auto known, co_await log(did));
  if (holds(known, operation.cid())) co_return {};
  if (is_last_word(answer)) co_return fail(PlcFault{PlcFault::Kind::refused, describe(answer)});
  co_return fail(unreachable(describe(answer)));
}

Task<Result<std::vector<plc::LogEntry>, PlcFault>> HttpPlcClient::log(Did did) {
  auto answer = co_await fetch_.fetch(
      {.url = url_ + "/" + did.str() + "/log/audit", .headers = {{"accept", "application/json"}}});
  if (!answer) co_return fail(unreachable(answer.error().detail));
  if (answer->status == 404) co_return fail(PlcFault{PlcFault::Kind::refused, "no such DID"});
  if (answer->status != 200) co_return fail(unreachable("GET answered " + std::to_string(answer->status)));
  const auto value = json::parse(answer->body);
  if (!value) co_return fail(unreachable("the audit log is no JSON"));
  auto entries = plc::audit_log_from_json(did, *value);
  if (!entries) co_return fail(unreachable("the audit log is malformed: " + entries.error().detail));
  // What is signed next builds on this.
  if (const auto valid = plc::validate_log(did, *entries); !valid)
    co_return fail(unreachable("the audit log is invalid: " + valid.error().detail));
  co_return *std::move(entries);
}

Task<Result<std::optional<json::Value>, PlcFault>> HttpPlcClient::resolve(std::string did) {
  auto answer = co_await fetch_.fetch({.url = url_ + "/" + did, .headers = {{"accept", "application/json"}}});
  if (!answer) co_return fail(unreachable(answer.error().detail));
  // 410: tombstoned. It was taken once, but no document is left.
  if (answer->status == 404 || answer->status == 410) co_return std::optional<json::Value>();
  if (answer->status != 200) co_return fail(unreachable("GET answered " + std::to_string(answer->status)));
  auto document = json::parse(answer->body);
  if (!document || !document->object()) co_return fail(unreachable("the DID document is no JSON object"));
  co_return std::optional<json::Value>(*std::move(document));
}

}  // namespace latchkey::pds
