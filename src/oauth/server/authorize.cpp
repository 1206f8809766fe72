// The steps the sign-in pages take on an authorization request: RFC 6749 §4.1.1 and §4.1.2, RFC 9207.

#include "oauth/server/server.h"

namespace latchkey::oauth {
namespace {

Fault gone() {
  return {Error::invalid_request,
          "This sign-in request is unknown or has expired. Go back to the app and start again."};
}

// 303 and not 302: after a form post the browser must turn it into a GET (RFC 9700 §4.12). With `iss` against
// mix-up (RFC 9207 §2).
web::Response redirect(const AuthorizationRequest& request, FormFields parameters) {
  const std::string encoded = encode_form(parameters);
  std::string target = request.redirect_uri;
  if (request.response_mode == "fragment")
    target += "#" + encoded;
  else
    target += (target.find('?') == std::string::npos ? "?" : "&") + encoded;
  auto response = web::Response::redirect(303, std::move(target));
  response.header("cache-control", "no-store");
  response.header("referrer-policy", "no-referrer");
  return response;
}

}  // namespace

Task<Result<OpenRequest, Fault>> Server::open(std::string request_uri, std::string client_id,
                                              std::string browser) {
  const auto id = requests::id_of(request_uri);
  if (!id) co_return fail(gone());
  const Time now = clock_.now();
  const auto found = co_await db_.read([&](store::Tx& tx) { return requests::find_open(tx, *id, now); });
  // RFC 9126 §4: the client_id has to be the one that pushed the request.
  if (!found || found->client_id != client_id) co_return fail(gone());
  const bool bound =
      co_await db_.write([&](store::Tx& tx) { return requests::bind_browser(tx, *id, browser, now); });
  if (!bound)
    co_return fault(Error::invalid_request,
                    "This sign-in was started in another browser. Go back to the app and start again.");
  co_return co_await reopen(*id, browser);
}

Task<Result<OpenRequest, Fault>> Server::reopen(std::string request_id, std::string browser) {
  const Time now = clock_.now();
  auto found = co_await db_.read([&](store::Tx& tx) { return requests::find_open(tx, request_id, now); });
  if (!found || found->browser != browser) co_return fail(gone());
  CO_TRY(auto client, co_await clients_.load(found->client_id));
  co_return OpenRequest{std::move(*found), std::move(client)};
}

Task<Result<web::Response, Fault>> Server::approve(OpenRequest open, std::string did) {
  const Time now = clock_.now();
  const AuthorizationRequest& request = open.request;
  const std::string code = rng_.token();
  const bool ours = co_await db_.write([&](store::Tx& tx) {
    if (!requests::finish(tx, request.id, now)) return false;
    codes::insert(tx, {.hash = codes::hash_of(code),
                       .client_id = request.client_id,
                       .redirect_uri = request.redirect_uri,
                       .scope = request.scope,
                       .did = did,
                       .code_challenge = request.code_challenge,
                       .dpop_jkt = request.dpop_jkt,
                       .auth = request.auth,
                       .expires_at = now + k_code_lifetime,
                       .spent_at = std::nullopt,
                       .session_id = std::nullopt});
    // A smaller request does not take back what was approved before.
    const std::string before = approvals::find(tx, did, request.client_id);
    const auto all = ScopeSet::parse(before.empty() ? request.scope : before + " " + request.scope);
    approvals::remember(tx, did, request.client_id, all ? all->str() : request.scope, now);
    return true;
  });
  if (!ours) co_return fail(gone());
  co_return redirect(request, {{"iss", options_.issuer}, {"state", request.state}, {"code", code}});
}

Task<Result<web::Response, Fault>> Server::refuse(OpenRequest open, Error error, std::string description) {
  const Time now = clock_.now();
  const AuthorizationRequest& request = open.request;
  const bool ours = co_await db_.write([&](store::Tx& tx) { return requests::finish(tx, request.id, now); });
  if (!ours) co_return fail(gone());
  co_return redirect(request, {{"iss", options_.issuer},
                               {"state", request.state},
                               {"error", std::string(wire(error).name)},
                               {"error_description", description}});
}

Task<bool> Server::is_approved(OpenRequest open, std::string did) {
  // A public client's identity is only a URL anybody can name: its user is always asked.
  if (!open.client->is_confidential()) co_return false;
  const std::string approved =
      co_await db_.read([&](store::Tx& tx) { return approvals::find(tx, did, open.request.client_id); });
  const auto before = ScopeSet::parse(approved), asked = ScopeSet::parse(open.request.scope);
  const bool covered = before && asked && before->includes(*asked);
  co_return covered;
}

}  // namespace latchkey::oauth
