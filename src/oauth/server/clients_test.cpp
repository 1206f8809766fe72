#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

Task<void> count_answer(Clients& clients, int* answered, Completion<bool> all) {
  if (co_await clients.load(k_public) && ++*answered == 3) all.deliver(true);
}
Task<bool> after(Completion<bool> gate, Completion<bool> all) {
  gate.deliver(true);
  co_return co_await all;
}

class ClientDocuments : public ServerTest {};

TEST_P(ClientDocuments, AttackMetadata_WrongAnswersOfTheDocumentServer) {
  const FormFields form = with(par_form(), "client_id", k_confidential);
  const std::string good = [&] {
    serve_confidential_client(key_);
    return fetch_.documents[k_confidential].body;
  }();
  const struct {
    FetchResponse answer;
    const char* why;
  } rows[] = {
      {{301, {{"location", "https://evil.example/"}}, ""}, "a redirect"},
      {{206, {{"content-type", "application/json"}}, good}, "partial content"},
      {{200, {{"content-type", "text/html"}}, good}, "another type"},
      {{200, {{"content-type", "application/json"}}, "{\"client_id\":1,\"client_id\":2}"}, "duplicate keys"},
      {{200, {{"content-type", "application/json"}}, std::string(100, '[')}, "nesting"}};
  for (const auto& row : rows) {
    fetch_.documents[k_confidential] = row.answer;
    clock_.advance(2min);  // past the negative cache
    EXPECT_EQ(error(post("/oauth/par", form)), "invalid_client_metadata") << row.why;
  }
  const int before = fetch_.count;
  post("/oauth/par", form);
  EXPECT_EQ(fetch_.count, before) << "failures are remembered for a minute";
}

TEST_P(ClientDocuments, AttackClientId_AnythingButAPublicHttpsUrlWithAPath) {
  for (const char* id : {"https://192.0.2.1/c",
                         "https://[2001:db8::1]/c",
                         "https://3221225985/c",
                         "https://0x7f.1/c",
                         "https://app.example:444/c",
                         "https://app.example:443/c",
                         "https://user@app.example/c",
                         "https://user:pw@app.example/c",
                         "https://app.example",
                         "https://app.example/",
                         "https://app.example/c#x",
                         "http://app.example/c",
                         "https://APP.example/c",
                         "HTTPS://app.example/c",
                         "https://app.example/a/../c",
                         "https://app.example/./c",
                         "https://app.example/%2e%2e/c",
                         "https://localhost/c",
                         "https://app.localhost/c",
                         "https://app.local/c",
                         "https://intranet/c",
                         "https://app.example./c",
                         "ftp://app.example/c",
                         "app.example/c",
                         "http://localhost:3000",
                         "http://localhost/x",
                         "http://localhost#x",
                         "http://localhost?unknown=1",
                         "x"})
    EXPECT_EQ(error(post("/oauth/par", with(par_form(), "client_id", id))), "invalid_request") << id;
  EXPECT_EQ(fetch_.count, 0) << "none of them is asked";
}

TEST_P(ClientDocuments, AttackMetadata_OfAnotherClient) {
  auto doc = document_of("https://other.example/client.json");
  serve(k_public, doc);
  EXPECT_EQ(error(post("/oauth/par", par_form(k_public))), "invalid_client_metadata");
}

TEST_P(ClientDocuments, AttackMetadata_SlowOrLargeDocumentsAreCutOff) {
  serve(k_public, document_of(k_public));
  pushed(par_form(k_public));
  ASSERT_EQ(fetch_.asked.size(), 1u);
  EXPECT_EQ(fetch_.asked[0].timeout, 5s);
  EXPECT_EQ(fetch_.asked[0].max_body, 64u * 1024);
  clock_.advance(10min);
  for (const auto kind :
       {FetchError::Kind::timeout, FetchError::Kind::too_large, FetchError::Kind::refused_by_guard}) {
    fetch_.trouble = FetchError{kind, "no"};
    clock_.advance(1min);
    EXPECT_EQ(error(post("/oauth/par", par_form(k_public))), "invalid_client_metadata");
  }
}

