#pragma once
// For tests of what signs in elsewhere: a network in memory, an OpenID provider, GitHub, and the plain OAuth
// provider of the recorded transcripts. Every answer can be bent.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/fetch.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/time.h"
#include "base/url.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "oauth/jose/jwk.h"
#include "oauth/jose/jwt.h"
#include "oauth/pkce/pkce.h"

namespace latchkey::auth::testing {

inline std::string header_of(const FetchRequest& r, std::string_view name) {
  for (const auto& [key, value] : r.headers)
    if (key == name) return value;
  return {};
}
inline FetchResponse json_answer(int status, json::Value body) {
  return {status, {{"content-type", "application/json"}}, body.dump()};
}
/// A field of a URL's query or of a form; "" when absent.
inline std::string field(std::string_view form, std::string_view name) {
  return single(parse_form(form).value_or(FormFields{}), name).value_or("");
}
inline std::string query_field(std::string_view url, std::string_view name) {
  return field(url.substr(std::min(url.find('?'), url.size() - 1) + 1), name);
}

/// The network: pages by URL without query, and every request that was made.
struct Network final : Fetch {
  using Page = std::function<FetchResponse(const FetchRequest&)>;
  std::map<std::string, Page> pages;
  std::vector<FetchRequest> requests;
  std::map<std::string, FetchError::Kind> broken;  // what becomes of requests to this URL
  std::map<std::string, Completion<bool>> held;    // an answer waits until the test lets it go

  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    requests.push_back(request);
    const std::string url = request.url.substr(0, request.url.find('?'));
    if (const auto h = held.find(url); h != held.end()) co_await h->second;
    if (const auto b = broken.find(url); b != broken.end()) co_return fail(FetchError{b->second, "broken"});
    const auto page = pages.find(url);
    if (page == pages.end()) co_return FetchResponse{404, {}, "not here"};
    co_return page->second(request);
  }
  int count(std::string_view url) const {
    int n = 0;
    for (const auto& r : requests) n += r.url.substr(0, r.url.find('?')) == url;
    return n;
  }
};

/// An OpenID provider with one person at a time. It checks client, code, redirect_uri and PKCE.
struct OpenIdProvider {
  Network& net;
  const Clock& clock;
  std::string issuer;
  std::string client_id = "client-1", client_secret = "s3cret/+ &";
  std::map<std::string, crypto::PrivateKey> keys;  // published, by kid
  std::string signing_kid = "k1";
  json::Object metadata_changes, claims_changes, userinfo, token_changes;  // null takes a member out
  json::Object header_changes;
  std::optional<std::string> id_token;  // instead of the right one

  OpenIdProvider(Network& n, const Clock& c, std::string url) : net(n), clock(c), issuer(std::move(url)) {
    add_key("k1", 1);
    userinfo = {{"sub", "alice"}, {"email", "alice@example.com"}, {"email_verified", true}};
    net.pages[issuer + "/.well-known/openid-configuration"] = [this](const FetchRequest&) {
      return json_answer(200, metadata());
    };
    net.pages[issuer + "/keys"] = [this](const FetchRequest&) { return json_answer(200, jwks()); };
    net.pages[issuer + "/token"] = [this](const FetchRequest& r) { return token(r); };
    net.pages[issuer + "/userinfo"] = [this](const FetchRequest& r) {
      if (header_of(r, "Authorization") != "Bearer access-1") return json_answer(401, json::Object{});
      return json_answer(200, userinfo);
    };
  }

  void add_key(const std::string& kid, std::uint64_t seed) {
    SeededRng rng(seed);
    keys.insert_or_assign(kid, crypto::PrivateKey::generate(crypto::Curve::p256, rng));
  }
  static json::Object changed(json::Object o, const json::Object& changes) {
    for (const auto& m : changes) {
      if (m.value.is_null())
        o.erase(m.key);
      else
        o.set(m.key, m.value);
    }
    return o;
  }
  json::Object metadata() const {
    return changed({{"issuer", issuer},
                    {"authorization_endpoint", issuer + "/authorize"},
                    {"token_endpoint", issuer + "/token"},
                    {"userinfo_endpoint", issuer + "/userinfo"},
                    {"jwks_uri", issuer + "/keys"},
                    {"response_types_supported", json::Array{"code"}},
                    {"subject_types_supported", json::Array{"public"}},
                    {"id_token_signing_alg_values_supported", json::Array{"RS256", "ES256"}}},
                   metadata_changes);
  }
  json::Object jwks() const {
    json::Array list;
    for (const auto& [kid, key] : keys)
      list.push_back(oauth::Jwk{key.public_key(), kid, "ES256", "sig"}.to_json());
    return {{"keys", std::move(list)}};
  }

