#include "atproto/lexicon/network_resolver.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>

#include "atproto/car/reader.h"
#include "atproto/car/writer.h"
#include "atproto/cbor/json.h"
#include "atproto/repo/engine.h"
#include "atproto/repo/export.h"

namespace latchkey::lexicon {
namespace {

constexpr const char* k_author = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
constexpr const char* k_mallory = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
constexpr const char* k_pds = "https://pds.example";
const Nsid k_nsid = *Nsid::parse("com.example.calendar.authBasic");
const std::string k_dns_name = "_lexicon.calendar.example.com";
const std::string k_collection = "com.atproto.lexicon.schema";

json::Object document(std::string id = k_nsid.str()) {
  return {{"$type", k_collection},
          {"lexicon", 1},
          {"id", std::move(id)},
          {"defs", json::Object{{"main", json::Object{{"type", "permission-set"},
                                                      {"title", "Calendar"},
                                                      {"permissions", json::Array{}}}}}}};
}

// An account and its repository, as its PDS has them.
struct Account {
  explicit Account(std::string did, std::uint64_t seed) : did(std::move(did)), rng(seed) {
    for (int i = 0; i < 30; ++i)
      put("com.example.calendar.event/e" + std::to_string(i), {{"$type", "com.example.calendar.event"}});
  }
  void put(const std::string& path, json::Object record) {
    records[path] = cbor::encode(*cbor::from_json(std::move(record)));
    tree = tree.put(path, Cid::of_dag_cbor(records[path]));
  }
  void publish(json::Object record, const Nsid& nsid = k_nsid) {
    put(k_collection + "/" + nsid.str(), std::move(record));
  }
  Bytes proof(const std::string& path) const {
    const auto head =
        *repo::apply({.did = *Did::parse(did), .tree = tree}, {}, Tid::from(1'750'000'000'000'000, 1), key);
    const auto found = records.find(path);
    return repo::proof_car(head.commit, head.block, tree, path,
                           found == records.end() ? std::nullopt : std::optional<BytesView>(found->second));
  }
  Bytes proof() const { return proof(k_collection + "/" + k_nsid.str()); }
  std::string did_document(std::string pds = k_pds) const {
    return json::Value(
               json::Object{{"id", did},
                            {"verificationMethod",
                             json::Array{json::Object{{"id", did + "#atproto"},
                                                      {"type", "Multikey"},
                                                      {"controller", did},
                                                      {"publicKeyMultibase", key.public_key().multibase()}}}},
                            {"service", json::Array{json::Object{{"id", "#atproto_pds"},
                                                                 {"type", "AtprotoPersonalDataServer"},
                                                                 {"serviceEndpoint", pds}}}}})
        .dump();
  }

  std::string did;
  SeededRng rng;
  crypto::PrivateKey key = crypto::PrivateKey::generate(crypto::Curve::k256, rng);
  mst::Tree tree;
  std::map<std::string, Bytes> records;
};

struct FakeFetch final : Fetch {
  std::map<std::string, FetchResponse> pages;  // by URL without query; everything else is 404
  std::map<std::string, FetchError::Kind> broken;
  std::vector<FetchRequest> asked;

  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    asked.push_back(request);
    const std::string url = request.url.substr(0, request.url.find('?'));
    if (const auto b = broken.find(url); b != broken.end()) co_return fail(FetchError{b->second, "broken"});
    const auto p = pages.find(url);
    if (p == pages.end()) co_return FetchResponse{404, {}, "not here"};
    if (p->second.body.size() > request.max_body)
      co_return fail(FetchError{FetchError::Kind::too_large, "too large"});
    co_return p->second;
  }
};

struct FakeDns final : TxtLookup {
  std::map<std::string, std::vector<std::string>> records;
  std::optional<FetchError::Kind> down;
  std::vector<std::string> asked;
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override {
    asked.push_back(name);
    if (down) co_return fail(FetchError{*down, "dns"});
    co_return records[name];
  }
};

class Lexicons : public ::testing::Test {
 protected:
  const std::string get_record_ = std::string(k_pds) + "/xrpc/com.atproto.sync.getRecord";

