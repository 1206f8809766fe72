#include "atproto/identity/did_document.h"

#include <gtest/gtest.h>

namespace latchkey::identity {
namespace {

// Both keys are the example pair of https://atproto.com/specs/did#legacy-representation.
constexpr const char* k_multikey = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF";
constexpr const char* k_legacy =
    "zQYEBzXeuTM9UR3rfvNag6L3RNAs5pQZyYPsomTsgQhsxLdEgCrPTLgFna8yqCnxPpNT7DBk6Ym3dgPKNu86vt9GR";

const Did k_did = *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz");

/// A whole document with one member replaced.
std::string document(std::string aka, std::string methods, std::string services) {
  return R"({"@context":["https://www.w3.org/ns/did/v1"],"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","alsoKnownAs":)" +
         aka + R"(,"verificationMethod":)" + methods + R"(,"service":)" + services + "}";
}
std::string method(std::string id, std::string type, std::string key,
                   std::string controller = "did:plc:ewvi7nxzyoun6zhxrhs64oiz") {
  return R"({"id":")" + id + R"(","type":")" + type + R"(","controller":")" + controller +
         R"(","publicKeyMultibase":")" + key + "\"}";
}
std::string service(std::string endpoint, std::string id = "#atproto_pds",
                    std::string type = "AtprotoPersonalDataServer") {
  return R"({"id":")" + id + R"(","type":")" + type + R"(","serviceEndpoint":")" + endpoint + "\"}";
}
DidDocument parsed(const std::string& text) {
  auto d = DidDocument::parse(k_did, text);
  EXPECT_TRUE(d.has_value()) << (d ? "" : d.error().message) << "\n" << text;
  return *std::move(d);
}
std::string with_aka(std::string aka) { return document(std::move(aka), "[]", "[]"); }
std::string with_method(std::string m) { return document("[]", "[" + std::move(m) + "]", "[]"); }
std::string with_service(std::string s) { return document("[]", "[]", "[" + std::move(s) + "]"); }

TEST(DidDocument, GivesHandleKeyAndPds) {
  const auto d =
      parsed(document(R"(["at://Alice.test"])", "[" + method("#atproto", "Multikey", k_multikey) + "]",
                      "[" + service("https://pds.example.com") + "]"));
  EXPECT_EQ(d.handle()->str(), "alice.test");
  EXPECT_EQ(d.signing_key()->multibase(), k_multikey);
  EXPECT_EQ(d.pds(), "https://pds.example.com");
  EXPECT_EQ(d.id, k_did);
}

TEST(DidDocument, MayHoldNothingOfAtproto) {
  const auto d = parsed(R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz"})");
  EXPECT_FALSE(d.handle());
  EXPECT_FALSE(d.signing_key());
  EXPECT_FALSE(d.pds());
}