  std::string code, challenge, nonce, redirect_uri;
  /// The person says yes on the page behind this URL; gives the code.
  std::string authorize(const std::string& url) {
    challenge = query_field(url, "code_challenge");
    nonce = query_field(url, "nonce");
    redirect_uri = query_field(url, "redirect_uri");
    return code = "code-1";
  }
  std::string make_id_token(std::string_view access_token = "access-1") const {
    const std::int64_t now = unix_seconds(clock.now());
    const auto hash = crypto_hash(access_token);
    const json::Object claims = changed({{"iss", issuer},
                                         {"sub", "alice"},
                                         {"aud", client_id},
                                         {"exp", now + 300},
                                         {"iat", now},
                                         {"nonce", nonce},
                                         {"at_hash", hash},
                                         {"email", "Alice@Example.com"},
                                         {"email_verified", true},
                                         {"name", "Alice"},
                                         {"picture", "https://img.example.com/alice.png"}},
                                        claims_changes);
    return oauth::sign_jwt(changed({{"kid", signing_kid}}, header_changes), claims, keys.at(signing_kid));
  }
  static std::string crypto_hash(std::string_view access_token) {
    return base64url(BytesView(crypto::sha256(as_bytes(access_token))).first(16));
  }
  FetchResponse token(const FetchRequest& r) {
    const std::string basic =
        "Basic " + base64(as_bytes(percent_encode(client_id) + ":" + percent_encode(client_secret)));
    const bool post =
        field(r.body, "client_id") == client_id && field(r.body, "client_secret") == client_secret;
    if (header_of(r, "Authorization") != basic && !post)
      return json_answer(401, json::Object{{"error", "invalid_client"}});
    const json::Object refused{{"error", "invalid_grant"}};
    json::Object answer{{"access_token", "access-1"}, {"token_type", "Bearer"}, {"expires_in", 3600}};
    if (field(r.body, "grant_type") == "refresh_token") {
      if (field(r.body, "refresh_token") != "refresh-1") return json_answer(400, refused);
      answer.set("access_token", "access-2");
    } else {
      if (code.empty() || field(r.body, "code") != code || field(r.body, "redirect_uri") != redirect_uri ||
          !oauth::pkce_matches(field(r.body, "code_verifier"), challenge))
        return json_answer(400, refused);
      code.clear();
      answer.set("refresh_token", "refresh-1").set("id_token", id_token.value_or(make_id_token()));
    }
    return json_answer(200, changed(std::move(answer), token_changes));
  }
};

/// github.com, or an Enterprise Server elsewhere.
struct GithubServer {
  Network& net;
  json::Object user{{"id", 583231},
                    {"login", "octocat"},
                    {"name", "The Octocat"},
                    {"email", "shown@example.com"},
                    {"avatar_url", "https://avatars.githubusercontent.com/u/583231"}};
  json::Array emails{json::Object{{"email", "other@example.com"}, {"primary", false}, {"verified", true}},
                     json::Object{{"email", "Octocat@GitHub.com"}, {"primary", true}, {"verified", true}}};
  std::string challenge;

  explicit GithubServer(Network& n, const std::string& base = "https://github.com",
                        const std::string& api = "https://api.github.com")
      : net(n) {
    net.pages[base + "/login/oauth/access_token"] = [this](const FetchRequest& r) {
      if (field(r.body, "code") != "good" || field(r.body, "client_secret") != "gh-secret" ||
          !oauth::pkce_matches(field(r.body, "code_verifier"), challenge))
        return json_answer(200, json::Object{{"error", "bad_verification_code"}});  // yes, 200
      return json_answer(
          200, json::Object{
                   {"access_token", "gho_1"}, {"token_type", "bearer"}, {"scope", "read:user,user:email"}});
    };
    net.pages[api + "/user"] = [this](const FetchRequest& r) { return guarded(r, user); };
    net.pages[api + "/user/emails"] = [this](const FetchRequest& r) { return guarded(r, emails); };
  }
  static FetchResponse guarded(const FetchRequest& r, json::Value body) {
    if (header_of(r, "Authorization") != "Bearer gho_1")
      return json_answer(401, json::Object{{"message", "Bad credentials"}});
    return json_answer(200, std::move(body));
  }
};

/// The identity provider of the transcripts: a code is base64url of the claims it stands for.
struct ToyProvider {
  Network& net;
  std::string base;

  ToyProvider(Network& n, std::string url) : net(n), base(std::move(url)) {
    net.pages[base + "/token"] = [](const FetchRequest& r) {
      const bool refresh = field(r.body, "grant_type") == "refresh_token";
      const std::string code = refresh ? field(r.body, "refresh_token").substr(3) : field(r.body, "code");
      if (field(r.body, "client_id") != "acme-client" || field(r.body, "client_secret") != "acme-secret")
        return json_answer(401, json::Object{{"error", "invalid_client"}});
      if (code == "bad" || (!refresh && !oauth::is_valid_verifier(field(r.body, "code_verifier"))))
        return json_answer(400, json::Object{{"error", "invalid_grant"}});
      return json_answer(200, json::Object{{"access_token", "at." + code},
                                           {"refresh_token", "rt." + code},
                                           {"token_type", "bearer"},
                                           {"expires_in", 3600},
                                           {"scope", "openid email"}});
    };
    net.pages[base + "/userinfo"] = [](const FetchRequest& r) {
      const std::string token = header_of(r, "Authorization");
      const auto bytes = from_base64url(token.substr(std::min<std::size_t>(10, token.size())));
      auto claims = bytes ? json::parse(as_text(*bytes)) : json::parse("");
      if (!token.starts_with("Bearer at.") || !claims || !claims->object())
        return json_answer(401, json::Object{{"error", "invalid_token"}});
      if (const auto* sub = claims->find("sub")) claims->object()->set("id", json::Value(*sub));
      return json_answer(200, std::move(*claims));
    };
  }
  static std::string code_for(const json::Object& claims) {
    return base64url(as_bytes(json::Value(claims).dump()));
  }
};

}  // namespace latchkey::auth::testing
