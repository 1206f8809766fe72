#pragma once
// For tests of what signs in: a network in memory with a PDS and its authorization server. Demands nonces,
// checks proofs, PKCE and assertions; every answer can be bent.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fetch.h"
#include "base/json.h"
#include "base/time.h"
#include "base/url.h"
#include "oauth/dpop/dpop.h"
#include "oauth/jose/client_assertion.h"
#include "oauth/pkce/pkce.h"

namespace latchkey::oauth::client::testing {

inline std::string header_of(const FetchRequest& r, std::string_view name) {
  for (const auto& [key, value] : r.headers)
    if (key == name) return value;
  return {};
}
inline FetchResponse json_answer(int status, json::Object body, HeaderList headers = {}) {
  headers.emplace_back("content-type", "application/json");
  return {status, std::move(headers), json::Value(std::move(body)).dump()};
}

/// The network: pages by URL, and every request that was made.
struct Network final : Fetch {
  using Page = std::function<FetchResponse(const FetchRequest&)>;
  std::map<std::string, Page> pages;
  std::vector<FetchRequest> requests;
  std::map<std::string, Completion<bool>> held;    // an answer waits until the test lets it go
  std::map<std::string, int> lost;                 // so many answers of this URL get lost on the way
  std::map<std::string, FetchError::Kind> broken;  // these URLs give no answer
  bool streaming = false;                          // sources and sinks are served

  bool streams() const override { return streaming; }
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    if (streaming && request.source && !read_source(request)) co_return stopped();
    requests.push_back(request);
    const std::string url = request.url.substr(0, request.url.find('?'));
    if (const auto b = broken.find(url); b != broken.end()) co_return fail(FetchError{b->second, "broken"});
    const auto page = pages.find(url);
    FetchResponse answer = page == pages.end() ? FetchResponse{404, {}, ""} : page->second(request);
    if (const auto h = held.find(url); h != held.end()) co_await h->second;
    if (auto& n = lost[url]; n > 0) {
      --n;
      co_return fail(FetchError{FetchError::Kind::timeout, "lost"});
    }
    if (answer.body.size() > request.max_body)
      co_return fail(FetchError{FetchError::Kind::too_large, "body over the limit"});
    if (streaming && request.sink && !pass_to_sink(*request.sink, answer)) co_return stopped();
    co_return answer;
  }
  static std::unexpected<FetchError> stopped() {
    return fail(FetchError{FetchError::Kind::stopped, "source or sink said no"});
  }
  /// An account in the directory at https://plc.test, with a handle that points back.
  void account(const std::string& did, const std::string& handle, const std::string& pds) {
    pages["https://plc.test/" + did] = [=](const FetchRequest&) {
      return json_answer(200, {{"id", did},
                               {"alsoKnownAs", json::Array{"at://" + handle}},
                               {"service", json::Array{json::Object{{"id", "#atproto_pds"},
                                                                    {"type", "AtprotoPersonalDataServer"},
                                                                    {"serviceEndpoint", pds}}}}});
    };
    pages["https://" + handle + "/.well-known/atproto-did"] = [=](const FetchRequest&) {
      return FetchResponse{200, {{"content-type", "text/plain"}}, did};
    };
  }
  std::vector<const FetchRequest*> to(std::string_view url) const {
    std::vector<const FetchRequest*> found;
    for (const auto& r : requests)
      if (r.url == url) found.push_back(&r);
    return found;
  }
};

/// A PDS with its authorization server. Nonces are demanded everywhere.
struct Server {
  Network& net;
  const Clock& clock;
  std::string issuer, pds;
  std::string nonce = "nonce-1";
  std::string sub = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
  std::string granted_scope = "atproto transition:generic";
  json::Object token_extra;          // overrides members of the token answer
  std::vector<std::string> without;  // members left out of it
  std::optional<FetchResponse> par_answer, token_answer;
  int issued = 0;
  std::vector<std::string> live_access;  // access tokens that are good now
  std::string live_refresh, spent_refresh;
  bool grace = false;  // the answer to a refresh is given again to whoever brings the token just spent
  std::optional<FetchResponse> last_refresh;
  int replays = 0;  // of spent refresh tokens, outside of the grace
  std::vector<std::string> revoked;
  std::string jkt;                                       // the flow's DPoP key, from PAR on
  std::map<std::string, crypto::PublicKey> client_keys;  // by kid; demanded of confidential clients
  std::string bound_kid;                                 // of the flow, from PAR on
  std::vector<std::string> assertion_ids;