TEST(DidDocument, TakesTheFirstValidHandle) {
  EXPECT_EQ(
      parsed(
          with_aka(
              R"(["https://alice.example","at://not a handle","at://a.test/x","at://b.test","at://c.test"])"))
          .handle()
          ->str(),
      "b.test");
  EXPECT_FALSE(parsed(with_aka(R"(["alice.test","AT://alice.test"])")).handle());
}

TEST(DidDocument, ReadsTheFullAndTheShortFragment) {
  EXPECT_TRUE(parsed(with_method(method("did:plc:ewvi7nxzyoun6zhxrhs64oiz#atproto", "Multikey", k_multikey)))
                  .signing_key());
  EXPECT_FALSE(parsed(with_method(method("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa#atproto", "Multikey", k_multikey)))
                   .signing_key())
      << "somebody else's key";
  EXPECT_FALSE(parsed(with_method(method("#atproto_label", "Multikey", k_multikey))).signing_key());
  EXPECT_FALSE(parsed(with_method(method("atproto", "Multikey", k_multikey))).signing_key());
}

TEST(DidDocument, WantsTheAccountAsController) {
  EXPECT_FALSE(
      parsed(with_method(method("#atproto", "Multikey", k_multikey, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")))
          .signing_key());
}

TEST(DidDocument, ReadsLegacyKeys) {
  const auto d = parsed(with_method(method("#atproto", "EcdsaSecp256k1VerificationKey2019", k_legacy)));
  ASSERT_TRUE(d.signing_key());
  EXPECT_EQ(d.signing_key()->multibase(), k_multikey);
  EXPECT_FALSE(parsed(with_method(method("#atproto", "Multikey", k_legacy))).signing_key());
  EXPECT_FALSE(
      parsed(with_method(method("#atproto", "EcdsaSecp256r1VerificationKey2019", k_legacy))).signing_key())
      << "the point is not on that curve";
}

TEST(DidDocument, TakesTheFirstValidKey) {
  const auto d = parsed(document("[]",
                                 "[" + method("#atproto", "Multikey", "zBroken") + "," +
                                     method("#atproto", "Multikey", k_multikey) + "]",
                                 "[]"));
  EXPECT_TRUE(d.signing_key());
}

TEST(DidDocument, WantsAnOriginAsPds) {
  struct Row {
    const char* endpoint;
    const char* pds;
    const char* why;
  };
  const Row rows[] = {
      {"https://pds.example.com/", "https://pds.example.com", "a lone slash says nothing"},
      {"https://PDS.example.com:443", "https://pds.example.com", "the default port"},
      {"http://localhost:2583", "http://localhost:2583",
       "development; callers decide whether they accept it"},
      {"https://pds.example.com/xrpc", nullptr, "a path"},
      {"https://me@pds.example.com", nullptr, "user information"},
      {"https://pds.example.com?x", nullptr, "a query"},
      {"https://pds.example.com#x", nullptr, "a fragment"},
      {"ftp://pds.example.com", nullptr, "another scheme"},
      {"pds.example.com", nullptr, "no URL"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(parsed(with_service(service(row.endpoint))).pds(),
              row.pds ? std::optional<std::string>(row.pds) : std::nullopt)
        << row.endpoint << ": " << row.why;
  EXPECT_FALSE(parsed(with_service(service("https://x.test", "#other"))).pds());
  EXPECT_FALSE(parsed(with_service(service("https://x.test", "#atproto_pds", "Other"))).pds());
  EXPECT_EQ(
      parsed(with_service(service("https://x.test", "#bsky_chat", "BskyChatService"))).service("bsky_chat"),
      "https://x.test");
}

TEST(DidDocument, UsesOnlyTheFirstPds) {
  const auto text = document("[]", "[]", "[" + service("not a url") + "," + service("https://b.test") + "]");
  EXPECT_FALSE(parsed(text).pds());
}

TEST(DidDocument, RefusesWhatIsNotShapedLikeOne) {
  const char* rows[] = {
      "",
      "[]",
      "null",
      R"({"id":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"})",  // another DID's document
      R"({"id":7})",
      "{}",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","alsoKnownAs":"at://a.test"})",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","alsoKnownAs":[1]})",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","verificationMethod":{}})",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","verificationMethod":["#atproto"]})",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","service":[null]})",
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz"})",
  };
  for (const auto* text : rows) EXPECT_FALSE(DidDocument::parse(k_did, text)) << text;
}

TEST(DidDocument, SkipsShapesOfDidCoreThatAtprotoDoesNotUse) {
  const auto d = parsed(
      R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","service":[{"id":"#x","type":["A"],"serviceEndpoint":{"a":1}},)" +
      service("https://pds.test") + R"(],"verificationMethod":[{"id":"#k","type":"JsonWebKey2020",)" +
      R"("controller":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","publicKeyJwk":{}}]})");
  EXPECT_EQ(d.pds(), "https://pds.test");
  EXPECT_TRUE(d.keys.empty());
}

TEST(DidDocument, IsBounded) {
  const auto many = [](std::size_t n) {
    std::string list = "[";
    for (std::size_t i = 0; i < n; ++i) list += std::string(i ? "," : "") + "\"at://a.test\"";
    return with_aka(list + "]");
  };
  EXPECT_TRUE(DidDocument::parse(k_did, many(k_max_document_entries)));
  EXPECT_FALSE(DidDocument::parse(k_did, many(k_max_document_entries + 1)));

  std::string padded = R"({"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz"})";
  padded.resize(k_max_document_bytes, ' ');
  EXPECT_TRUE(DidDocument::parse(k_did, padded));
  EXPECT_FALSE(DidDocument::parse(k_did, padded + " "));
}

}  // namespace
}  // namespace latchkey::identity
