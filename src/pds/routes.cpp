#include "base/log.h"
#include "pds/method_permissions.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "store/database.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::size_t k_json_limit = 150 * 1024;
constexpr std::size_t k_record_limit = 2 << 20;

constexpr Method k_methods[] = {
    {"com.atproto.identity.resolveHandle", Verb::query, Access::none, Input::none, 0, resolve_handle},
    {"com.atproto.identity.updateHandle", Verb::procedure, Access::session, Input::json, k_json_limit,
     update_handle},
    {"com.atproto.lexicon.resolveLexicon", Verb::query, Access::none, Input::none, 0, resolve_lexicon},
    {"com.atproto.repo.applyWrites", Verb::procedure, Access::session, Input::json, k_record_limit,
     apply_writes},
    {"com.atproto.repo.createRecord", Verb::procedure, Access::session, Input::json, k_record_limit,
     create_record},
    {"com.atproto.repo.deleteRecord", Verb::procedure, Access::session, Input::json, k_json_limit,
     delete_record},
    {"com.atproto.repo.describeRepo", Verb::query, Access::none, Input::none, 0, describe_repo},
    {"com.atproto.repo.getRecord", Verb::query, Access::none, Input::none, 0, get_record},
    {"com.atproto.repo.listMissingBlobs", Verb::query, Access::session, Input::none, 0, list_missing_blobs},
    {"com.atproto.repo.listRecords", Verb::query, Access::none, Input::none, 0, list_records},
    {"com.atproto.repo.putRecord", Verb::procedure, Access::session, Input::json, k_record_limit, put_record},
    {"com.atproto.repo.uploadBlob", Verb::procedure, Access::session_or_service, Input::bytes, 0,
     upload_blob},
    {"com.atproto.server.activateAccount", Verb::procedure, Access::session, Input::none, 0,
     activate_account},
    {"com.atproto.server.checkAccountStatus", Verb::query, Access::session, Input::none, 0,
     check_account_status},
    {"com.atproto.server.createAccount", Verb::procedure, Access::none, Input::json, k_json_limit,
     create_account},
    {"com.atproto.server.createAppPassword", Verb::procedure, Access::session, Input::json, k_json_limit,
     create_app_password},
    {"com.atproto.server.createInviteCode", Verb::procedure, Access::admin, Input::json, k_json_limit,
     create_invite_code},
    {"com.atproto.server.createInviteCodes", Verb::procedure, Access::admin, Input::json, k_json_limit,
     create_invite_codes},
    {"com.atproto.server.createSession", Verb::procedure, Access::none, Input::json, k_json_limit,
     create_session},
    {"com.atproto.server.deactivateAccount", Verb::procedure, Access::session_takendown, Input::json,
     k_json_limit, deactivate_account},
    {"com.atproto.server.deleteAccount", Verb::procedure, Access::none, Input::json, k_json_limit,
     delete_account},
    {"com.atproto.server.deleteSession", Verb::procedure, Access::refresh_expired, Input::none, 0,
     delete_session},
    {"com.atproto.server.describeServer", Verb::query, Access::none, Input::none, 0, describe_server},
    {"com.atproto.server.getServiceAuth", Verb::query, Access::session_takendown, Input::none, 0,
     get_service_auth},
    {"com.atproto.server.getSession", Verb::query, Access::session_takendown, Input::none, 0, get_session},
    {"com.atproto.server.listAppPasswords", Verb::query, Access::session, Input::none, 0, list_app_passwords},
    {"com.atproto.server.refreshSession", Verb::procedure, Access::refresh, Input::none, 0, refresh_session},
    {"com.atproto.server.requestAccountDelete", Verb::procedure, Access::session, Input::none, 0,
     request_account_delete},
    {"com.atproto.server.revokeAppPassword", Verb::procedure, Access::session, Input::json, k_json_limit,
     revoke_app_password},
    {"com.atproto.sync.getBlob", Verb::query, Access::optional, Input::none, 0, get_blob},
    {"com.atproto.sync.getLatestCommit", Verb::query, Access::optional, Input::none, 0, get_latest_commit},
    {"com.atproto.sync.getRecord", Verb::query, Access::optional, Input::none, 0, sync_get_record},
    {"com.atproto.sync.getRepo", Verb::query, Access::optional, Input::none, 0, get_repo},
    {"com.atproto.sync.getRepoStatus", Verb::query, Access::none, Input::none, 0, get_repo_status},
    {"com.atproto.sync.listBlobs", Verb::query, Access::optional, Input::none, 0, list_blobs},
    {"com.atproto.sync.listRepos", Verb::query, Access::none, Input::none, 0, list_repos},
};

/// The parts of the call that need no waiting. Contract: section 1.
Result<void, Fault> read_call(const Method& method, Call& call) {
  const auto& request = call.request;
  if (method.verb == Verb::query) {
    auto query = request.query_fields();
    if (!query) return invalid("Malformed query parameters");
    call.query = *std::move(query);
    return {};
  }
  if (method.input == Input::none) {
    if (!request.body.empty()) return invalid("A request body was provided when none was expected");
    return {};
  }
  const auto type = request.content_type();
  if (method.input == Input::bytes) {
    if (type.empty()) return invalid("Request encoding (Content-Type) required but not provided");
    return {};
  }
  if (request.body.empty()) return invalid("A request body is expected but none was provided");
  if (request.body.size() > method.max_body)
    return refuse(Error::PayloadTooLarge, "request entity too large");
  if (type.empty()) return invalid("Request encoding (Content-Type) required but not provided");
  if (type != "application/json") return invalid("Wrong request encoding (Content-Type): " + type);
  auto input = json::parse(request.body);
  if (!input) return invalid("Malformed JSON: " + input.error().message);
  if (!input->object()) return invalid("Input must be an object");
  call.input = *std::move(input);
  return {};
}

