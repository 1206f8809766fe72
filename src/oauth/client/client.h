#pragma once
// The atproto OAuth client: from "alice.test" to a session that signs XRPC requests.
// Source: https://atproto.com/specs/oauth; RFC 6749, 7636 (PKCE), 9126 (PAR), 9207 (iss), 9449 (DPoP), 7523
// (private_key_jwt), 7009 (revocation). More, with whole programs: docs/oauth-client.md.
//
// Sign-in takes two requests of the user's browser, perhaps answered by two processes:
//
//   web::GuardedClient fetch({});               // the network; private addresses and redirects are refused
//   web::DnsResolver dns;                       // TXT records, for handles
//   SystemClock clock;
//   OsRng rng;
//   identity::Resolver resolver({}, fetch, &dns, clock);
//   MemoryStateStore states;                    // or the stores of database_stores.h
//   MemorySessionStore sessions;
//   OauthClient client(
//       {.metadata = *ClientMetadata::loopback({"http://127.0.0.1:8080/callback"}, "atproto")},
//       {fetch, resolver, clock, rng, states, sessions});
//
//   // 1. "Sign in" was pressed. Send the browser to started.url.
//   CO_TRY(const auto started, co_await client.authorize("alice.test", {.browser = cookie}));
//   // 2. It came back to the redirect URI. Keep signed_in.session.id() for this user.
//   CO_TRY(auto signed_in, co_await client.callback(query_fields, cookie));
//
//   // From then on, in any process that has the same stores and metadata:
//   CO_TRY(auto session, co_await client.restore(session_id));
//   CO_TRY(const auto answer, co_await session.call("GET", "com.atproto.repo.getRecord", {.params = …}));
//
// What to keep in mind:
// - Give `browser` something that only this browser holds, such as a random cookie. Without it a callback
//   planted in somebody's browser signs him in as somebody else.
// - The account is session.did(). Handles change hands; show them, never look anybody up by them.
// - A user may have several accounts: keep several session ids. Sessions do not know each other.
// - Error::session_ended is final: the session is gone from the store, forget its id. After any other fault
// it
//   is still there and may work later.
// - Tasks run on the executor they are awaited on. Waiting for another process's refresh needs one
//   (base/executor.h; run() brings its own).

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "atproto/identity/resolver.h"
#include "base/fetch.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/time.h"
#include "base/url.h"
#include "oauth/client/metadata.h"
#include "oauth/client/server_metadata.h"
#include "oauth/client/stores.h"

namespace latchkey::oauth::client {

enum class Error {
  invalid_input,         // neither handle, DID nor server URL; an e-mail address among them
  unknown_account,       // the handle or DID does not resolve
  invalid_server,        // the server's metadata breaks the profile, or the account has no usable PDS
  unreachable,           // network failure, 5xx, an answer that is not what it should be, a stopped transfer
  request_refused,       // the authorization server refused PAR; oauth_error says why
  invalid_callback,      // parameters missing or doubled
  unknown_state,         // never issued here, used already, expired, or started in another browser
  issuer_mismatch,       // RFC 9207 §2.4
  access_denied,         // the user or the server said no; oauth_error says which
  grant_refused,         // the token endpoint refused the code, or (oauth_error invalid_client) our key
  invalid_token_answer,  // missing sub, scope without atproto, token type other than DPoP
  subject_mismatch,      // `sub` is not the account the flow began with, or its PDS trusts another issuer
  session_ended,         // revoked, expired for good, its client key removed, or not in the store
};

struct Fault {
  Error code;
  std::string message;                           // may be shown to the user
  std::string detail;                            // logs only; no tokens
  std::string oauth_error;                       // "access_denied", "invalid_grant", … when a server sent one
  std::string app_state;                         // on callback faults after the state was recognised
  std::optional<FetchError::Kind> network = {};  // of Error::unreachable, when no answer came at all
};

struct AuthorizeOptions {
  std::string redirect_uri;  // of the metadata, a loopback one with any port; "" means the first
  std::string scope;         // "" means the metadata's; otherwise some of it, atproto included
  std::string prompt;        // "", "login", "consent", "select_account", "create", "none"
  /// Returned by callback(). Not sent anywhere: the `state` parameter is random.
  std::string app_state;
  /// Something only this browser holds (the value of a cookie). callback() wants the same.
  std::string browser;
  /// Put on the authorize URL only, never into the pushed request: the place for an e-mail address.
  std::string login_hint;
};

struct AuthorizationStarted {
  std::string url;    // where to send the browser
  std::string state;  // the state parameter, for apps that track it
};

struct CallOptions {
  std::vector<std::pair<std::string, std::string>> params;  // query parameters
  std::optional<json::Value> json;                          // body as application/json
  std::string body;                                         // or a body of `content_type`
  std::string content_type;
  HeaderList headers;                // e.g. atproto-proxy
  std::size_t max_answer = 5 << 20;  // bytes; a longer answer is Error::unreachable, network too_large
  std::chrono::milliseconds timeout{15'000};

  // Bodies that are not kept in memory, e.g. FileSource and FileSink (base/file_body.h). `timeout` is then
  // the longest time in which nothing moves, `transfer_timeout` that for all of it.
  /// Instead of `body`. Read from its beginning for every attempt: servers may refuse the first one to hand
  /// out a nonce, or because the access token has just expired.
  std::shared_ptr<BodySource> source = {};
  /// Gets the body of an answer with a 2xx status; any other answer's body is in FetchResponse::body. When
  /// the call fails afterwards, what the sink holds is incomplete.
  std::shared_ptr<BodySink> sink = {};
  std::chrono::minutes transfer_timeout{30};
  std::stop_token stop = {};  // ends a request under way: Error::unreachable, network stopped
};

class OauthClient;

/// One signed-in account. A cheap handle: copies share what they know. Must not outlive its client.
class Session {
 public:
  const std::string& id() const { return id_; }
  const Did& did() const { return did_; }
  std::string issuer() const;
  std::string pds() const;
  std::string scope() const;
  std::optional<Time> expires_at() const;

