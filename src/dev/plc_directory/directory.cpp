#include "dev/plc_directory/directory.h"

#include <charconv>

#include "base/log.h"

namespace latchkey::dev {
namespace {

constexpr std::size_t k_max_body = 32 * 1024;  // an operation of 7500 bytes as JSON, with room
constexpr std::int64_t k_max_export = 1000;

/// Errors have one shape here: {"message": …}.
web::Response refuse(int status, std::string message) {
  return web::Response::json(json::Object{{"message", std::move(message)}}, status);
}

std::string_view title(plc::Error::Code code) {
  using Code = plc::Error::Code;
  switch (code) {
    case Code::improper_operation:
      return "Improperly formatted operation";
    case Code::genesis_hash:
      return "Hash of genesis operation does not match DID identifier";
    case Code::misordered:
      return "Operations not correctly ordered";
    case Code::invalid_signature:
      return "Invalid signature on operation";
    case Code::late_recovery:
      return "Recovery operation occurred outside of the allowed 72 hr recovery window";
    case Code::wrong_record:
      return "Inconsistent record";
  }
  std::abort();
}

web::Response refuse(const plc::Error& error) {
  return refuse(400, fmt::format("{}: {}", title(error.code), error.detail));
}

struct Refusal {
  web::Response operator()(const plc::Error& error) const { return refuse(error); }
  web::Response operator()(const PlcLogStore::TooMany& e) const { return refuse(400, e.message); }
  web::Response operator()(const PlcLogStore::Busy&) const {
    return refuse(409, "Other operations for this DID came in between; try again");
  }
};

web::Response not_registered(const std::string& did) {
  return refuse(404, "DID not registered: " + did.substr(0, 256));
}

/// did:plc: and 24 characters of base32; nothing else can be registered here.
std::optional<Did> plc_did(const std::string& text) {
  auto did = Did::parse(text);
  if (!did || did->method() != "plc" || did->identifier().size() != 24) return std::nullopt;
  return *std::move(did);
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

PlcDirectory::PlcDirectory(store::Database& db, const Clock& clock, PlcOptions options)
    : operations_(db, options.limits), clock_(clock), options_(std::move(options)) {}

void PlcDirectory::add_routes(web::Router& router) {
  const auto get = [&](std::string pattern, Task<web::Response> (PlcDirectory::*method)(web::Request)) {
    router.add_cors("GET", pattern,
                    [this, method](web::Request request) { return (this->*method)(std::move(request)); });
  };
  get("/_health", &PlcDirectory::health);
  get("/export", &PlcDirectory::export_lines);
  get("/{did}", &PlcDirectory::document);
  get("/{did}/data", &PlcDirectory::data);
  get("/{did}/log", &PlcDirectory::log);
  get("/{did}/log/last", &PlcDirectory::last);
  get("/{did}/log/audit", &PlcDirectory::audit);
  router.add_cors(
      "POST", "/{did}", [this](web::Request request) { return submit(std::move(request)); }, k_max_body);
}

Task<web::Response> PlcDirectory::submit(web::Request request) {
  const auto did = plc_did(request.param("did"));
  if (!did) co_return refuse(400, "Not a did:plc identifier");
  auto operation = plc::Operation::parse(request.body);
  if (!operation) co_return refuse(operation.error());
  if (const auto checked = plc::check_incoming(*operation); !checked) co_return refuse(checked.error());
  const auto appended = co_await operations_.append(*did, *std::move(operation), clock_.now());
  if (!appended) co_return std::visit(Refusal{}, appended.error());
  co_return web::Response::text("OK");
}

Task<Result<PlcDirectory::Current, web::Response>> PlcDirectory::current(web::Request request) {
  const auto text = request.param("did");
  const auto did = plc_did(text);
  const auto entry = did ? co_await operations_.last(*did) : std::nullopt;
  if (!entry) co_return fail(not_registered(text));
  auto data = entry->operation.data();
  if (!data) co_return fail(refuse(410, "DID not available: " + text));
  co_return Current{*did, *std::move(data)};
}

Task<web::Response> PlcDirectory::document(web::Request request) {
  const auto now = co_await current(std::move(request));
  if (!now) co_return now.error();
  auto response = web::Response::json(plc::did_document(now->did, now->data));
  response.headers.set("content-type", "application/did+ld+json; charset=utf-8");
  co_return response;
}

Task<web::Response> PlcDirectory::data(web::Request request) {
  const auto now = co_await current(std::move(request));
  if (!now) co_return now.error();
  co_return web::Response::json(plc::data_json(now->did, now->data));
}

Task<web::Response> PlcDirectory::log(web::Request request) {
  const auto text = request.param("did");
  const auto did = plc_did(text);
  if (!did) co_return not_registered(text);
  json::Array operations;
  for (const auto& entry : co_await operations_.log(*did))
    if (!entry.nullified) operations.push_back(entry.operation.to_json());
  if (operations.empty()) co_return not_registered(text);
  co_return web::Response::json(std::move(operations));
}

Task<web::Response> PlcDirectory::last(web::Request request) {
  const auto text = request.param("did");
  const auto did = plc_did(text);
  const auto entry = did ? co_await operations_.last(*did) : std::nullopt;
  if (!entry) co_return not_registered(text);
  co_return web::Response::json(entry->operation.to_json());
}

Task<web::Response> PlcDirectory::audit(web::Request request) {
  const auto text = request.param("did");
  const auto did = plc_did(text);
  if (!did) co_return not_registered(text);
  json::Array entries;
  for (const auto& entry : co_await operations_.log(*did)) entries.push_back(plc::audit_json(*did, entry));
  if (entries.empty()) co_return not_registered(text);
  co_return web::Response::json(std::move(entries));
}

Task<web::Response> PlcDirectory::export_lines(web::Request request) {
  const auto fields = request.query_fields();
  if (!fields || has_duplicates(*fields)) co_return refuse(400, "Invalid query");
  std::int64_t count = k_max_export;
  if (const auto text = single(*fields, "count")) {
    const auto value = number(*text);
    if (!value || *value < 1) co_return refuse(400, "Invalid count parameter");
    count = std::min(*value, k_max_export);
  }
  const auto after = single(*fields, "after");
  const auto after_seq = after ? number(*after) : std::nullopt;
  const auto after_time = after && !after->empty() && !after_seq ? parse_rfc3339(*after) : std::nullopt;
  if (after && !after->empty() && !after_seq && !after_time) co_return refuse(400, "Invalid after parameter");

  const auto operations = after_seq ? co_await operations_.after_seq(*after_seq, count)
                                    : co_await operations_.after_time(after_time, count);
  std::string lines;
  for (const auto& op : operations) {
    auto line = plc::audit_json(op.did, op.entry);
    if (after_seq) line.set("seq", op.seq);
    if (!lines.empty()) lines += '\n';
    json::Value(std::move(line)).dump_to(lines);
  }
  auto response = web::Response::text(std::move(lines));
  response.headers.set("content-type", "application/jsonlines");
  co_return response;
}

Task<web::Response> PlcDirectory::health(web::Request) {
  try {
    co_await operations_.ping();
  } catch (const store::Error& e) {
    log::error("plc directory: database does not answer", {{"error", e.what()}});
    co_return web::Response::json(
        json::Object{{"version", options_.version}, {"error", "Service Unavailable"}}, 503);
  }
  co_return web::Response::json(json::Object{{"version", options_.version}});
}

}  // namespace latchkey::dev