  Server(Network& n, const Clock& c, std::string as, std::string rs)
      : net(n), clock(c), issuer(std::move(as)), pds(std::move(rs)) {
    net.pages[pds + "/.well-known/oauth-protected-resource"] = [this](const FetchRequest&) {
      return json_answer(200, {{"resource", pds}, {"authorization_servers", json::Array{issuer}}});
    };
    net.pages[issuer + "/.well-known/oauth-authorization-server"] = [this](const FetchRequest&) {
      return json_answer(200, metadata());
    };
    net.pages[issuer + "/oauth/par"] = [this](const FetchRequest& r) { return par(r); };
    net.pages[issuer + "/oauth/token"] = [this](const FetchRequest& r) { return token(r); };
    net.pages[issuer + "/oauth/revoke"] = [this](const FetchRequest& r) { return revoke(r); };
    net.pages[pds + "/xrpc/com.example.echo"] = [this](const FetchRequest& r) { return echo(r); };
    net.pages[pds + "/xrpc/com.example.bytes"] = [this](const FetchRequest& r) { return bytes(r); };
  }

  json::Object metadata() const {
    return {{"issuer", issuer},
            {"authorization_endpoint", issuer + "/oauth/authorize"},
            {"token_endpoint", issuer + "/oauth/token"},
            {"pushed_authorization_request_endpoint", issuer + "/oauth/par"},
            {"revocation_endpoint", issuer + "/oauth/revoke"},
            {"response_types_supported", json::Array{"code"}},
            {"grant_types_supported", json::Array{"authorization_code", "refresh_token"}},
            {"code_challenge_methods_supported", json::Array{"S256"}},
            {"token_endpoint_auth_methods_supported", json::Array{"none", "private_key_jwt"}},
            {"token_endpoint_auth_signing_alg_values_supported", json::Array{"ES256"}},
            {"scopes_supported", json::Array{"atproto"}},
            {"dpop_signing_alg_values_supported", json::Array{"ES256"}},
            {"authorization_response_iss_parameter_supported", true},
            {"require_pushed_authorization_requests", true},
            {"client_id_metadata_document_supported", true}};
  }

  /// std::nullopt when the proof is good.
  std::optional<FetchResponse> bad_proof(const FetchRequest& r, std::optional<std::string> access = {}) {
    const auto proof = check_dpop_proof({header_of(r, "DPoP"), r.method, r.url, access}, {}, clock.now());
    const bool resource = access.has_value();
    const auto answer = [&](const std::string& error) {
      if (!resource) return json_answer(400, {{"error", error}}, {{"dpop-nonce", nonce}});
      return json_answer(401, {{"error", error}},
                         {{"dpop-nonce", nonce}, {"www-authenticate", "DPoP error=\"" + error + "\""}});
    };
    if (!proof) return answer("invalid_dpop_proof");
    if (proof->nonce != nonce) return answer("use_dpop_nonce");
    if (!jkt.empty() && proof->jkt != jkt) return answer("invalid_dpop_proof");
    jkt = proof->jkt;
    return std::nullopt;
  }
  std::optional<FetchResponse> bad_client(const FormFields& form) {
    if (client_keys.empty()) return std::nullopt;
    const auto bad = json_answer(401, {{"error", "invalid_client"}}, {{"dpop-nonce", nonce}});
    const auto assertion = single(form, "client_assertion");
    if (!assertion || single(form, "client_assertion_type") != k_client_assertion_type) return bad;
    Jwks keys;
    for (const auto& [kid, key] : client_keys)
      keys.keys.push_back(Jwk{.key = key, .kid = kid, .alg = "ES256", .use = "sig"});
    const auto checked =
        check_client_assertion(*assertion, *single(form, "client_id"), issuer, keys, {}, clock.now());
    if (!checked || (!bound_kid.empty() && checked->kid != bound_kid)) return bad;
    bound_kid = checked->kid;
    if (std::ranges::find(assertion_ids, checked->jti) != assertion_ids.end()) return bad;
    assertion_ids.push_back(checked->jti);
    return std::nullopt;
  }