  /// An XRPC request to the account's PDS (`method` GET or POST). Any HTTP status is a value; a Fault means
  /// that the session ended or the network failed. Expired tokens are refreshed, nonce demands answered.
  ///
  ///   session.call("POST", "com.atproto.repo.createRecord", {.json = json::Object{{"repo", …}, …}})
  ///   session.call("POST", "com.atproto.repo.uploadBlob",
  ///                {.content_type = "image/png", .source = FileSource::open("cat.png")})
  ///   session.call("GET", "com.atproto.sync.getRepo",
  ///                {.params = {{"did", session.did().str()}}, .max_answer = 1 << 30, .sink = file_sink})
  Task<Result<FetchResponse, Fault>> call(std::string method, std::string nsid, CallOptions options);
  /// A new access token now, or the one another thread or process has just got.
  Task<Result<void, Fault>> refresh();
  /// Forgets the session, then revokes it at the server as far as that can be reached.
  Task<void> sign_out();

 private:
  friend class OauthClient;
  struct State;
  Session(OauthClient* client, StoredSession stored);
  OauthClient* client_;
  std::string id_;
  Did did_;
  std::shared_ptr<State> state_;
};

struct SignedIn {
  Session session;
  std::optional<Handle> handle;  // verified in both directions
  std::string app_state;
};

struct ClientOptions {
  ClientMetadata metadata;
  PlainHttp plain_http = PlainHttp::refuse;  // `loopback` in development
  std::chrono::seconds state_lifetime{600};
  std::chrono::seconds metadata_ttl{300};
  std::chrono::seconds refresh_before{30};  // an access token this close to its end is refreshed first
  /// Of each request of the protocol. Keep it below the server's grace for a refresh token whose successor
  /// got lost (ours: 30 seconds): another process takes over from one that died after this and five seconds.
  std::chrono::milliseconds timeout{10'000};
};

/// All of them outlive the client.
struct ClientParts {
  Fetch& fetch;
  identity::Resolver& resolver;
  const Clock& clock;
  Rng& rng;
  StateStore& states;
  SessionStore& sessions;
};

/// Thread-safe. Several in several processes may share their stores.
class OauthClient {
 public:
  OauthClient(ClientOptions options, ClientParts parts);
  ~OauthClient();
  OauthClient(const OauthClient&) = delete;

  const ClientMetadata& metadata() const { return options_.metadata; }

  /// `input`: a handle, a DID, or the URL of a PDS or authorization server.
  Task<Result<AuthorizationStarted, Fault>> authorize(std::string input, AuthorizeOptions options);
  /// `params`: the query of the redirect URI. `browser`: as given to authorize().
  Task<Result<SignedIn, Fault>> callback(FormFields params, std::string browser);
  /// A session of an earlier sign-in, by its id; of the store alone, without asking the server.
  Task<Result<Session, Fault>> restore(std::string session_id);
  /// The ids of an account's sessions.
  Task<std::vector<std::string>> sessions_of(Did did);

 private:
  friend class Session;
  struct Impl;
  ClientOptions options_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::oauth::client
