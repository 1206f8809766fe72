#include "atproto/plc/operation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "atproto/cbor/cbor.h"
#include "base/encoding.h"

namespace latchkey::plc {
namespace {

using Code = Error::Code;

crypto::PrivateKey key(crypto::Curve curve = crypto::Curve::k256, std::uint64_t seed = 1) {
  SeededRng rng(seed);
  return crypto::PrivateKey::generate(curve, rng);
}

std::string did_key(std::uint64_t seed) { return key(crypto::Curve::p256, seed).public_key().did_key(); }

Data data() {
  return atproto_data({key().public_key().did_key()}, key(crypto::Curve::p256).public_key(), "alice.test",
                      "https://pds.test");
}

const Cid k_cid = Cid::of_dag_cbor(as_bytes("an operation"));

TEST(Operation, SurvivesJson) {
  const Unsigned contents[] = {PlcOperation{data(), std::nullopt}, PlcOperation{data(), k_cid},
                               PlcTombstone{k_cid},
                               LegacyCreate{did_key(1), did_key(2), "alice.test", "pds.test"}};
  for (const auto& content : contents) {
    const Operation op = Operation::sign(content, key());
    const auto read = Operation::parse(json::Value(op.to_json()).dump());
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_EQ(*read, op);
    EXPECT_EQ(read->cid(), op.cid());
  }
}

TEST(Operation, IsSignedWithoutItsSigField) {
  const Operation op = Operation::sign(PlcOperation{data(), std::nullopt}, key());
  auto value = *cbor::decode(op.encode());
  EXPECT_EQ(value.map()->size(), 7u);
  EXPECT_EQ(*value.string_at("sig"), op.sig());
  value.map()->erase("sig");
  const Bytes message = cbor::encode(value);
  EXPECT_EQ(message, encode(op.content()));
  EXPECT_TRUE(key().public_key().verify(message, *from_base64url(op.sig()), crypto::HighS::refuse));
}

// "In DAG-CBOR encoding, the CID is string-encoded." A null prev is there, as null.
TEST(Operation, EncodesPrevAsTextOrNull) {
  const auto with = *cbor::decode(encode(PlcOperation{data(), k_cid}));
  EXPECT_EQ(*with.string_at("prev"), k_cid.str());
  const auto without = *cbor::decode(encode(PlcOperation{data(), std::nullopt}));
  ASSERT_TRUE(without.find("prev"));
  EXPECT_TRUE(without.find("prev")->is_null());
}

TEST(Operation, KnowsWhichKeySignedIt) {
  const Operation op = Operation::sign(PlcOperation{data(), std::nullopt}, key());
  const std::string own = key().public_key().did_key(), other = did_key(9);
  EXPECT_EQ(op.signer(std::vector{own}), 0u);
  EXPECT_EQ(op.signer(std::vector{other, own, own}), 1u);
  EXPECT_EQ(op.signer(std::vector{std::string("did:key:zNonsense"), own}), 1u);
  EXPECT_EQ(op.signer(std::vector{other}), std::nullopt);
  EXPECT_EQ(op.signer({}), std::nullopt);
}

TEST(Operation, IsNotSignedWhenAnythingIsChanged) {
  const Operation op = Operation::sign(PlcOperation{data(), std::nullopt}, key());
  const std::vector keys{key().public_key().did_key()};
  auto text = op.to_json();
  for (const std::string& sig :
       {op.sig() + "=", op.sig() + "\n", op.sig().substr(0, 85), std::string(), std::string(86, 'A')}) {
    text.set("sig", sig);
    EXPECT_EQ(Operation::from_json(text)->signer(keys), std::nullopt) << sig;
  }
  auto other = op.to_json();
  other.set("alsoKnownAs", json::Array{"at://mallory.test"});
  EXPECT_EQ(Operation::from_json(other)->signer(keys), std::nullopt);
}

TEST(Operation, RefusesUnknownAndMissingFields) {
  const json::Object good = Operation::sign(PlcOperation{data(), std::nullopt}, key()).to_json();
  ASSERT_TRUE(Operation::from_json(good));
  for (const auto& member : good) {
    auto without = good;
    without.erase(member.key);
    EXPECT_FALSE(Operation::from_json(without)) << member.key;
    auto other_type = good;
    other_type.set(member.key, 7);
    EXPECT_FALSE(Operation::from_json(other_type)) << member.key;
  }
  auto more = good;
  more.set("extra", 1);
  EXPECT_FALSE(Operation::from_json(more));
  auto service = good;
  service.find("services")->object()->find("atproto_pds")->object()->set("extra", 1);
  EXPECT_FALSE(Operation::from_json(service));
  auto half = good;
  half.find("services")->object()->find("atproto_pds")->object()->erase("type");
  EXPECT_FALSE(Operation::from_json(half));
  for (const char* prev : {"", "not a cid", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"}) {
    auto wrong = good;
    wrong.set("prev", prev);
    EXPECT_FALSE(Operation::from_json(wrong)) << prev;
  }
  auto raw = good;
  raw.set("prev", Cid::of_raw(as_bytes("x")).str());
  EXPECT_FALSE(Operation::from_json(raw));

  EXPECT_FALSE(Operation::parse("[]"));
  EXPECT_FALSE(Operation::parse("{"));
  EXPECT_FALSE(Operation::parse("{}"));
  EXPECT_FALSE(Operation::parse(R"({"type":"plc_tombstone","prev":null,"sig":""})"));
  EXPECT_FALSE(Operation::parse(R"({"type":"other","prev":null,"sig":""})"));
}

TEST(LegacyCreate, MeansAnOrdinaryOperation) {
  const Operation op = Operation::sign(LegacyCreate{did_key(1), did_key(2), "alice.test", "pds.test"}, key());
  const Data expected{.rotation_keys = {did_key(2), did_key(1)},
                      .verification_methods = {{"atproto", did_key(1)}},
                      .also_known_as = {"at://alice.test"},
                      .services = {{"atproto_pds", {"AtprotoPersonalDataServer", "https://pds.test"}}}};
  EXPECT_EQ(op.data(), expected);
  EXPECT_EQ(op.prev(), std::nullopt);
  const Operation full =
      Operation::sign(LegacyCreate{did_key(1), did_key(2), "at://alice.test", "http://pds.test"}, key());
  EXPECT_EQ(full.data()->also_known_as[0], "at://alice.test");
  EXPECT_EQ(full.data()->services.at("atproto_pds").endpoint, "http://pds.test");
}

TEST(Did, IsTheStartOfTheGenesisHash) {
  const Did did = did_of(Operation::sign(PlcOperation{data(), std::nullopt}, key()));
  EXPECT_EQ(did.method(), "plc");
  EXPECT_EQ(did.str().size(), 32u);
}

TEST(Document, ShowsTheStateAsDidCoreWantsIt) {
  const Did did = *Did::parse("did:plc:7iza6de2dwap2sbkpav7c6c6");
  Data state;
  state.rotation_keys = {did_key(3)};
  state.verification_methods = {{"atproto", "did:key:zDnaeh9v2RmcMo13Du2d6pjUf5bZwtauYxj3n9dYjw4EZUAR7"}};
  state.also_known_as = {"at://alice.test"};
  state.services = {{"atproto_pds", {"AtprotoPersonalDataServer", "https://example.test"}}};
  const auto expected = *json::parse(R"({
    "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1",
                 "https://w3id.org/security/suites/ecdsa-2019/v1"],
    "id": "did:plc:7iza6de2dwap2sbkpav7c6c6",
    "alsoKnownAs": ["at://alice.test"],
    "verificationMethod": [{"id": "did:plc:7iza6de2dwap2sbkpav7c6c6#atproto", "type": "Multikey",
      "controller": "did:plc:7iza6de2dwap2sbkpav7c6c6",
      "publicKeyMultibase": "zDnaeh9v2RmcMo13Du2d6pjUf5bZwtauYxj3n9dYjw4EZUAR7"}],
    "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
                 "serviceEndpoint": "https://example.test"}]})");
  EXPECT_EQ(json::Value(did_document(did, state)), expected);
  EXPECT_EQ(*json::Value(data_json(did, state)).string_at("did"), did.str());

  state.verification_methods = {
      {"a", key().public_key().did_key()},
      {"b", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"}};  // ed25519
  const json::Value mixed = did_document(did, state);
  EXPECT_EQ(mixed.find("@context")->array()->at(2),
            json::Value("https://w3id.org/security/suites/secp256k1-2019/v1"));
  EXPECT_EQ(mixed.find("@context")->array()->size(), 3u) << "no suite for a kind of key we do not know";
  EXPECT_EQ(*mixed.find("verificationMethod")->array()->at(1).string_at("publicKeyMultibase"),
            "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");
}

// What a stranger may hand in: every limit from both sides.
bool taken(const Data& state) {
  return check_incoming(Operation::sign(PlcOperation{state, std::nullopt}, key())).has_value();
}

TEST(Incoming, TakesAnOrdinaryOperationAndATombstone) {
  EXPECT_TRUE(taken(data()));
  EXPECT_TRUE(check_incoming(Operation::sign(PlcTombstone{k_cid}, key())));
}

TEST(Incoming, RefusesNewLegacyOperations) {
  const auto answer =
      check_incoming(Operation::sign(LegacyCreate{did_key(1), did_key(2), "a.test", "pds.test"}, key()));
  EXPECT_EQ(answer.error().code, Code::improper_operation);
}

TEST(Incoming, LimitsRotationKeys) {
  Data state = data();
  state.rotation_keys.clear();
  EXPECT_FALSE(taken(state)) << "none";
  for (std::uint64_t i = 1; i <= 10; ++i) state.rotation_keys.push_back(did_key(i));
  EXPECT_TRUE(taken(state));
  state.rotation_keys.push_back(did_key(11));
  EXPECT_FALSE(taken(state)) << "eleven";
  state.rotation_keys = {did_key(1), did_key(1)};
  EXPECT_FALSE(taken(state)) << "one twice";
  state.rotation_keys = {"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"};
  EXPECT_FALSE(taken(state)) << "ed25519 cannot rotate";
}

TEST(Incoming, LimitsVerificationMethods) {
  Data state = data();
  state.verification_methods.clear();
  for (int i = 0; i < 10; ++i) state.verification_methods[fmt::format("m{}", i)] = did_key(1);
  EXPECT_TRUE(taken(state));
  state.verification_methods["m10"] = did_key(1);
  EXPECT_FALSE(taken(state)) << "eleven";
  const auto with = [&](std::string id, std::string method_key) {
    Data one = data();
    one.verification_methods = {{std::move(id), std::move(method_key)}};
    return taken(one);
  };
  EXPECT_TRUE(with(std::string(32, 'i'), did_key(1)));
  EXPECT_FALSE(with(std::string(33, 'i'), did_key(1)));
  EXPECT_TRUE(with("atproto", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"))
      << "any kind of key";
  EXPECT_TRUE(with("atproto", "did:key:z" + std::string(k_max_did_key_bytes - 9, '2')));
  EXPECT_FALSE(with("atproto", "did:key:z" + std::string(k_max_did_key_bytes - 8, '2')));
  for (const char* bad :
       {"", "did:key:", "did:key:z", "did:key:z0OIl", "did:web:example.com", "z6Mkha", "did:key:f00"})
    EXPECT_FALSE(with("atproto", bad)) << bad;
}

TEST(Incoming, LimitsNames) {
  Data state = data();
  state.also_known_as.clear();
  EXPECT_TRUE(taken(state)) << "none";
  for (int i = 0; i < 10; ++i) state.also_known_as.push_back(fmt::format("at://h{}.test", i));
  EXPECT_TRUE(taken(state));
  state.also_known_as.push_back("at://more.test");
  EXPECT_FALSE(taken(state)) << "eleven";
  state.also_known_as = {"at://a.test", "at://a.test"};
  EXPECT_FALSE(taken(state)) << "one twice";
  state.also_known_as = {std::string(258, 'a')};
  EXPECT_TRUE(taken(state));
  state.also_known_as = {std::string(259, 'a')};
  EXPECT_FALSE(taken(state));
}

TEST(Incoming, LimitsServices) {
  Data state = data();
  state.services.clear();
  for (int i = 0; i < 10; ++i) state.services[fmt::format("s{}", i)] = {"T", "https://x.test"};
  EXPECT_TRUE(taken(state));
  state.services["s10"] = {"T", "https://x.test"};
  EXPECT_FALSE(taken(state)) << "eleven";
  const auto with = [&](std::size_t id, std::size_t type, std::size_t endpoint) {
    Data one = data();
    one.services = {{std::string(id, 'i'), {std::string(type, 't'), std::string(endpoint, 'e')}}};
    return taken(one);
  };
  EXPECT_TRUE(with(32, 256, 512));
  EXPECT_FALSE(with(33, 256, 512));
  EXPECT_FALSE(with(32, 257, 512));
  EXPECT_FALSE(with(32, 256, 513));
}

// Within all other limits an operation can still be too long as a whole.
TEST(Incoming, LimitsTheWholeTo7500Bytes) {
  Data state = data();
  for (int i = 0; i < 9; ++i)
    state.services[fmt::format("s{}", i)] = {std::string(200, 't'), std::string(500, 'e')};
  const auto size = [&] { return Operation::sign(PlcOperation{state, std::nullopt}, key()).encode().size(); };
  std::string& last = state.services["s0"].endpoint;
  std::string& type = state.services["s0"].type;
  ASSERT_LT(size(), k_max_operation_bytes);
  for (int i = 1; i < 9 && size() + 12 < k_max_operation_bytes; ++i) {
    auto& service = state.services[fmt::format("s{}", i)];
    while (service.endpoint.size() < 512 && size() < k_max_operation_bytes) service.endpoint += 'e';
    while (service.type.size() < 256 && size() < k_max_operation_bytes) service.type += 't';
  }
  while (size() < k_max_operation_bytes && type.size() < 256) type += 't';
  while (size() < k_max_operation_bytes && last.size() < 512) last += 'e';
  while (size() < k_max_operation_bytes) state.also_known_as[0] += 'a';
  ASSERT_EQ(size(), k_max_operation_bytes);
  EXPECT_TRUE(taken(state));
  state.also_known_as[0] += 'a';
  EXPECT_FALSE(taken(state));
}

}  // namespace
}  // namespace latchkey::plc