  std::string challenge, code;
  FetchResponse par(const FetchRequest& r) {
    const auto form = *parse_form(r.body);
    jkt.clear();  // each flow brings its own keys
    bound_kid.clear();
    if (auto bad = bad_client(form)) return *bad;
    if (auto bad = bad_proof(r)) return *bad;
    if (par_answer) return *par_answer;
    challenge = *single(form, "code_challenge");
    code = "code-1";
    return json_answer(201, {{"request_uri", "urn:ietf:params:oauth:request_uri:req-1"}, {"expires_in", 300}},
                       {{"dpop-nonce", nonce}});
  }
  FetchResponse token(const FetchRequest& r) {
    const auto form = *parse_form(r.body);
    if (auto bad = bad_client(form)) return *bad;
    if (auto bad = bad_proof(r)) return *bad;
    if (token_answer) return *token_answer;
    const auto refused = json_answer(400, {{"error", "invalid_grant"}}, {{"dpop-nonce", nonce}});
    if (single(form, "grant_type") == "authorization_code") {
      if (single(form, "code") != code || !pkce_matches(*single(form, "code_verifier"), challenge))
        return refused;
      code.clear();
    } else if (single(form, "refresh_token") != live_refresh) {
      const bool spent = single(form, "refresh_token") == spent_refresh;
      if (spent && grace && last_refresh) return *last_refresh;
      replays += spent;
      return refused;
    }
    ++issued;
    spent_refresh = live_refresh;
    live_access = {"access-" + std::to_string(issued)};
    live_refresh = "refresh-" + std::to_string(issued);
    json::Object body{{"access_token", live_access.front()},
                      {"refresh_token", live_refresh},
                      {"token_type", "DPoP"},
                      {"expires_in", 900},
                      {"scope", granted_scope},
                      {"sub", sub}};
    for (const auto& m : token_extra) body.set(m.key, m.value);
    for (const auto& name : without) body.erase(name);
    last_refresh = json_answer(200, std::move(body), {{"dpop-nonce", nonce}});
    return *last_refresh;
  }
  FetchResponse revoke(const FetchRequest& r) {
    const auto flow = jkt;
    jkt.clear();  // an earlier session, with its own key, may be given back
    const auto bad = bad_proof(r);
    jkt = flow;
    if (bad) return *bad;
    revoked.push_back(*single(*parse_form(r.body), "token"));
    return json_answer(200, {}, {{"dpop-nonce", nonce}});
  }
  /// std::nullopt when the request may be answered.
  std::optional<FetchResponse> bad_access(const FetchRequest& r) {
    const std::string authorization = header_of(r, "Authorization");
    if (!authorization.starts_with("DPoP ")) return json_answer(401, {{"error", "AuthMissing"}});
    const std::string access = authorization.substr(5);
    if (auto bad = bad_proof(r, access)) return bad;
    if (std::ranges::find(live_access, access) == live_access.end())
      return json_answer(401, {{"error", "invalid_token"}},
                         {{"dpop-nonce", nonce}, {"www-authenticate", "DPoP error=\"invalid_token\""}});
    return std::nullopt;
  }
  std::string download;  // what com.example.bytes answers
  FetchResponse bytes(const FetchRequest& r) {
    if (auto bad = bad_access(r)) return *bad;
    return {200, {{"content-type", "application/vnd.ipld.car"}, {"dpop-nonce", nonce}}, download};
  }
  FetchResponse echo(const FetchRequest& r) {
    if (auto bad = bad_access(r)) return *bad;
    return json_answer(200, {{"url", r.url}, {"body", r.body}, {"type", header_of(r, "Content-Type")}},
                       {{"dpop-nonce", nonce}});
  }
};

}  // namespace latchkey::oauth::client::testing