TEST_P(ClientDocuments, TheMediaTypeIsJsonHoweverItIsWritten) {
  const auto answer = [&](std::string type) {
    serve(k_public, document_of(k_public));
    fetch_.documents[k_public].headers = {{"content-type", std::move(type)}};
    clock_.advance(11min);
    return post("/oauth/par", par_form(k_public)).status;
  };
  for (const char* type :
       {"application/json", "application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"})
    EXPECT_EQ(answer(type), 201) << type;
  for (const char* type : {"application/jsonx", "text/json", "application/jwk-set+json", ""})
    EXPECT_EQ(answer(type), 400) << type;
}

TEST_P(ClientDocuments, KeysAreFetchedFromJwksUri) {
  auto doc = confidential_document({});
  doc.erase("jwks");
  doc.set("jwks_uri", "https://keys.example/jwks.json");
  serve(k_confidential, doc);
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), client_key_))),
            "invalid_client_metadata");
  serve("https://keys.example/jwks.json", {{"keys", json::Array{jwk(client_key_, "k1")}}});
  fetch_.documents["https://keys.example/jwks.json"].headers = {{"content-type", "application/jwk-set+json"}};
  clock_.advance(1min);
  EXPECT_EQ(post("/oauth/par", asserted(par_form(k_confidential), client_key_)).status, 201);
}

TEST_P(ClientDocuments, AreKeptForTenMinutes) {
  serve(k_public, document_of(k_public));
  pushed(par_form(k_public));
  clock_.advance(10min - 1s);
  pushed(par_form(k_public));
  EXPECT_EQ(fetch_.count, 1);
  clock_.advance(1s);
  pushed(par_form(k_public));
  EXPECT_EQ(fetch_.count, 2);
}

TEST_P(ClientDocuments, AttackUnknownKey_CannotThrowAGoodDocumentOutOfTheCache) {
  serve_confidential_client(client_key_);
  pushed(asserted(par_form(k_confidential), client_key_));
  fetch_.trouble = FetchError{FetchError::Kind::unreachable, "down"};
  clock_.advance(1min);
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), other_key_, "k9"))),
            "invalid_client");
  EXPECT_EQ(fetch_.count, 2) << "it looked";
  EXPECT_EQ(error(post("/oauth/par", asserted(par_form(k_confidential), other_key_, "k9"))),
            "invalid_client");
  EXPECT_EQ(fetch_.count, 2) << "at most every ten seconds";
  EXPECT_EQ(post("/oauth/par", asserted(par_form(k_confidential), client_key_)).status, 201);
}

TEST_P(ClientDocuments, TwoWhoAskAtOnceFetchOnce) {
  serve(k_public, document_of(k_public));
  Clients clients(fetch_, clock_, LocalHosts::refuse);
  InlineExecutor executor;
  fetch_.gate.emplace();
  const Completion<bool> all;
  int answered = 0;
  executor.post([&] {
    for (int i = 0; i < 3; ++i) spawn(count_answer(clients, &answered, all));
  });
  run(executor, after(*fetch_.gate, all));
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(fetch_.count, 1);
}

TEST_P(ClientDocuments, AFetchThatThrowsLeavesNobodyWaiting) {
  class Broken final : public Fetch {
   public:
    Task<Result<FetchResponse, FetchError>> fetch(FetchRequest) override {
      throw std::runtime_error("out of memory");
    }
  } broken;
  Clients clients(broken, clock_, LocalHosts::refuse);
  EXPECT_THROW(run(clients.load(k_public)), std::runtime_error);
  EXPECT_THROW(run(clients.load(k_public)), std::runtime_error) << "asked again, not awaited forever";
}

TEST_P(ClientDocuments, NativeClientsMayUseTheirReversedDomain) {
  auto doc = document_of(k_public);
  doc.set("application_type", "native");
  doc.set("redirect_uris", json::Array{"example.browser:/callback"});
  serve(k_public, doc);
  EXPECT_EQ(post("/oauth/par", with(par_form(k_public), "redirect_uri", "example.browser:/callback")).status,
            201);
  EXPECT_EQ(error(post("/oauth/par", with(par_form(k_public), "redirect_uri", "example.browser:/other"))),
            "invalid_request");
  for (const char* uri : {"browser.example:/callback", "evil:/callback", "example.browser://callback"}) {
    doc.set("redirect_uris", json::Array{uri});
    serve(k_public, doc);
    clock_.advance(11min);
    EXPECT_EQ(error(post("/oauth/par", with(par_form(k_public), "redirect_uri", uri))),
              "invalid_redirect_uri")
        << uri;
  }
}

INSTANTIATE_TEST_SUITE_P(Store, ClientDocuments, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
