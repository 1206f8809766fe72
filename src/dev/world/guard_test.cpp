// Everything a stranger can make this server fetch goes through the guarded client: group 3 of
// docs/threat-model.md. What the guard refuses in itself is in src/web/client_test.cpp.
#include <gtest/gtest.h>

#include "atproto/lexicon/network_resolver.h"
#include "base/log.h"
#include "dev/world/world.h"
#include "oauth/client/client.h"
#include "web/client.h"
#include "web/server.h"

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

// --- the OAuth client: whom it asks is said by handles, DID documents and metadata ---

namespace client = oauth::client;

struct SignIn {
  explicit SignIn(Fetch& fetch, client::PlainHttp plain = client::PlainHttp::refuse)
      : resolver({}, fetch, nullptr, clock),
        client({.metadata = *client::ClientMetadata::loopback({"http://127.0.0.1:4321/callback"}, "atproto"),
                .plain_http = plain},
               {fetch, resolver, clock, rng, states, sessions}) {}
  client::Error start(std::string input) {
    const auto started = run(client.authorize(std::move(input), {}));
    EXPECT_FALSE(started);
    EXPECT_EQ(started.error().message.find("127."), std::string::npos) << started.error().message;
    return started.error().code;
  }
  FakeClock clock;
  SeededRng rng;
  identity::Resolver resolver;
  client::MemoryStateStore states;
  client::MemorySessionStore sessions;
  client::OauthClient client;
};

std::string did_document_at(const std::string& pds) {
  return R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","service":[{"id":"#atproto_pds",)"
         R"("type":"AtprotoPersonalDataServer","serviceEndpoint":")" +
         pds + "\"}]}";
}
constexpr const char* k_did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

TEST(Guard, AttackSsrf_OauthClientFollowsNobodyToAPrivateAddress) {
  Guarded fetch;
  SignIn app(fetch);
  EXPECT_EQ(app.start("attacker.net"), client::Error::unreachable);
  EXPECT_EQ(app.start("did:web:attacker.net"), client::Error::unreachable);
  EXPECT_EQ(app.start("https://evil.example"), client::Error::unreachable);
  EXPECT_EQ(fetch.refused,
            (Urls{"https://attacker.net/.well-known/atproto-did", "https://attacker.net/.well-known/did.json",
                  "https://evil.example/.well-known/oauth-protected-resource"}));
}

TEST(Guard, AttackSsrf_OauthClientThroughDocumentsOfStrangers) {
  const std::string plc = std::string("https://plc.directory/") + k_did;
  const std::string resource = "https://pds.example.com/.well-known/oauth-protected-resource";
  const std::string server = "https://as.example.com/.well-known/oauth-authorization-server";
  {
    Guarded fetch;
    fetch.documents[plc] = did_document_at("https://evil.example");
    EXPECT_EQ(SignIn(fetch).start(k_did), client::Error::unreachable);
    EXPECT_EQ(fetch.refused, Urls{"https://evil.example/.well-known/oauth-protected-resource"});
  }
  {
    Guarded fetch;
    fetch.documents[plc] = did_document_at("https://pds.example.com");
    fetch.documents[resource] =
        R"({"resource":"https://pds.example.com","authorization_servers":["https://metadata.example"]})";
    EXPECT_EQ(SignIn(fetch).start(k_did), client::Error::unreachable);
    EXPECT_EQ(fetch.refused, Urls{"https://metadata.example/.well-known/oauth-authorization-server"});
  }
  Guarded fetch;
  fetch.documents[plc] = did_document_at("https://pds.example.com");
  fetch.documents[resource] =
      R"({"resource":"https://pds.example.com","authorization_servers":["https://as.example.com"]})";
  fetch.documents[server] =
      R"({"issuer":"https://as.example.com","authorization_endpoint":"https://as.example.com/authorize",)"
      R"("token_endpoint":"https://as.example.com/token",)"
      R"("pushed_authorization_request_endpoint":"https://evil.example/par",)"
      R"("response_types_supported":["code"],"grant_types_supported":["authorization_code","refresh_token"],)"
      R"("code_challenge_methods_supported":["S256"],)"
      R"("token_endpoint_auth_methods_supported":["none","private_key_jwt"],)"
      R"("token_endpoint_auth_signing_alg_values_supported":["ES256"],"scopes_supported":["atproto"],)"
      R"("dpop_signing_alg_values_supported":["ES256"],"authorization_response_iss_parameter_supported":true,)"
      R"("require_pushed_authorization_requests":true,"client_id_metadata_document_supported":true})";
  EXPECT_EQ(SignIn(fetch).start(k_did), client::Error::unreachable);
  EXPECT_EQ(fetch.refused, Urls{"https://evil.example/par"});
}

Task<std::optional<Bytes>> one_more_piece() { co_return Bytes(10'000, ' '); }

/// A server with bad manners, over a real socket.
struct Rude {
  explicit Rude(web::Handler answer) : server({.threads = 1}, std::move(answer)) {
    log::set_level(log::Level::off);
    port = server.listen("127.0.0.1", 0);
    server.start();
  }
  std::string origin() const { return "http://127.0.0.1:" + std::to_string(port); }
  web::Server server;
  std::uint16_t port;
};

Task<web::Response> answer_without_end(web::Request) {
  co_return web::Response::streamed("application/json", &one_more_piece);
}
Task<web::Response> answer_elsewhere(web::Request r) {
  co_return web::Response::redirect(302, "/elsewhere" + r.path);
}
Task<web::Response> answer_packed(web::Request) {
  auto response = web::Response::bytes(Bytes(100), "application/json");
  response.headers.set("content-encoding", "gzip");
  co_return response;
}

TEST(Guard, AttackHostileServer_OauthClientMeetsEndlessMovedAndPackedDocuments) {
  for (const auto answer : {&answer_without_end, &answer_elsewhere, &answer_packed}) {
    Rude rude(answer);
    web::GuardedClient fetch({.guard = web::Guard::local_network});
    SignIn app(fetch, client::PlainHttp::loopback);
    const auto code = app.start(rude.origin());
    EXPECT_TRUE(code == client::Error::unreachable || code == client::Error::invalid_server);
    EXPECT_LE(rude.server.stats().requests, 2U) << "its two documents, and nothing they point at";
  }
}

}  // namespace
}  // namespace latchkey::dev::world