bool has_right_verb(const Method& method, std::string_view verb) {
  if (method.verb == Verb::query) return verb == "GET" || verb == "HEAD";
  return verb == "POST";
}

Task<web::Response> answer(Pds* pds, const Method* method, web::Request request) {
  if (!has_right_verb(*method, request.method))
    co_return response_of({.code = Error::InvalidRequest,
                           .message = "Incorrect HTTP method (" + request.method + ") expected " +
                                      (method->verb == Verb::query ? "GET" : "POST")});
  Call call{.request = std::move(request), .query = {}, .input = {}, .caller = {}};
  auto caller = co_await pds->authenticator().authenticate(call.request, method->access, method->nsid);
  if (!caller) co_return std::move(caller).error();
  call.caller = *std::move(caller);
  if (const auto& who = call.caller.account) {
    const auto* needed = permission_of(method->nsid);
    // A method without a line in the table would be open to every app.
    if (!needed) throw std::logic_error("no permission is known for " + std::string(method->nsid));
    // A service JWT names its method; it was not accepted for another.
    const auto may = who->kind == Credentials::Kind::oauth     ? check_permission(*needed, *who->permissions)
                     : who->kind == Credentials::Kind::session ? check_session(*needed, who->scope)
                                                               : Result<void, Fault>();
    if (!may) co_return response_of(may.error());
  }
  if (auto read = read_call(*method, call); !read) co_return response_of(read.error());
  auto answered = co_await method->handler(*pds, std::move(call));
  if (!answered) {
    const auto& fault = answered.error();
    if (!fault.detail.empty())
      log::info("refused", {{"method", std::string(method->nsid)}, {"detail", fault.detail}});
    co_return response_of(fault);
  }
  co_return *std::move(answered);
}

/// The request boundary: whatever goes wrong below becomes an answer here.
Task<web::Response> serve(Pds* pds, const Method* method, web::Request request) {
  const bool dpop = Authenticator::is_dpop(request);
  const std::string id = request.id;
  std::optional<web::Response> response;
  try {
    response = co_await answer(pds, method, std::move(request));
  } catch (const Overloaded&) {
    response =
        response_of({.code = Error::NotEnoughResources, .message = "Server is busy, please try again"});
  } catch (const std::exception& e) {
    log::error("request failed", {{"method", std::string(method->nsid)}, {"id", id}, {"what", e.what()}});
    response = response_of({.code = Error::InternalServerError, .message = "Internal Server Error"});
  }
  pds->authenticator().add_headers(dpop, method->access, *response);
  co_return *std::move(response);
}

web::Response unknown_method(const web::Request& request) {
  const auto name = std::string_view(request.path).substr(std::string_view("/xrpc/").size());
  if (Nsid::parse(name))
    return response_of({.code = Error::MethodNotImplemented, .message = "Method Not Implemented"});
  return response_of({.code = Error::XRPCNotSupported, .message = "XRPC Not Supported"});
}

Task<web::Response> health(Pds* pds) {
  json::Object body{{"version", pds->config().version}};
  try {
    co_await pds->db().read([](store::Tx& tx) { return accounts::storage_answers(tx); });
  } catch (const std::exception& e) {
    log::error("failed health check", {{"what", e.what()}});
    body.set("error", "Service Unavailable");
    co_return web::Response::json(std::move(body), 503);
  }
  co_return web::Response::json(std::move(body));
}

/// https://atproto.com/specs/handle#https-well-known-method. The Host header only selects among our own
/// names.
Task<web::Response> atproto_did(Pds* pds, web::Request request) {
  const auto handle = Handle::parse(request.hostname());
  std::optional<Account> account;
  if (handle && pds->handles().is_ours(handle->str())) account = co_await pds->accounts().find(*handle);
  if (!account || account->taken_down()) co_return web::Response::text("User not found", 404);
  co_return web::Response::text(account->did.str());
}

constexpr std::string_view k_front_page =
    "Latchkey\n\n"
    "This is an AT Protocol Personal Data Server (aka, an atproto PDS)\n\n"
    "Most API routes are under /xrpc/\n\n"
    "Protocol: https://atproto.com\n";

constexpr std::string_view k_robots =
    "# Crawling the public API is allowed\n"
    "User-agent: *\n"
    "Allow: /\n";

}  // namespace

std::span<const Method> methods() { return k_methods; }

void add_methods(web::Router& router, Pds& pds, std::span<const Method> served) {
  Pds* const p = &pds;
  for (const Method& method : served) {
    const Method* const m = &method;
    auto handler = web::with_cors([p, m](web::Request request) { return serve(p, m, std::move(request)); });
    const std::string path = "/xrpc/" + std::string(method.nsid);
    if (method.input == Input::bytes)
      router.add_streamed("*", path, std::move(handler), pds.config().blob_upload_limit);
    else
      router.add("*", path, std::move(handler), method.max_body);
  }
}

web::Router routes(Pds& pds) {
  web::Router router;
  Pds* const p = &pds;
  add_methods(router, pds, methods());
  router.add("*", "/xrpc/{rest*}",
             web::with_cors([](web::Request request) { return web::ready(unknown_method(request)); }));
  router.get("/xrpc/_health", web::with_cors([p](web::Request) { return health(p); }));
  router.get("/.well-known/atproto-did",
             web::with_cors([p](web::Request request) { return atproto_did(p, std::move(request)); }));
  router.get("/robots.txt",
             [](web::Request) { return web::ready(web::Response::text(std::string(k_robots))); });
  router.get("/", [](web::Request) { return web::ready(web::Response::text(std::string(k_front_page))); });
  return router;
}

}  // namespace latchkey::pds
