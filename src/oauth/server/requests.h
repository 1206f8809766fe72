#pragma once
// Pushed authorization requests (RFC 9126), the codes they end in (RFC 6749 §4.1.2) and what people approved.
// Every statement on oauth_request, oauth_challenge, oauth_code and oauth_approval is in requests_sql.cpp.

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "store/database.h"

namespace latchkey::oauth {

inline constexpr std::string_view k_request_uri_prefix = "urn:ietf:params:oauth:request_uri:req-";
inline constexpr std::chrono::minutes k_request_lifetime{5};  // PAR's expires_in
inline constexpr std::chrono::minutes k_request_lifetime_active{
    10};  // from its creation, once a browser opened it
inline constexpr std::chrono::seconds k_code_lifetime{60};
inline constexpr std::chrono::hours k_challenge_memory{24};  // a code_challenge is accepted once in this time

/// The key a confidential client used; empty for public clients. Fixed from PAR to the end of the session.
struct ClientBinding {
  std::optional<std::string> kid = {}, jkt = {};
  bool operator==(const ClientBinding&) const = default;
};

struct AuthorizationRequest {
  std::string id = {};  // hash of the request_uri
  std::string client_id = {}, redirect_uri = {}, scope = {}, state = {}, code_challenge = {};
  std::string response_mode = "query";  // or "fragment", "form_post", "form_post"
  std::optional<std::string> login_hint = {}, prompt = {}, ui_locales = {};
  std::string dpop_jkt = {};
  ClientBinding auth = {};
  Time created_at = {}, expires_at = {};
  std::optional<std::string> browser = {};  // hash of the flow cookie of the browser that opened it
};

struct Code {
  std::string hash, client_id, redirect_uri, scope, did, code_challenge, dpop_jkt;
  ClientBinding auth;
  Time expires_at;
  std::optional<Time> spent_at;
  std::optional<std::string> session_id;  // what its first use made
  std::string ip = {}, device = {};       // of the browser in which it was approved; device "" when none
};

namespace requests {
/// The id under which a request_uri is stored; std::nullopt when it cannot be one of ours.
std::optional<std::string> id_of(std::string_view request_uri);
/// False when the code_challenge was used before.
bool insert(store::Tx&, const AuthorizationRequest&);
/// Only requests that are neither expired nor finished.
std::optional<AuthorizationRequest> find_open(store::Tx&, std::string_view id, Time now);
/// The first browser wins; the same one may come again. False for another browser, or when it is gone.
bool bind_browser(store::Tx&, std::string_view id, std::string_view browser, Time now);
/// True for the one caller that ends the request; nothing of it stays but its code_challenge.
bool finish(store::Tx&, std::string_view id, Time now);
/// How many were pushed in the last k_request_lifetime_active: never fewer than are stored.
std::int64_t recent(store::Tx&, Time now);
/// Forgets what expired, and challenges older than their memory.
void clean(store::Tx&, Time now);
}  // namespace requests

/// Anybody may push requests, and each is kept for minutes: this bounds how many there are. Thread-safe.
class RequestQuota {
 public:
  RequestQuota(store::Database& db, std::int64_t max) : db_(db), max_(max) {}
  /// False when there are too many to take another. Counts anew every few seconds, and in between what this
  /// process adds; other nodes may add to it as much again.
  Task<bool> take(Time now);

 private:
  store::Database& db_;
  std::int64_t max_;
  std::mutex mutex_;
  std::int64_t count_ = 0;
  std::optional<Time> counted_at_;
};

namespace codes {
std::string hash_of(std::string_view code);
void insert(store::Tx&, const Code&);
std::optional<Code> find(store::Tx&, std::string_view hash);
/// Single use (RFC 6749 §4.1.2): of two racing requests one wins. The row stays, so that a replay is
/// recognised and what the first use issued can be revoked.
bool spend(store::Tx&, std::string_view hash, std::string_view session_id, Time now);
std::int64_t clean(store::Tx&, Time now);
}  // namespace codes

namespace approvals {
/// Everything this account approved for this client so far, "" when nothing.
std::string find(store::Tx&, std::string_view did, std::string_view client_id);
void remember(store::Tx&, std::string_view did, std::string_view client_id, std::string_view scope, Time now);
void forget(store::Tx&, std::string_view did, std::string_view client_id);
void forget_all(store::Tx&, std::string_view did);
}  // namespace approvals

}  // namespace latchkey::oauth
