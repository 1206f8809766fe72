#include "pds/plc_client.h"

namespace latchkey::pds {
namespace {

PlcFault unreachable(std::string detail) { return {PlcFault::Kind::unreachable, std::move(detail)}; }

}  // namespace

HttpPlcClient::HttpPlcClient(Fetch& fetch, std::string directory_url)
    : fetch_(fetch), url_(std::move(directory_url)) {
  while (url_.ends_with('/')) url_.pop_back();
}

Task<Result<void, PlcFault>> HttpPlcClient::submit(std::string did, std::string operation) {
  auto answer = co_await fetch_.fetch({.method = "POST",
                                       .url = url_ + "/" + did,
                                       .headers = {{"content-type", "application/json"}},
                                       .body = std::move(operation)});
  if (answer && answer->status / 100 == 2) co_return {};
  // The answer may have been lost, or the directory may refuse an operation because it already has it. A
  // did:plc is the hash of its genesis operation: if the DID is there, so is this operation.
  const std::string detail =
      answer ? "POST answered " + std::to_string(answer->status) : answer.error().detail;
  CO_TRY(auto document, co_await resolve(did));
  if (document) co_return {};
  // 4xx is the directory's last word on this operation, except when it only asks for patience.
  if (answer && answer->status / 100 == 4 && answer->status != 408 && answer->status != 429)
    co_return fail(PlcFault{PlcFault::Kind::refused, detail});
  co_return fail(unreachable(detail));
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
