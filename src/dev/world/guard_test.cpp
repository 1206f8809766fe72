// Everything a stranger can make this server fetch goes through the guarded client: group 3 of
// docs/threat-model.md. What the guard refuses in itself is in src/web/client_test.cpp.
#include <gtest/gtest.h>

#include "atproto/lexicon/network_resolver.h"
#include "base/log.h"
#include "dev/world/world.h"
#include "web/client.h"

namespace latchkey::dev::world {
namespace {

/// The strict client of `latchkey serve`. Some documents are known; whatever else is asked for reaches the
/// guard, for which evil.example and attacker.net are this machine.
class Guarded final : public Fetch {
 public:
  Guarded()
      : client_({.guard = web::Guard::strict,
                 .resolve = {"evil.example:443:127.0.0.1", "attacker.net:443:127.0.0.1",
                             "metadata.example:443:169.254.169.254"}}) {
    log::set_level(log::Level::off);
  }
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    const std::string url = request.url.substr(0, request.url.find('?'));
    if (const auto known = documents.find(url); known != documents.end())
      co_return FetchResponse{200, {{"content-type", "application/json"}}, known->second};
    auto answer = co_await client_.fetch(std::move(request));
    EXPECT_FALSE(answer.has_value()) << url;
    if (!answer && answer.error().kind == FetchError::Kind::refused_by_guard) refused.push_back(url);
    co_return answer;
  }
  std::map<std::string, std::string> documents;
  std::vector<std::string> refused;

 private:
  web::GuardedClient client_;
};

using Urls = std::vector<std::string>;

struct NoDns final : TxtLookup {
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override {
    if (name == "_lexicon.evil.example") co_return std::vector<std::string>{"did=" + did};
    co_return std::vector<std::string>{};
  }
  std::string did;
};

WorldOptions through(Fetch& fetch) {
  WorldOptions options;
  options.fetch = &fetch;
  return options;
}

TEST(Guard, AttackSsrf_ClientMetadataAtAPrivateAddress) {
  Guarded fetch;
  World w(through(fetch));
  App app(w, App::Kind::web);
  for (const char* host : {"evil.example", "metadata.example"}) {
    fetch.refused.clear();
    const std::string client_id = std::string("https://") + host + "/client-metadata.json";
    const Page page = app.post("/oauth/par", with(app.par_form(), "client_id", client_id));
    EXPECT_EQ(page.status / 100, 4) << page.body;
    EXPECT_EQ(fetch.refused, Urls{client_id});
    EXPECT_FALSE(page.shows("127.0.0.1")) << "what is where in our network is not told";
    EXPECT_FALSE(page.shows("169.254"));
  }
}

TEST(Guard, AttackSsrf_ClientMetadataAtAnAddressInText) {
  Guarded fetch;
  World w(through(fetch));
  App app(w, App::Kind::web);
  for (const char* host :
       {"127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "[64:ff9b::7f00:1]", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost", "x.localhost",
        "printer.local", "evil.internal", "good.example@127.0.0.1"}) {
    const std::string client_id = std::string("https://") + host + "/client-metadata.json";
    const Page page = app.post("/oauth/par", with(app.par_form(), "client_id", client_id));
    EXPECT_EQ(page.status / 100, 4) << host << page.body;
    EXPECT_EQ(page.error(), page.error() == "invalid_request" ? "invalid_request" : "invalid_client_metadata")
        << host;
  }
}

TEST(Guard, AttackSsrf_JwksUriAtAPrivateAddress) {
  Guarded fetch;
  World w(through(fetch));
  App app(w, App::Kind::confidential);
  json::Object metadata;
  for (const auto& [name, value] : app.metadata())
    if (name != "jwks") metadata.append(name, value);
  metadata.append("jwks_uri", "https://evil.example/jwks.json");
  fetch.documents[app.client_id()] = json::Value(metadata).dump();
  const Page page = app.post("/oauth/par", app.par_form());
  EXPECT_EQ(page.status / 100, 4) << page.body;
  EXPECT_EQ(fetch.refused, Urls{"https://evil.example/jwks.json"});
}

TEST(Guard, AttackSsrf_DidWebAndHandlesAtAPrivateAddress) {
  Guarded fetch;
  FakeClock clock;
  NoDns dns;
  identity::Resolver resolver({}, fetch, &dns, clock);
  EXPECT_FALSE(run(resolver.resolve_did(*Did::parse("did:web:attacker.net"))));
  EXPECT_FALSE(run(resolver.resolve_handle(*Handle::parse("attacker.net"))));
  EXPECT_EQ(fetch.refused, (Urls{"https://attacker.net/.well-known/did.json",
                                 "https://attacker.net/.well-known/atproto-did"}));
  fetch.refused.clear();
  for (const char* did : {"did:web:127.0.0.1", "did:web:localhost", "did:web:localhost%3A8080",
                          "did:web:2130706433", "did:web:0177.0.0.1"})
    EXPECT_FALSE(run(resolver.resolve_did(*Did::parse(did)))) << did;
}

TEST(Guard, AttackSsrf_AServerThatALexiconNames) {
  Guarded fetch;
  FakeClock clock;
  NoDns dns;
  dns.did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
  fetch.documents["https://plc.directory/" + dns.did] =
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","alsoKnownAs":["at://evil.example"],)"
      R"("verificationMethod":[{"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz#atproto","type":"Multikey",)"
      R"("controller":"did:plc:ewvi7nxzyoun6zhxrhs64oiz",)"
      R"("publicKeyMultibase":"zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"}],)"
      R"("service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":"https://evil.example"}]})";
  identity::Resolver identities({}, fetch, &dns, clock);
  lexicon::NetworkResolver resolver({}, identities, fetch, dns);
  EXPECT_FALSE(run(resolver.resolve(*Nsid::parse("example.evil.authBasic"))));
  EXPECT_EQ(fetch.refused, Urls{"https://evil.example/xrpc/com.atproto.sync.getRecord"});
}

}  // namespace
}  // namespace latchkey::dev::world
