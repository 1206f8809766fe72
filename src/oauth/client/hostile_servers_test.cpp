// Every server of a sign-in may be an attacker's: the handle's, the directory of the DID, the PDS and the
// authorization server. Whatever they answer, nobody is signed in, nothing is stored and nothing else is
// asked.
#include "oauth/client/client_world.h"
#include "oauth/jose/jwt.h"

namespace latchkey::oauth::client {
namespace {

using namespace testing;

constexpr const char* k_handle_url = "https://alice.test/.well-known/atproto-did";
constexpr const char* k_did_url = "https://plc.test/did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* k_resource_url = "https://pds.test/.well-known/oauth-protected-resource";
constexpr const char* k_server_url = "https://as.test/.well-known/oauth-authorization-server";
constexpr const char* k_par_url = "https://as.test/oauth/par";
constexpr const char* k_token_url = "https://as.test/oauth/token";
constexpr const char* k_documents[] = {k_handle_url, k_did_url, k_resource_url, k_server_url, k_par_url};

/// Starting a sign-in, with one page of the network bent.
Result<AuthorizationStarted, Fault> start_with(World& w, const std::string& url, Network::Page page) {
  w.net.pages[url] = std::move(page);
  auto started = run(w.client.authorize("alice.test", {}));
  EXPECT_FALSE(started) << url;
  EXPECT_EQ(w.net.requests.empty() ? "" : w.net.requests.back().url, url) << "nothing was asked after that";
  return started;
}

TEST(HostileServers, AttackRedirect_NoRedirectIsFollowed) {
  for (const auto* url : k_documents) {
    for (const int status : {301, 302, 303, 307, 308}) {
      World w;
      bool asked = false;
      w.net.pages["https://evil.test/secret"] = [&](const FetchRequest& r) {
        asked = true;
        return w.net.pages[url](r);
      };
      const auto fault = start_with(w, url, [&](const FetchRequest&) {
                           return json_answer(status, {}, {{"location", "https://evil.test/secret"}});
                         }).error();
      EXPECT_FALSE(asked) << url;
      EXPECT_NE(fault.code, Error::invalid_input) << url;
    }
  }
}

TEST(HostileServers, AttackPrivateAddress_WhatTheGuardRefusesEndsTheSignIn) {
  for (const auto* url : k_documents) {
    World w;
    w.net.broken[url] = FetchError::Kind::refused_by_guard;
    const auto fault = run(w.client.authorize("alice.test", {})).error();
    EXPECT_EQ(fault.code, Error::unreachable) << url;
    EXPECT_EQ(w.net.requests.back().url, url);
    EXPECT_EQ(fault.message.find("broken"), std::string::npos) << "what is where is not for the user";
  }
}

TEST(HostileServers, AttackPrivateAddress_EndpointsAreHttpsOrigins) {
  for (const auto* pds : {"http://pds.test", "https://u:p@pds.test", "https://pds.test/path", "file:///etc",
                          "http://127.0.0.1:8080", "https://pds.test?x", "javascript:alert(1)", ""}) {
    World w;
    w.account(k_alice, "alice.test", pds);
    EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server) << pds;
    EXPECT_EQ(w.net.requests.size(), 2U) << pds;
  }
  for (const auto* issuer : {"http://as.test", "http://127.0.0.1", "https://as.test/", "https://as.test/x",
                             "https://u@as.test", "file:///etc/passwd"}) {
    World w;
    w.net.pages[k_resource_url] = [&](const FetchRequest&) {
      return json_answer(200,
                         {{"resource", "https://pds.test"}, {"authorization_servers", json::Array{issuer}}});
    };
    EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::invalid_server) << issuer;
    EXPECT_EQ(w.net.requests.back().url, k_resource_url);
  }
  for (const auto* endpoint : {"http://127.0.0.1/x", "http://as.test/x", "gopher://as.test/x", "/x"}) {
    for (const auto* member : {"authorization_endpoint", "token_endpoint", "revocation_endpoint",
                               "pushed_authorization_request_endpoint"}) {
      World w;
      start_with(w, k_server_url, [&](const FetchRequest&) {
        auto m = w.server.metadata();
        m.set(member, endpoint);
        return json_answer(200, m);
      });
    }
  }
}

TEST(HostileServers, AttackSlowBody_ATimeoutEndsTheSignIn) {
  for (const auto* url : k_documents) {
    World w;
    w.net.broken[url] = FetchError::Kind::timeout;
    const auto fault = run(w.client.authorize("alice.test", {})).error();
    EXPECT_EQ(fault.code, Error::unreachable) << url;
  }
}

