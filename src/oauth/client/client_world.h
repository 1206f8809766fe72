#pragma once
// For the tests of this folder: a client, its stores, an account and the servers behind it, in one place.

#include <gtest/gtest.h>

#include "oauth/client/client.h"
#include "oauth/client/testing.h"

namespace latchkey::oauth::client::testing {

inline constexpr const char* k_alice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
inline constexpr const char* k_bob = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
inline constexpr const char* k_redirect = "http://127.0.0.1:8080/callback";

struct World {
  FakeClock clock;
  SeededRng rng;
  Network net;
  Server server{net, clock, "https://as.test", "https://pds.test"};
  identity::Resolver resolver;
  MemoryStateStore states;
  MemorySessionStore sessions;
  OauthClient client;

  explicit World(std::optional<ClientMetadata> metadata = {})
      : resolver({.plc_url = "https://plc.test", .development = true}, net, nullptr, clock),
        client({.metadata = metadata ? *metadata
                                     : *ClientMetadata::loopback({k_redirect}, "atproto transition:generic")},
               parts()) {
    account(k_alice, "alice.test", "https://pds.test");
  }
  ClientParts parts() { return {net, resolver, clock, rng, states, sessions}; }
  void account(const std::string& did, const std::string& handle, const std::string& pds) {
    net.account(did, handle, pds);
  }
  AuthorizationStarted start(std::string input = "alice.test", AuthorizeOptions options = {}) {
    auto started = run(client.authorize(std::move(input), std::move(options)));
    EXPECT_TRUE(started) << (started ? "" : started.error().message + " / " + started.error().detail);
    return *started;
  }
  FormFields answer(const AuthorizationStarted& started) const {
    return {{"iss", server.issuer}, {"state", started.state}, {"code", server.code}};
  }
  Result<SignedIn, Fault> sign_in(std::string input = "alice.test", AuthorizeOptions options = {}) {
    const auto started = start(std::move(input), std::move(options));
    return run(client.callback(answer(started), ""));
  }
  Session session() {
    auto signed_in = sign_in();
    EXPECT_TRUE(signed_in) << (signed_in ? "" : signed_in.error().message + " / " + signed_in.error().detail);
    return signed_in->session;
  }
  std::size_t stored_sessions(const char* did = k_alice) {
    return run(sessions.ids_of(*Did::parse(did))).size();
  }
};

inline std::string body_at(const Result<FetchResponse, Fault>& r, std::string_view member) {
  if (!r) return "fault: " + r.error().message + " / " + r.error().detail;
  const auto v = json::parse(r->body);
  const auto* s = v ? v->string_at(member) : nullptr;
  return s ? *s : r->body;
}

}  // namespace latchkey::oauth::client::testing
