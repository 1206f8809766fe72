#include "atproto/identity/resolver.h"

#include <gtest/gtest.h>

#include <map>

namespace latchkey::identity {
namespace {

constexpr const char* k_alice = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* k_bob = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

std::string document(const std::string& did, const std::string& handle) {
  return R"({"id":")" + did + R"(","alsoKnownAs":["at://)" + handle + R"("]})";
}

struct FakeFetch final : Fetch {
  std::map<std::string, FetchResponse> pages;  // everything else is 404
  std::map<std::string, FetchError::Kind> broken;
  std::vector<std::string> asked;

  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    asked.push_back(request.url);
    if (const auto b = broken.find(request.url); b != broken.end())
      co_return fail(FetchError{b->second, "broken"});
    const auto p = pages.find(request.url);
    if (p == pages.end()) co_return FetchResponse{404, {}, "not here"};
    if (p->second.body.size() > request.max_body)
      co_return fail(FetchError{FetchError::Kind::too_large, "too large"});
    co_return p->second;
  }
  void page(const std::string& url, std::string body, int status = 200) {
    pages[url] = {status, {}, std::move(body)};
  }
};

struct FakeDns final : TxtLookup {
  std::map<std::string, std::vector<std::string>> records;
  bool down = false;
  int asked = 0;
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override {
    ++asked;
    if (down) co_return fail(FetchError{FetchError::Kind::timeout, "dns"});
    co_return records[name];
  }
};

struct World {
  FakeFetch web;
  FakeDns dns;
  FakeClock clock;
  ResolverOptions options;
  std::unique_ptr<Resolver> resolver;

  World() {
    options.plc_url = "https://plc.test";
    options.development = true;
    web.page(std::string("https://plc.test/") + k_alice, document(k_alice, "alice.test"));
    dns.records["_atproto.alice.test"] = {std::string("did=") + k_alice};
  }
  Resolver& r() {
    if (!resolver) resolver = std::make_unique<Resolver>(options, web, &dns, clock);
    return *resolver;
  }
  Result<Did, Fault> handle(std::string_view h) { return run(r().resolve_handle(*Handle::parse(h))); }
  Result<DidDocument, Fault> did(std::string_view d) { return run(r().resolve_did(*Did::parse(d))); }
  Result<Identity, Fault> identify(std::string text) { return run(r().identify_text(std::move(text))); }
};

TEST(Resolver, GoesFromAHandleToADocumentAndBack) {
  World w;
  for (const auto* text : {"alice.test", "@alice.test", " Alice.Test\n", "at://alice.test", k_alice}) {
    const auto identity = w.identify(text);
    ASSERT_TRUE(identity) << text;
    EXPECT_EQ(identity->did().str(), k_alice);
    ASSERT_TRUE(identity->handle) << text;
    EXPECT_EQ(identity->handle->str(), "alice.test");
  }
  EXPECT_EQ(w.identify("not a handle").error().code, Error::not_found);
}

TEST(Resolver, RefusesAHandleTheDocumentDoesNotClaim) {  // attack 26: handle spoofing
  World w;
  w.dns.records["_atproto.evil.test"] = {std::string("did=") + k_alice};
  EXPECT_EQ(w.identify("evil.test").error().code, Error::mismatch);
}

TEST(Resolver, ShowsNoHandleThatDoesNotPointBack) {
  World w;
  w.web.page(std::string("https://plc.test/") + k_bob, document(k_bob, "alice.test"));
  const auto identity = w.identify(k_bob);
  ASSERT_TRUE(identity);
  EXPECT_FALSE(identity->handle);
}

TEST(Resolver, SeesAHandleThatMovedDespiteItsCache) {
  World w;
  ASSERT_TRUE(w.identify("alice.test"));
  w.dns.records["_atproto.new.test"] = {std::string("did=") + k_alice};
  w.web.page(std::string("https://plc.test/") + k_alice, document(k_alice, "new.test"));
  const auto identity = w.identify("new.test");
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->handle->str(), "new.test");
}