TEST(HostileServers, AttackEndlessBody_EveryAnswerHasALimitInSizeAndTime) {
  for (const auto* url : k_documents) {
    World w;
    const auto fault =
        start_with(w, url, [&](const FetchRequest& r) {
          return FetchResponse{200, {{"content-type", "application/json"}}, std::string(r.max_body + 1, ' ')};
        }).error();
    EXPECT_EQ(fault.code, url == k_handle_url ? Error::unknown_account : Error::unreachable) << url;
  }
  World w;
  auto session = w.session();
  ASSERT_TRUE(run(session.refresh()));
  ASSERT_TRUE(run(session.call("GET", "com.example.echo", {})));
  run(session.sign_out());
  for (const auto& r : w.net.requests) {
    EXPECT_LE(r.max_body, std::size_t{5} << 20) << r.url;
    EXPECT_LE(r.timeout, std::chrono::seconds(15)) << r.url;
  }
}

TEST(HostileServers, AttackWrongType_IsNoMetadata) {
  for (const auto* url : {k_resource_url, k_server_url, k_par_url}) {
    for (const auto* type : {"text/html", "application/json-seq", "text/plain", "image/png", ""}) {
      World w;
      const auto genuine = w.net.pages[url];
      w.net.pages[url] = [&](const FetchRequest& r) {
        auto answer = genuine(r);
        if (answer.status < 300)
          for (auto& [name, value] : answer.headers)
            if (name == "content-type") value = type;
        return answer;
      };
      EXPECT_FALSE(run(w.client.authorize("alice.test", {}))) << url << " " << type;
    }
    World w;
    const auto genuine = w.net.pages[url];
    w.net.pages[url] = [&](const FetchRequest& r) {
      auto answer = genuine(r);
      for (auto& [name, value] : answer.headers)
        if (name == "content-type") value = "Application/JSON ; charset=utf-8";
      return answer;
    };
    EXPECT_TRUE(run(w.client.authorize("alice.test", {}))) << url;
  }
}

