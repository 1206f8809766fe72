// The steps the sign-in pages take on an authorization request: RFC 6749 §4.1.1 and §4.1.2, RFC 9207.

#include "oauth/server/server.h"

namespace latchkey::oauth {
namespace {

Fault gone() {
  return {Error::invalid_request,
          "This sign-in request is unknown or has expired. Go back to the app and start again."};
}

// With `iss` against mix-up (RFC 9207 §2).
AuthorizationResponse respond(const std::string& issuer, const AuthorizationRequest& request,
                              FormFields parameters) {
  parameters.insert(parameters.begin(), {{"iss", issuer}, {"state", request.state}});
  return {request.redirect_uri, request.response_mode, std::move(parameters)};
}

AuthorizationResponse respond_error(const std::string& issuer, const AuthorizationRequest& request,
                                    Error error, std::string description) {
  return respond(issuer, request,
                 {{"error", std::string(wire(error).name)}, {"error_description", std::move(description)}});
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

Task<Result<OpenRequest, Fault>> Server::open_handed_over(std::string request_uri, std::string browser) {
  const auto id = requests::id_of(request_uri);
  if (!id) co_return fail(gone());
  const Time now = clock_.now();
  const auto found = co_await db_.read([&](store::Tx& tx) { return requests::find_open(tx, *id, now); });
  if (!found) co_return fail(gone());
  co_return co_await open(std::move(request_uri), found->client_id, std::move(browser));
}

Task<Result<OpenRequest, Fault>> Server::reopen(std::string request_id, std::string browser) {
  const Time now = clock_.now();
  auto found = co_await db_.read([&](store::Tx& tx) { return requests::find_open(tx, request_id, now); });
  if (!found || found->browser != browser) co_return fail(gone());
  CO_TRY(auto client, co_await clients_.load(found->client_id));
  co_return OpenRequest{std::move(*found), std::move(client)};
}

Task<PermissionSets::Sets> Server::permission_sets(ScopeSet scope) {
  auto sets = co_await permission_sets_.load(std::move(scope), PermissionSets::For::refresh);
  co_return sets ? *std::move(sets) : PermissionSets::Sets();
}

Task<Result<AuthorizationResponse, Fault>> Server::approve(OpenRequest open, Approval approval) {
  const Time now = clock_.now();
  const AuthorizationRequest& request = open.request;
  // A person takes away, and never adds.
  const auto asked = ScopeSet::parse(request.scope);
  const ScopeSet granted = asked ? asked->intersect(approval.scope) : ScopeSet();
  if (!granted.has(k_scope_atproto))
    co_return fault(Error::invalid_scope, "An app cannot be allowed without the scope atproto");
  const std::string code = rng_.token(), scope = granted.str();
  enum class Outcome { gone, denied, issued };
  const Outcome outcome = co_await db_.write([&](store::Tx& tx) {
    if (!requests::finish(tx, request.id, now)) return Outcome::gone;
    if (options_.standing(tx, approval.did) != Standing::active) return Outcome::denied;
    codes::insert(tx, {.hash = codes::hash_of(code),
                       .client_id = request.client_id,
                       .redirect_uri = request.redirect_uri,
                       .scope = scope,
                       .did = approval.did,
                       .code_challenge = request.code_challenge,
                       .dpop_jkt = request.dpop_jkt,
                       .auth = request.auth,
                       .expires_at = now + k_code_lifetime,
                       .spent_at = std::nullopt,
                       .session_id = std::nullopt,
                       .ip = approval.ip,
                       .device = approval.device});
    // A smaller request does not take back what was approved before.
    const std::string before = approvals::find(tx, approval.did, request.client_id);
    const auto all = ScopeSet::parse(before.empty() ? scope : before + " " + scope);
    approvals::remember(tx, approval.did, request.client_id, all ? all->str() : scope, now);
    return Outcome::issued;
  });
  if (outcome == Outcome::gone) co_return fail(gone());
  if (outcome == Outcome::denied)
    co_return respond_error(options_.issuer, request, Error::access_denied, "This account is not active");
  co_return respond(options_.issuer, request, {{"code", code}});
}

Task<Result<AuthorizationResponse, Fault>> Server::refuse(OpenRequest open, Error error,
                                                          std::string description) {
  const Time now = clock_.now();
  const AuthorizationRequest& request = open.request;
  const bool ours = co_await db_.write([&](store::Tx& tx) { return requests::finish(tx, request.id, now); });
  if (!ours) co_return fail(gone());
  co_return respond_error(options_.issuer, request, error, std::move(description));
}

bool may_skip_consent(const OpenRequest& open) {
  return open.client->is_confidential() || open.client->trusted;
}

Task<bool> Server::is_approved(OpenRequest open, std::string did) {
  if (!may_skip_consent(open)) co_return false;
  const ScopeSet approved = co_await approved_scope(std::move(did), open.request.client_id);
  const auto asked = ScopeSet::parse(open.request.scope);
  const bool covered = asked && covers(approved, *asked);
  co_return covered;
}

Task<ScopeSet> Server::approved_scope(std::string did, std::string client_id) {
  const std::string text =
      co_await db_.read([&](store::Tx& tx) { return approvals::find(tx, did, client_id); });
  const auto scopes = ScopeSet::parse(text);
  co_return scopes ? *scopes : ScopeSet();
}

Task<void> Server::forget_approval(std::string did, std::string client_id) {
  co_await db_.write([&](store::Tx& tx) { approvals::forget(tx, did, client_id); });
}

}  // namespace latchkey::oauth