  Lexicons() {
    author_.publish(document());
    dns_.records[k_dns_name] = {std::string("did=") + k_author};
    knows(author_);
    serve(author_.proof());
  }
  void knows(const Account& account, std::string pds = k_pds) {
    web_.pages["https://plc.example/" + account.did] = {200, {}, account.did_document(std::move(pds))};
  }
  void serve(const Bytes& car) { web_.pages[get_record_] = {200, {}, to_string(car)}; }
  void serve_error(int status, std::string_view body) {
    web_.pages[get_record_] = {status, {}, std::string(body)};
  }

  Result<Resolved, LexiconError> resolve(const Nsid& nsid = k_nsid) { return run(resolver_.resolve(nsid)); }
  std::optional<Error> error() {
    const auto result = resolve();
    if (result) return std::nullopt;
    detail_ = result.error().detail;
    return result.error().code;
  }
  std::string detail() {
    detail_.clear();
    error();
    return detail_;
  }

  Account author_{k_author, 1}, mallory_{k_mallory, 2};
  FakeFetch web_;
  FakeDns dns_;
  FakeClock clock_;
  identity::Resolver identities_{{.plc_url = "https://plc.example"}, web_, nullptr, clock_};
  NetworkResolver resolver_{{}, identities_, web_, dns_};
  std::string detail_;
};

TEST_F(Lexicons, AreFoundThroughDnsAndProvenByTheRepository) {
  const auto result = resolve();
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_EQ(result->nsid, k_nsid);
  EXPECT_EQ(result->did.str(), k_author);
  EXPECT_EQ(result->cid, Cid::of_dag_cbor(author_.records.at(k_collection + "/" + k_nsid.str())));
  EXPECT_EQ(result->uri, std::string("at://") + k_author + "/com.atproto.lexicon.schema/" + k_nsid.str());
  EXPECT_EQ(result->document, json::Value(document()));
  EXPECT_EQ(dns_.asked, std::vector{k_dns_name});
  EXPECT_EQ(web_.asked.back().url, get_record_ +
                                       "?did=did%3Aplc%3Aewvi7nxzyoun6zhxrhs64oiz&collection=com.atproto."
                                       "lexicon.schema&rkey=com.example.calendar.authBasic");
}

TEST_F(Lexicons, OtherTxtRecordsAreNoAnswers) {
  dns_.records[k_dns_name].push_back("v=spf1 -all");
  EXPECT_TRUE(resolve());
}

// "resolvers should not recurse up or down the DNS hierarchy looking for TXT records"
TEST_F(Lexicons, AttackTheParentDomainDoesNotAnswerForTheChild) {
  dns_.records = {{"_lexicon.example.com", {std::string("did=") + k_author}},
                  {"_lexicon.authBasic.calendar.example.com", {std::string("did=") + k_author}}};
  EXPECT_EQ(error(), Error::not_found);
  EXPECT_EQ(dns_.asked, std::vector{k_dns_name});
}

TEST_F(Lexicons, AttackTwoTxtAnswers) {
  for (const std::string& second : {std::string("did=") + k_mallory, std::string("did=") + k_author}) {
    dns_.records[k_dns_name] = {std::string("did=") + k_author, second};
    EXPECT_EQ(error(), Error::invalid) << second;
  }
}

TEST_F(Lexicons, AttackATxtRecordThatIsNoDid) {
  for (const auto* record : {"did=", "did=did:plc", "did=https://example.com"}) {
    dns_.records[k_dns_name] = {record};
    EXPECT_EQ(error(), Error::invalid) << record;
  }
}

TEST_F(Lexicons, AuthoritiesTooLongForDnsAreNotAsked) {
  std::string nsid = "com";
  for (int i = 0; i < 3; ++i) nsid += "." + std::string(63, 'a');
  nsid += "." + std::string(47, 'a');  // with `_lexicon.` before it: 252
  const auto at_limit = *Nsid::parse(nsid + "a.name"), over = *Nsid::parse(nsid + "aa.name");
  dns_.asked.clear();
  EXPECT_EQ(resolve(at_limit).error().code, Error::not_found);
  ASSERT_EQ(dns_.asked.size(), 1u);
  EXPECT_EQ(dns_.asked[0].size(), 253u);
  EXPECT_EQ(resolve(over).error().code, Error::not_found);
  EXPECT_EQ(dns_.asked.size(), 1u);
}

TEST_F(Lexicons, AttackForgedByAnotherAccountsCommit) {
  mallory_.publish(document());
  serve(mallory_.proof());
  EXPECT_EQ(detail(), "the commit belongs to another account");
  EXPECT_EQ(error(), Error::invalid);
}

TEST_F(Lexicons, AttackForgedWithAnotherKey) {
  Account forged(k_author, 3);  // the right DID in the commit, signed by a key of the forger's
  forged.publish(document());
  serve(forged.proof());
  EXPECT_EQ(detail(), "the commit's signature does not match");
  EXPECT_EQ(error(), Error::invalid);
}

TEST_F(Lexicons, AttackRecordSwappedInsideTheProof) {
  const Bytes honest = author_.proof(), record = author_.records.at(k_collection + "/" + k_nsid.str());
  auto contents = *car::read_all(honest);
  for (const bool under_its_old_cid : {true, false}) {
    Bytes car;
    car::Writer writer(car);
    writer.header(contents.roots);
    for (const auto& [cid, bytes] : contents.blocks) {
      if (bytes != record) {
        writer.block(cid, bytes);
        continue;
      }
      auto swapped = document();
      swapped.set("defs", json::Object{{"main", json::Object{{"type", "permission-set"}}}});
      const Bytes block = cbor::encode(*cbor::from_json(std::move(swapped)));
      writer.block(under_its_old_cid ? cid : Cid::of_dag_cbor(block), block);
    }
    serve(car);
    EXPECT_EQ(error(), Error::invalid) << under_its_old_cid;
  }
}

TEST_F(Lexicons, AttackAProofOfAnotherRecordOfTheRepository) {
  serve(author_.proof("com.example.calendar.event/e7"));
  EXPECT_EQ(error(), Error::invalid);
}

TEST_F(Lexicons, AttackExclusionProofIsNoLexicon) {
  Account empty(k_author, 1);  // the same key, nothing published
  serve(empty.proof());
  EXPECT_EQ(error(), Error::not_found);
}

TEST_F(Lexicons, AttackTheRecordIsALexiconOfAnotherName) {
  for (const auto* id : {"com.example.calendar.authFull", "com.example.calendar.AuthBasic",
                         "com.example.calendar.authBasic#main"}) {
    author_.publish(document(id));
    serve(author_.proof());
    EXPECT_EQ(detail(), "the record is another lexicon") << id;
  }
  auto nameless = document();
  nameless.erase("id");
  author_.publish(nameless);
  serve(author_.proof());
  EXPECT_EQ(detail(), "the record is another lexicon");
}

TEST_F(Lexicons, AttackTheRecordIsNoLexicon) {
  auto other = document();
  other.set("$type", "com.example.calendar.event");
  author_.publish(other);
  serve(author_.proof());
  EXPECT_EQ(detail(), "the record is no lexicon");
  for (const json::Value& version : {json::Value(2), json::Value("1"), json::Value(nullptr)}) {
    auto later = document();
    later.set("lexicon", version);
    author_.publish(later);
    serve(author_.proof());
    EXPECT_EQ(detail(), "not version 1 of the lexicon language");
  }
}

TEST_F(Lexicons, AttackADidDocumentWithoutPdsOrKey) {
  const std::string url = std::string("https://plc.example/") + k_author;
  for (const std::string& gone : {std::string("AtprotoPersonalDataServer"), std::string("#atproto\"")}) {
    std::string text = author_.did_document();
    text.replace(text.find(gone), gone.size(), gone.back() == '"' ? "#other\"" : "Other");
    web_.pages[url] = {200, {}, text};
    identities_.forget(*Did::parse(k_author));
    EXPECT_EQ(detail(), "the DID document has no PDS or no key");
  }
}

TEST_F(Lexicons, AttackAnAddressTheGuardRefusesIsFinal) {
  web_.broken[get_record_] = FetchError::Kind::refused_by_guard;
  EXPECT_EQ(error(), Error::invalid);
}

TEST_F(Lexicons, AttackOversizedCar) {
  const auto of_size = [&](std::size_t size) {
    Bytes car = author_.proof();
    Bytes block(size - car.size() - Cid::k_size - 3);  // a varint of three bytes
    car::Writer(car).block(Cid::of_raw(block), block);
    EXPECT_EQ(car.size(), size);
    return car;
  };
  serve(of_size(repo::k_max_proof_bytes));
  EXPECT_EQ(error(), std::nullopt);
  serve(of_size(repo::k_max_proof_bytes + 1));
  EXPECT_EQ(error(), Error::invalid);
}

TEST_F(Lexicons, AttackGarbageInsteadOfACar) {
  for (const std::string& body : {std::string(), std::string("{}"), std::string(1000, '\xff'),
                                  to_string(BytesView(author_.proof()).first(author_.proof().size() - 1))}) {
    web_.pages[get_record_] = {200, {}, body};
    EXPECT_EQ(error(), Error::invalid);
  }
}

TEST_F(Lexicons, NotFoundIsToldFromTrouble) {
  for (const auto* name :
       {"RecordNotFound", "RepoNotFound", "RepoTakendown", "RepoSuspended", "RepoDeactivated"}) {
    serve_error(400, std::string(R"({"error":")") + name + R"("})");
    EXPECT_EQ(error(), Error::not_found) << name;
  }
  for (const auto& [status, body] : {std::pair{429, R"({"error":"RateLimitExceeded"})"},
                                     {500, R"({"error":"InternalServerError"})"},
                                     {502, "<html>"},
                                     {400, "not JSON"}}) {
    serve_error(status, body);
    EXPECT_EQ(error(), Error::unreachable) << status;
  }
  for (const auto kind : {FetchError::Kind::timeout, FetchError::Kind::unreachable}) {
    web_.broken[get_record_] = kind;
    EXPECT_EQ(error(), Error::unreachable);
  }
}

TEST_F(Lexicons, ADirectoryInTroubleIsNotAMissingAccount) {
  const std::string url = std::string("https://plc.example/") + k_author;
  web_.broken[url] = FetchError::Kind::timeout;
  EXPECT_EQ(error(), Error::unreachable);
  web_.broken.clear();
  web_.pages.erase(url);
  EXPECT_EQ(error(), Error::not_found);
}

TEST_F(Lexicons, ANameServerInTroubleIsNotAMissingName) {
  dns_.down = FetchError::Kind::timeout;
  EXPECT_EQ(error(), Error::unreachable);
  dns_.down.reset();
  dns_.records.clear();
  EXPECT_EQ(error(), Error::not_found);
}

TEST_F(Lexicons, AnAccountThatMovedIsFoundAtItsNewPlace) {
  ASSERT_TRUE(resolve());
  SeededRng rng(8);
  author_.key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  knows(author_, "https://new.example");
  web_.pages["https://new.example/xrpc/com.atproto.sync.getRecord"] = {200, {}, to_string(author_.proof())};
  serve_error(400, R"({"error":"RepoNotFound"})");
  EXPECT_TRUE(resolve()) << "the cached document names the old place";
}

}  // namespace
}  // namespace latchkey::lexicon