TEST(Resolver, PrefersDnsAndFallsBackToTheWellKnownAddress) {
  World w;
  w.web.page("https://alice.test/.well-known/atproto-did", k_bob);
  EXPECT_EQ(w.handle("alice.test")->str(), k_alice) << "DNS wins";
  w.web.page("https://bob.test/.well-known/atproto-did", std::string(" ") + k_bob + "\n");
  EXPECT_EQ(w.handle("bob.test")->str(), k_bob) << "white space around it is fine";
}

TEST(Resolver, ReadsTxtRecords) {
  World w;
  w.dns.records["_atproto.a.test"] = {"v=spf1", "did=nonsense", std::string("did=") + k_bob,
                                      std::string("did=") + k_bob};
  EXPECT_EQ(w.handle("a.test")->str(), k_bob) << "the same DID twice is one DID";
  w.dns.records["_atproto.b.test"] = {std::string("did=") + k_alice, std::string("did=") + k_bob};
  w.web.page("https://b.test/.well-known/atproto-did", k_bob);
  EXPECT_EQ(w.handle("b.test").error().code, Error::ambiguous);
  w.dns.records["_atproto.c.test"] = {std::string("DID=") + k_alice, std::string(k_alice)};
  EXPECT_EQ(w.handle("c.test").error().code, Error::not_found);
}

TEST(Resolver, AsksDnsOnlyNamesThatFit) {
  World w;
  // 244 bytes and "_atproto." make 253, the longest DNS name.
  const std::string label(60, 'a');
  std::string fits = label + "." + label + "." + label + "." + std::string(56, 'b') + ".test";
  ASSERT_EQ(fits.size(), 244U);
  EXPECT_FALSE(w.handle(fits));
  EXPECT_EQ(w.dns.asked, 1);
  EXPECT_FALSE(w.handle("b" + fits));
  EXPECT_EQ(w.dns.asked, 1);
}

TEST(Resolver, RefusesReservedTopLevelDomains) {
  World w;
  for (const auto* name : {"a.local", "a.onion", "a.internal", "a.localhost", "a.arpa", "a.example", "a.alt"})
    EXPECT_EQ(w.handle(name).error().code, Error::disallowed_handle) << name;
  EXPECT_TRUE(w.web.asked.empty());
  World production;
  production.options.development = false;
  EXPECT_EQ(production.handle("alice.test").error().code, Error::disallowed_handle);
}