TEST(HostileServers, AttackDuplicateKeys_AreNoJson) {
  // Two readers could see two documents: one with the right issuer, one with the wrong.
  const std::pair<const char*, const char*> doubled[] = {
      {k_did_url, R"("id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz",)"},
      {k_resource_url, R"("resource":"https://pds.test",)"},
      {k_server_url, R"("issuer":"https://as.test",)"},
      {k_par_url, R"("request_uri":"urn:other",)"},
  };
  for (const auto& [url, member] : doubled) {
    World w;
    const auto genuine = w.net.pages[url];
    w.net.pages[url] = [&, member = member](const FetchRequest& r) {
      auto answer = genuine(r);
      if (answer.status < 300) answer.body.insert(1, member);
      return answer;
    };
    EXPECT_FALSE(run(w.client.authorize("alice.test", {}))) << url;
    w.net.pages[url] = genuine;
    w.resolver.forget(*Did::parse(k_alice));
    EXPECT_TRUE(run(w.client.authorize("alice.test", {}))) << url;
  }
}

TEST(HostileServers, AttackHandleSpoofing_BothDirectionsMustAgree) {
  World w;
  w.net.pages["https://mallory.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {}, k_alice};  // a handle that claims somebody else's account
  };
  EXPECT_EQ(run(w.client.authorize("mallory.test", {})).error().code, Error::unknown_account);
  w.account(k_bob, "bob.test", "https://pds.test");
  w.net.pages["https://alice.test/.well-known/atproto-did"] = [](const FetchRequest&) {
    return FetchResponse{200, {}, k_bob};  // the host of a handle gives it to another account
  };
  EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::unknown_account);
  // The DID itself stays usable, under no handle that is not proven.
  const auto signed_in = w.sign_in(k_alice);
  ASSERT_TRUE(signed_in) << signed_in.error().detail;
  EXPECT_FALSE(signed_in->handle);
}

struct Records final : TxtLookup {
  std::map<std::string, std::vector<std::string>> names;
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override { co_return names[name]; }
};

TEST(HostileServers, AttackHandleSpoofing_DnsAndHttpsDisagree) {
  World w;
  Records dns;
  identity::Resolver resolver({.plc_url = "https://plc.test", .development = true}, w.net, &dns, w.clock);
  OauthClient client({.metadata = w.client.metadata()},
                     {w.net, resolver, w.clock, w.rng, w.states, w.sessions});
  dns.names["_atproto.alice.test"] = {std::string("did=") + k_alice};
  EXPECT_TRUE(run(client.authorize("alice.test", {})));
  // Whoever took over the web server, but not the zone, gains nothing.
  resolver.forget(*Handle::parse("alice.test"));
  w.net.pages[k_handle_url] = [](const FetchRequest&) { return FetchResponse{200, {}, k_bob}; };
  EXPECT_TRUE(run(client.authorize("alice.test", {})));
  resolver.forget(*Handle::parse("alice.test"));
  dns.names["_atproto.alice.test"].push_back(std::string("did=") + k_bob);
  EXPECT_EQ(run(client.authorize("alice.test", {})).error().code, Error::unknown_account)
      << "two records, two accounts: nobody's";
}

// The attacker runs a server and sends the browser on to an honest one, with the attacker's own request.
// RFC 9207 §2.4: the honest server's iss gives it away, and the honest server's code goes nowhere.
TEST(HostileServers, AttackMixUp_ACodeOfAnotherServerIsNotHandedOver) {
  World w;
  Server evil(w.net, w.clock, "https://evil-as.test", "https://evil-pds.test");
  const auto honest = w.start("alice.test");
  const auto at_evil = run(w.client.authorize("https://evil-pds.test", {}));
  ASSERT_TRUE(at_evil) << at_evil.error().detail;
  const FormFields mixed{{"iss", "https://as.test"}, {"state", at_evil->state}, {"code", w.server.code}};
  EXPECT_EQ(run(w.client.callback(mixed, "")).error().code, Error::issuer_mismatch);
  EXPECT_TRUE(w.net.to("https://evil-as.test/oauth/token").empty());
  EXPECT_TRUE(w.net.to(k_token_url).empty());
  // And the other way round: the attacker's answer to a sign-in that began at the honest server.
  EXPECT_EQ(
      run(w.client.callback({{"iss", "https://evil-as.test"}, {"state", honest.state}, {"code", "c"}}, ""))
          .error()
          .code,
      Error::issuer_mismatch);
  EXPECT_TRUE(w.net.to(k_token_url).empty());
}

TEST(HostileServers, AttackMixUp_AServerCannotSpeakForAnAccountElsewhere) {
  World w;
  Server evil(w.net, w.clock, "https://evil-as.test", "https://evil-pds.test");
  evil.sub = k_alice;  // lives at pds.test
  const auto started = run(w.client.authorize("https://evil-as.test", {}));
  ASSERT_TRUE(started);
  const auto result = run(w.client.callback(
      {{"iss", "https://evil-as.test"}, {"state", started->state}, {"code", evil.code}}, ""));
  EXPECT_EQ(result.error().code, Error::subject_mismatch);
  EXPECT_EQ(w.stored_sessions(), 0U);
  EXPECT_EQ(evil.revoked.size(), 1U);
}

TEST(HostileServers, AttackMixUp_AResourceServerThatNamesTheHonestServer) {
  World w;
  // evil-pds.test says its authorization server is as.test; the account's DID document says pds.test. What
  // the sign-in ends with is the account's real PDS: no token of alice ever goes to evil-pds.test.
  w.net.pages["https://evil-pds.test/.well-known/oauth-protected-resource"] = [](const FetchRequest&) {
    return json_answer(200, {{"resource", "https://evil-pds.test"},
                             {"authorization_servers", json::Array{"https://as.test"}}});
  };
  auto signed_in = w.sign_in("https://evil-pds.test");
  ASSERT_TRUE(signed_in) << signed_in.error().detail;
  EXPECT_EQ(signed_in->session.pds(), "https://pds.test");
  ASSERT_TRUE(run(signed_in->session.call("GET", "com.example.echo", {})));
  EXPECT_EQ(w.net.requests.back().url, "https://pds.test/xrpc/com.example.echo");
}

TEST(HostileServers, AttackHostileAnswer_RequestUriStaysOneParameter) {
  World w;
  w.server.par_answer = json_answer(
      201, {{"request_uri", "urn:x&client_id=https://evil.test#fragment?redirect_uri=https://evil.test"}},
      {{"dpop-nonce", "nonce-1"}});
  const auto started = w.start();
  const auto url = *Url::parse(started.url);
  EXPECT_EQ(url.origin(), "https://as.test");
  EXPECT_FALSE(url.fragment);
  const auto query = *parse_form(*url.query);
  ASSERT_EQ(query.size(), 2U) << started.url;
  EXPECT_EQ(single(query, "client_id"), w.client.metadata().client_id());
  EXPECT_EQ(single(query, "request_uri"),
            "urn:x&client_id=https://evil.test#fragment?redirect_uri=https://evil.test");
  for (const auto& uri : {std::string("urn:x\r\nX: y"), std::string(4097, 'a'), std::string()}) {
    w.server.par_answer = json_answer(201, {{"request_uri", uri}}, {{"dpop-nonce", "nonce-1"}});
    EXPECT_EQ(run(w.client.authorize("alice.test", {})).error().code, Error::unreachable);
  }
}

TEST(HostileServers, AttackHostileAnswer_NoTokenOfItIsUsed) {
  const json::Object rows[] = {
      {{"token_type", "Bearer"}},          {{"access_token", "a\r\nHost: evil.test"}},
      {{"scope", "transition:generic"}},   {{"scope", "atproto \n"}},
      {{"expires_in", "tomorrow"}},        {{"sub", "alice.test"}},
      {{"refresh_token", json::Object{}}},
  };
  for (const auto& row : rows) {
    World w;
    w.server.token_extra = row;
    EXPECT_EQ(w.sign_in().error().code, Error::invalid_token_answer) << json::Value(row).dump();
    EXPECT_EQ(w.stored_sessions(), 0U);
  }
}

TEST(HostileServers, AttackNonce_NobodyIsAskedForever) {
  World w;
  auto session = w.session();
  int asked = 0;
  const auto always = [&](const FetchRequest&) {
    return json_answer(401, {{"error", "use_dpop_nonce"}},
                       {{"dpop-nonce", "n" + std::to_string(++asked)},
                        {"www-authenticate", "Bearer error=\"invalid_request\""},
                        {"www-authenticate", "DPoP error=\"use_dpop_nonce\""}});
  };
  w.net.pages["https://pds.test/xrpc/com.example.echo"] = always;
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 401);
  EXPECT_EQ(asked, 2);
  w.net.pages[k_token_url] = always;
  EXPECT_EQ(run(session.refresh()).error().oauth_error, "use_dpop_nonce");
  EXPECT_EQ(asked, 4);
  EXPECT_EQ(w.stored_sessions(), 1U);
}

