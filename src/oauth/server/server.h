#pragma once
// The authorization server: the machine-facing endpoints here, and the steps the sign-in pages take
// (authorize.cpp).
//
//   PAR (par.cpp) → pages open, bind and approve the request (authorize.cpp) → token (token.cpp) → resource
//   (resource.cpp)
//
// Sources: atproto.com/specs/oauth; RFC 6749, 7009, 7523, 7636, 7662, 8414, 9126, 9207, 9449, 9728.

#include "base/rng.h"
#include "oauth/dpop/dpop.h"
#include "oauth/dpop/nonces.h"
#include "oauth/scopes/scopes.h"
#include "oauth/server/authorization_response.h"
#include "oauth/server/clients.h"
#include "oauth/server/permission_sets.h"
#include "oauth/server/replay.h"
#include "oauth/server/requests.h"
#include "oauth/server/sessions.h"
#include "oauth/server/standing.h"
#include "oauth/server/tokens.h"
#include "web/router.h"

namespace latchkey::oauth {

struct ServerOptions {
  std::string issuer;                  // origin of the PDS: https://pds.example
  std::string authorization_endpoint;  // https://auth.pds.example/oauth/authorize
  Secret<Bytes> secret;                // 32 bytes or more; every key of this server is derived from it
  StandingOf standing;                 // required
  LocalHosts local_hosts = LocalHosts::refuse;
  lexicon::Resolver* lexicons = nullptr;  // null: no permission set can be had
  /// client_ids the operator vouches for: their names are shown, and they may skip a consent given before.
  std::set<std::string> trusted_clients = {};
  /// Requests pushed within 10 minutes; more are told to come again (RequestQuota).
  std::int64_t max_requests = 20'000;
};

/// A request as the pages see it, with the client behind it.
struct OpenRequest {
  AuthorizationRequest request;
  std::shared_ptr<const Client> client;
};

/// Whether a consent given before may stand for a new one, and prompt=none be answered with a code: for
/// clients that prove who they are, or that the operator trusts. Any program can call itself by a public
/// client's URL.
bool may_skip_consent(const OpenRequest& open);

/// What a person agreed to.
struct Approval {
  std::string did;  // whoever the caller proved to sit in front of the browser
  ScopeSet scope;   // what they left switched on of what was asked
  std::string ip;
  std::string device = {};  // of the browser, "" when it has none
};

class Server {
 public:
  Server(ServerOptions options, store::Database& db, Fetch& fetch, const Clock& clock, Rng& rng);

  /// PAR, token, revoke, introspect, jwks and both metadata documents, on the issuer's host.
  void add_routes(web::Router& router);

  // --- For the pages on the authorization host (authorize.cpp) ---

  /// Finds the request and binds it to this browser (a hash of its flow cookie); a second browser is refused.
  /// The fault is for a page: nothing about the request may be trusted yet.
  Task<Result<OpenRequest, Fault>> open(std::string request_uri, std::string client_id, std::string browser);
  /// The same for a request that another host showed and handed over, signed: which client's it is was
  /// checked there.
  Task<Result<OpenRequest, Fault>> open_handed_over(std::string request_uri, std::string browser);
  /// The same for a browser that is bound already.
  Task<Result<OpenRequest, Fault>> reopen(std::string request_id, std::string browser);
  /// The permission sets of a scope asked for, to explain them. Those that cannot be had are absent.
  Task<PermissionSets::Sets> permission_sets(ScopeSet scope);
  /// Issues the code, once, and remembers the approval. For an account that may not sign in (Standing) the
  /// response is access_denied. The fault is for a page.
  Task<Result<AuthorizationResponse, Fault>> approve(OpenRequest open, Approval approval);
  /// Ends the request with an error for the client.
  Task<Result<AuthorizationResponse, Fault>> refuse(OpenRequest open, Error error, std::string description);
  /// Whether this account approved everything asked before, and the client may rely on that
  /// (may_skip_consent).
  Task<bool> is_approved(OpenRequest open, std::string did);
  /// What this account approved for this client so far, together; empty when nothing.
  Task<ScopeSet> approved_scope(std::string did, std::string client_id);
  /// The next request of this client shows the consent page again.
  Task<void> forget_approval(std::string did, std::string client_id);

  /// What is known of a client; fetched when it is not.
  Task<Result<std::shared_ptr<const Client>, Fault>> client(std::string client_id) {
    return clients_.load(std::move(client_id));
  }

  // --- For the account's pages (account_sessions.cpp) ---

  /// The living ones, the last used first.
  Task<std::vector<Session>> sessions_of(std::string did);
  /// False when this account has no such living session.
  Task<bool> end_session(std::string did, std::string id);
  /// How many were ended.
  Task<std::size_t> end_sessions(std::string did);

  // --- For the resource server (resource.cpp) ---

  struct ResourceRequest {
    std::string method, uri, token;
    std::vector<std::string> proofs;  // the values of every DPoP header
  };
  struct Grant {
    std::string did, scope, client_id;
  };
  /// RFC 9449 §7: the token, its session and the proof that the caller holds the key.
  Task<Result<Grant, Fault>> check_resource(ResourceRequest request);
  std::string current_nonce() const { return nonces_.current(clock_.now()); }

  /// Deletes what has expired. Run it now and then.
  Task<void> clean();

  const std::string& issuer() const { return options_.issuer; }

 private:
  struct Caller {  // who asks at a machine-facing endpoint
    std::shared_ptr<const Client> client;
    ClientBinding auth;
    std::string ip = {};
  };

  Task<web::Response> par(web::Request request);
  Task<web::Response> token(web::Request request);
  Task<web::Response> revoke(web::Request request);
  Task<web::Response> introspect(web::Request request);
  json::Object metadata() const;
  json::Object resource_metadata() const;

  Task<Result<json::Object, Fault>> pushed(web::Request request);
  Task<Result<json::Object, Fault>> exchange(web::Request request);
  Task<Result<json::Object, Fault>> exchange_code(FormFields form, Caller caller, DpopProof proof);
  Task<Result<json::Object, Fault>> exchange_refresh(FormFields form, Caller caller, DpopProof proof);
  Task<Result<void, Fault>> revoke_token(web::Request request);
  Task<Result<json::Object, Fault>> introspected(web::Request request);
  /// A session ends with the key of the client it began with.
  Task<void> end_if_key_is_gone(Session session);
  Task<void> look_for_lost_key(FormFields form);

  /// Form or JSON; every parameter once (RFC 6749 §3.2).
  static Result<FormFields, Fault> parameters(const web::Request& request);
  /// RFC 9449 §4.3 with our nonce and replay rules.
  Task<Result<DpopProof, Fault>> check_proof(std::vector<std::string> proofs, std::string method,
                                             std::string uri, std::optional<std::string> access_token,
                                             Time now);
  /// client_id and, for confidential clients, the assertion (RFC 7523 §3).
  Task<Result<Caller, Fault>> authenticate(FormFields form);
  Task<json::Object> token_response(Session session, ScopeSet scope, bool with_refresh, Time now);
  web::Response render(Result<json::Object, Fault> outcome, int ok_status, std::string_view request_id) const;

  ServerOptions options_;
  store::Database& db_;
  const Clock& clock_;
  Rng& rng_;
  Clients clients_;
  PermissionSets permission_sets_;
  KeyCache keys_;
  Nonces nonces_;
  std::unique_ptr<Replay> proofs_seen_, assertions_seen_;
  RequestQuota quota_;
  RefreshTokens refresh_tokens_;
  AccessTokens access_tokens_;
};

}  // namespace latchkey::oauth