TEST(Resolver, IgnoresWellKnownAnswersThatAreNoDid) {
  World w;
  w.web.page("https://a.test/.well-known/atproto-did", "<html>hello</html>");
  EXPECT_EQ(w.handle("a.test").error().code, Error::not_found);
  w.web.page("https://b.test/.well-known/atproto-did", std::string(100'000, 'x'));
  EXPECT_EQ(w.handle("b.test").error().code, Error::not_found);
  w.web.page("https://c.test/.well-known/atproto-did", k_bob, 301);
  EXPECT_EQ(w.handle("c.test").error().code, Error::not_found) << "redirects are not followed";
  w.web.page("https://d.test/.well-known/atproto-did", "", 503);
  EXPECT_EQ(w.handle("d.test").error().code, Error::unreachable);
}

TEST(Resolver, TellsNetworkTroubleFromNo) {
  World w;
  w.dns.down = true;
  EXPECT_EQ(w.handle("alice.test").error().code, Error::unreachable) << "DNS might have known it";
  w.dns.down = false;
  EXPECT_TRUE(w.handle("alice.test")) << "trouble is not remembered";
  w.web.broken[std::string("https://plc.test/") + k_bob] = FetchError::Kind::timeout;
  EXPECT_EQ(w.did(k_bob).error().code, Error::unreachable);
}

TEST(Resolver, ReadsThePlcDirectory) {
  World w;
  const std::string url = std::string("https://plc.test/") + k_bob;
  EXPECT_EQ(w.did(k_bob).error().code, Error::not_found);
  w.web.page(url, "", 410);
  EXPECT_EQ(run(w.r().resolve_did(*Did::parse(k_bob), Cached::refresh)).error().code, Error::deactivated);
  w.web.page(url, document(k_alice, "a.test"));
  EXPECT_EQ(run(w.r().resolve_did(*Did::parse(k_bob), Cached::refresh)).error().code,
            Error::invalid_document);
  w.web.page(url, "", 500);
  EXPECT_EQ(run(w.r().resolve_did(*Did::parse(k_bob), Cached::refresh)).error().code, Error::unreachable);
}

TEST(Resolver, KnowsTwoMethods) {
  World w;
  w.web.page("https://bob.test/.well-known/did.json", document("did:web:bob.test", "bob.test"));
  EXPECT_TRUE(w.did("did:web:bob.test"));
  w.web.page("http://localhost:2583/.well-known/did.json", document("did:web:localhost%3A2583", "bob.test"));
  EXPECT_TRUE(w.did("did:web:localhost%3A2583"));
  const std::size_t before = w.web.asked.size();
  for (const auto* did :
       {"did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF", "did:web:bob.test:users:a",
        "did:web:bob.test%3A8080", "did:web:127.0.0.1", "did:web:BOB.test", "did:web:a.local",
        "did:web:localhost%3Aevil%2F", "did:web:evil%2Fx.test"})
    EXPECT_EQ(w.did(did).error().code, Error::unsupported_method) << did;
  EXPECT_EQ(w.did("did:plc:short").error().code, Error::not_found);
  EXPECT_EQ(w.did("did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ").error().code, Error::not_found);
  EXPECT_EQ(w.web.asked.size(), before) << "none of them reached the network";

  World production;
  production.options.development = false;
  EXPECT_EQ(production.did("did:web:localhost%3A2583").error().code, Error::unsupported_method);
}

TEST(Resolver, RemembersForAWhile) {
  World w;
  EXPECT_TRUE(w.did(k_alice));
  w.clock.advance(w.options.ttl - std::chrono::seconds(1));
  EXPECT_TRUE(w.did(k_alice));
  EXPECT_EQ(w.web.asked.size(), 1U);
  w.clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(w.did(k_alice));
  EXPECT_EQ(w.web.asked.size(), 2U);
  w.r().forget(*Did::parse(k_alice));
  EXPECT_TRUE(w.did(k_alice));
  EXPECT_EQ(w.web.asked.size(), 3U);

  EXPECT_FALSE(w.did(k_bob));
  w.clock.advance(w.options.negative_ttl - std::chrono::seconds(1));
  EXPECT_FALSE(w.did(k_bob));
  EXPECT_EQ(w.web.asked.size(), 4U);
  w.clock.advance(std::chrono::seconds(1));
  EXPECT_FALSE(w.did(k_bob));
  EXPECT_EQ(w.web.asked.size(), 5U);
}

TEST(Resolver, RemembersABoundedNumber) {
  World w;
  w.options.max_entries = 2;
  const auto did = [&](char c) { return "did:plc:" + std::string(24, c); };
  for (char c : {'a', 'b', 'c'}) w.web.page("https://plc.test/" + did(c), document(did(c), "x.test"));
  for (char c : {'a', 'b'}) EXPECT_TRUE(w.did(did(c)));
  EXPECT_TRUE(w.did(did('a')));
  EXPECT_EQ(w.web.asked.size(), 2U) << "two fit";
  EXPECT_TRUE(w.did(did('c')));  // b was used least recently
  EXPECT_TRUE(w.did(did('a')));
  EXPECT_EQ(w.web.asked.size(), 3U);
  EXPECT_TRUE(w.did(did('b')));
  EXPECT_EQ(w.web.asked.size(), 4U);
}

TEST(Resolver, AsksTheHomeServerInDevelopment) {
  World w;
  w.options.dev_handle_host = "http://localhost:2583";
  w.web.page("http://localhost:2583/xrpc/com.atproto.identity.resolveHandle?handle=bob.test",
             std::string(R"({"did":")") + k_bob + "\"}");
  EXPECT_EQ(w.handle("bob.test")->str(), k_bob);
  EXPECT_EQ(w.handle("alice.test")->str(), k_alice) << "unknown there, so the usual ways";
}

TEST(Resolver, WorksWithoutDns) {
  World w;
  w.web.page("https://alice.test/.well-known/atproto-did", k_alice);
  Resolver r(w.options, w.web, nullptr, w.clock);
  EXPECT_EQ(run(r.resolve_handle(*Handle::parse("alice.test")))->str(), k_alice);
}

}  // namespace
}  // namespace latchkey::identity
