#pragma once
// For tests of the authorization server: one with a database of its own, and the parties around it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "oauth/jose/client_assertion.h"
#include "oauth/jose/jwt.h"
#include "oauth/pkce/pkce.h"
#include "oauth/server/permission_sets.h"
#include "oauth/server/schema.h"
#include "oauth/server/server.h"
#include "store/testing.h"

namespace latchkey::oauth::testing {

inline constexpr const char* k_issuer = "https://pds.test";
inline constexpr const char* k_loopback =
    "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback&scope=atproto%20transition%3Ageneric";
inline constexpr const char* k_confidential = "https://app.example/client-metadata.json";
inline constexpr const char* k_public = "https://browser.example/client.json";
inline constexpr const char* k_did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
inline constexpr const char* k_other_did = "did:plc:z72i7hdynmk6r22z27h6tvur";
inline constexpr const char* k_ip = "192.0.2.7";

/// Serves documents by URL and counts. Answers wait while the gate is shut.
class FakeFetch final : public Fetch {
 public:
  std::map<std::string, FetchResponse> documents;
  std::vector<FetchRequest> asked;
  std::optional<Completion<bool>> gate;
  std::optional<FetchError> trouble;
  int count = 0;
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    ++count;
    asked.push_back(request);
    if (gate) co_await *gate;
    if (trouble) co_return fail(*trouble);
    const auto at = documents.find(request.url);
    if (at == documents.end()) co_return fail(FetchError{FetchError::Kind::unreachable, "no such host"});
    co_return at->second;
  }
};

inline json::Value set_lexicon(std::string nsid, std::string collection) {
  return json::Object{
      {"lexicon", 1},
      {"id", std::move(nsid)},
      {"defs",
       json::Object{{"main", json::Object{{"type", "permission-set"},
                                          {"permissions", json::Array{json::Object{
                                                              {"type", "permission"},
                                                              {"resource", "repo"},
                                                              {"collection", json::Array{collection}}}}}}}}}};
}

/// Knows the lexicons a test publishes.
class FakeLexicons final : public lexicon::Resolver {
 public:
  std::map<std::string, json::Value> known;
  Task<Result<lexicon::Resolved, lexicon::LexiconError>> resolve(Nsid nsid) override {
    const auto at = known.find(nsid.str());
    if (at == known.end())
      co_return fail(lexicon::LexiconError{lexicon::Error::not_found, "nobody knows it"});
    co_return lexicon::Resolved{nsid, *Did::parse(k_did), Cid::of_dag_cbor(as_bytes(at->second.dump())),
                                "at://x", at->second};
  }
};

class ServerTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
    restart();
  }
  ServerOptions options() {
    return {.issuer = k_issuer,
            .authorization_endpoint = "https://auth.pds.test/oauth/authorize",
            .secret = Secret<Bytes>(Bytes(32, 9)),
            .standing = [this](store::Tx&, const std::string& did) { return standing_of(did); },
            .lexicons = &lexicons_,
            .trusted_clients = trusted_,
            .max_requests = max_requests_};
  }
  void restart() {
    server_ = std::make_unique<Server>(options(), **db_, fetch_, clock_, rng_);
    router_ = std::make_unique<web::Router>();
    server_->add_routes(*router_);
  }

  // --- Accounts ---
  Standing standing_of(const std::string& did) {
    std::lock_guard lock(standings_mutex_);
    const auto at = standings_.find(did);
    return at == standings_.end() ? Standing::active : at->second;
  }
  void becomes(Standing standing) {
    std::lock_guard lock(standings_mutex_);
    standings_[k_did] = standing;
  }

  // --- HTTP ---
  web::Response send(web::Request request) { return run(router_->handle(std::move(request))); }
  web::Response post(std::string path, FormFields form, std::string proof) {
    web::Headers headers{{"content-type", "application/x-www-form-urlencoded"}};
    if (!proof.empty()) headers.add("DPoP", std::move(proof));
    auto request = web::Request::make("POST", k_issuer + path, encode_form(form), std::move(headers));
    request.remote_ip = ip_;
    return send(std::move(request));
  }
  web::Response post(std::string path, FormFields form) {
    const std::string p = proof(path, key_);
    return post(std::move(path), std::move(form), p);
  }
  std::string proof(std::string path, const crypto::PrivateKey& key, std::optional<std::string> token = {}) {
    return make_dpop_proof(key, path.starts_with("/xrpc/") ? "GET" : "POST", k_issuer + path,
                           server_->current_nonce(), token, rng_, clock_.now());
  }
  static json::Value body(const web::Response& r) { return *json::parse(r.body); }
  static std::string error(const web::Response& r) {
    const auto b = json::parse(r.body);
    const std::string* e = b ? b->string_at("error") : nullptr;
    return e ? *e : "";
  }
  static std::string text(const json::Value& v, std::string_view member) {
    const std::string* s = v.string_at(member);
    return s ? *s : "";
  }

  // --- What a client sends ---
  static std::string callback_of(const std::string& client_id) {
    if (client_id == k_confidential) return "https://app.example/callback";
    if (client_id == k_public) return "https://browser.example/callback";
    return "http://127.0.0.1:4321/callback";
  }
  // A new verifier each time: a challenge is accepted once.
  FormFields par_form(std::string client_id = k_loopback) {
    verifier_ = make_pkce_verifier(rng_);
    return {{"client_id", client_id},
            {"response_type", "code"},
            {"redirect_uri", callback_of(client_id)},
            {"scope", "atproto transition:generic"},
            {"state", "the state"},
            {"code_challenge", pkce_challenge(verifier_)},
            {"code_challenge_method", "S256"}};
  }
  FormFields code_form(std::string code, std::string client_id = k_loopback) {
    return {{"grant_type", "authorization_code"},
            {"code", std::move(code)},
            {"redirect_uri", callback_of(client_id)},
            {"client_id", client_id},
            {"code_verifier", verifier_}};
  }
  FormFields refresh_form(const json::Value& tokens, std::string client_id = k_loopback) {
    return {{"grant_type", "refresh_token"},
            {"refresh_token", text(tokens, "refresh_token")},
            {"client_id", std::move(client_id)}};
  }
  static FormFields with(FormFields form, std::string name, std::string value) {
    std::erase_if(form, [&](const auto& f) { return f.first == name; });
    form.emplace_back(std::move(name), std::move(value));
    return form;
  }
  static FormFields without(FormFields form, std::string name) {
    std::erase_if(form, [&](const auto& f) { return f.first == name; });
    return form;
  }
  FormFields asserted(FormFields form, const crypto::PrivateKey& key, std::string kid = "k1",
                      std::string aud = k_issuer) {
    form = with(std::move(form), "client_assertion_type", std::string(k_client_assertion_type));
    return with(std::move(form), "client_assertion",
                make_client_assertion(key, kid, k_confidential, aud, rng_, clock_.now()));
  }

  // --- Steps of a sign-in ---
  std::string pushed(FormFields form) {
    const auto response = post("/oauth/par", std::move(form));
    EXPECT_EQ(response.status, 201) << response.body;
    return text(body(response), "request_uri");
  }
  OpenRequest opened(std::string request_uri, std::string client_id = k_loopback) {
    auto open = run(server_->open(std::move(request_uri), std::move(client_id), "browser-a"));
    EXPECT_TRUE(open.has_value());
    return *open;
  }
  static Approval all_of(const OpenRequest& open) {
    return {.did = k_did, .scope = *ScopeSet::parse(open.request.scope), .ip = k_ip};
  }
  // The code from a request that a signed-in person approved.
  std::string code_for(std::string request_uri, std::string client_id = k_loopback) {
    const auto open = opened(std::move(request_uri), std::move(client_id));
    auto response = run(server_->approve(open, all_of(open)));
    EXPECT_TRUE(response.has_value());
    return parameter(*response, "code");
  }
  static std::string parameter(const AuthorizationResponse& response, std::string_view name) {
    return single(response.parameters, name).value_or("");
  }
  json::Value signed_in() {
    const auto response = post("/oauth/token", code_form(code_for(pushed(par_form()))));
    EXPECT_EQ(response.status, 200) << response.body;
    return body(response);
  }
  json::Value signed_in_with(const crypto::PrivateKey& client_key, std::string kid = "k1") {
    const std::string code =
        code_for(pushed(asserted(par_form(k_confidential), client_key, kid)), k_confidential);
    const auto response = post("/oauth/token", asserted(code_form(code, k_confidential), client_key, kid));
    EXPECT_EQ(response.status, 200) << response.body;
    return body(response);
  }
  web::Response refreshed_with(const json::Value& tokens, const crypto::PrivateKey& client_key,
                               std::string kid = "k1") {
    return post("/oauth/token", asserted(refresh_form(tokens, k_confidential), client_key, kid));
  }
  Result<Server::Grant, Fault> resource(const std::string& token, const crypto::PrivateKey& key) {
    return run(server_->check_resource(
        {"GET", std::string(k_issuer) + "/xrpc/x.y.z", token, {proof("/xrpc/x.y.z", key, token)}}));
  }
  bool lives(const json::Value& tokens) { return resource(text(tokens, "access_token"), key_).has_value(); }

  // --- Clients with a document where the server will look ---
  static json::Object jwk(const crypto::PrivateKey& key, std::string kid) {
    return Jwk{key.public_key(), std::move(kid), "ES256", "sig"}.to_json();
  }
  static json::Object document_of(std::string client_id, std::string scope = "atproto transition:generic") {
    return {{"client_id", client_id},
            {"grant_types", json::Array{"authorization_code", "refresh_token"}},
            {"response_types", json::Array{"code"}},
            {"scope", scope},
            {"redirect_uris", json::Array{callback_of(client_id)}},
            {"dpop_bound_access_tokens", true},
            {"token_endpoint_auth_method", "none"}};
  }
  static json::Object confidential_document(json::Array keys) {
    auto doc = document_of(k_confidential);
    doc.set("token_endpoint_auth_method", "private_key_jwt");
    doc.set("token_endpoint_auth_signing_alg", "ES256");
    doc.set("jwks", json::Object{{"keys", std::move(keys)}});
    return doc;
  }
  void serve(std::string url, json::Object document) {
    fetch_.documents[url] = {
        200, {{"content-type", "application/json"}}, json::Value(std::move(document)).dump()};
  }
  void serve_confidential_client(const crypto::PrivateKey& key, std::string kid = "k1") {
    serve(k_confidential, confidential_document({jwk(key, std::move(kid))}));
  }

  FakeClock clock_;
  SeededRng rng_;
  FakeFetch fetch_;
  FakeLexicons lexicons_;
  crypto::PrivateKey key_ = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  crypto::PrivateKey other_key_ = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  crypto::PrivateKey client_key_ = crypto::PrivateKey::generate(crypto::Curve::p256, rng_);
  std::set<std::string> trusted_;
  std::int64_t max_requests_ = 20'000;
  std::string ip_ = k_ip;
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<web::Router> router_;
  std::string verifier_;

 private:
  std::mutex standings_mutex_;
  std::map<std::string, Standing> standings_;
};

}  // namespace latchkey::oauth::testing