TEST(HostileServers, AttackNonce_OnlyUsableOnesAreTaken) {
  for (const auto& nonce : {std::string("a\"b"), std::string("a b"), std::string("a\\b"), std::string("\x01"),
                            std::string(513, 'n'), std::string()}) {
    World w;
    auto session = w.session();
    w.net.requests.clear();
    w.net.pages["https://pds.test/xrpc/com.example.echo"] = [&](const FetchRequest&) {
      return json_answer(401, {},
                         {{"dpop-nonce", nonce}, {"www-authenticate", "DPoP error=\"use_dpop_nonce\""}});
    };
    EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 401);
    EXPECT_EQ(w.net.requests.size(), 1U) << nonce;
  }
}

TEST(HostileServers, AttackNonce_EachOriginHasItsOwn) {
  World w;
  auto session = w.session();
  w.net.pages["https://pds.test/xrpc/com.example.echo"] = [&](const FetchRequest&) {
    return json_answer(200, {}, {{"dpop-nonce", "nonce-of-the-pds"}});
  };
  ASSERT_TRUE(run(session.call("GET", "com.example.echo", {})));
  ASSERT_TRUE(run(session.refresh()));
  const auto nonce = [](const FetchRequest& r) {
    return *parse_compact(header_of(r, "DPoP"))->string_claim("nonce");
  };
  EXPECT_EQ(nonce(*w.net.to(k_token_url).back()), "nonce-1") << "the authorization server's";
  ASSERT_TRUE(run(session.call("GET", "com.example.echo", {})));
  EXPECT_EQ(nonce(w.net.requests.back()), "nonce-of-the-pds");
}

TEST(HostileServers, AttackErrorText_OfACallbackIsNoMarkup) {
  World w;
  for (const auto& error :
       {std::string("<script>\"x\"</script>"), std::string("a\r\nLocation: x"), std::string(129, 'a')}) {
    const auto started = w.start();
    const auto fault =
        run(w.client.callback({{"iss", "https://as.test"}, {"state", started.state}, {"error", error}}, ""))
            .error();
    EXPECT_EQ(fault.code, Error::access_denied);
    EXPECT_EQ(fault.oauth_error, "");
    EXPECT_EQ(fault.message.find("script"), std::string::npos);
  }
}

TEST(HostileServers, NoSecretIsInAFault) {
  World w;
  auto session = w.session();
  w.server.live_refresh = "revoked";
  for (const auto& fault : {run(session.refresh()).error()})
    for (const auto& text : {fault.message, fault.detail, fault.oauth_error})
      for (const auto* secret : {"refresh-1", "access-1", "code-1"})
        EXPECT_EQ(text.find(secret), std::string::npos) << text;
}

}  // namespace
}  // namespace latchkey::oauth::client
