#include "crypto/key.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "base/encoding.h"
#include "base/json.h"

namespace latchkey::crypto {
namespace {

Bytes un(std::string_view h) { return from_hex(h).value(); }

json::Value fixture(const std::string& name) {
  std::ifstream in(std::string(LATCHKEY_FIXTURES) + "/crypto/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return json::parse(text.str()).value();
}

// ---- interop files

TEST(SignatureFixtures, VerifyAsTheFileSays) {  // signature-fixtures.json
  const auto cases = fixture("signature-fixtures.json");
  ASSERT_EQ(cases.array()->size(), 6u);
  for (const auto& c : *cases.array()) {
    const std::string& comment = *c.string_at("comment");
    const Curve curve = *c.string_at("algorithm") == "ES256" ? Curve::p256 : Curve::k256;
    const auto key = PublicKey::from_did_key(*c.string_at("publicKeyDid"));
    ASSERT_TRUE(key) << comment;
    EXPECT_EQ(key->curve(), curve) << comment;
    EXPECT_EQ(key->did_key(), *c.string_at("publicKeyDid")) << comment;
    const auto legacy = PublicKey::from_legacy_multibase(curve, *c.string_at("publicKeyMultibase"));
    ASSERT_TRUE(legacy) << comment;
    EXPECT_EQ(*legacy, *key) << comment;
    const Bytes message = from_base64(*c.string_at("messageBase64")).value();
    const Bytes signature = from_base64(*c.string_at("signatureBase64")).value();
    EXPECT_EQ(key->verify(message, signature, HighS::refuse), *c.find("validSignature")->boolean())
        << comment;
    // JWTs may carry the high twin; DER is wrong everywhere.
    EXPECT_EQ(key->verify(message, signature, HighS::accept), signature.size() == 64) << comment;
  }
}

TEST(DidKeyFixtures, AreThePublicKeysOfTheirPrivateKeys) {  // w3c_didkey_K256.json, w3c_didkey_P256.json
  const auto k256 = fixture("w3c_didkey_K256.json");
  for (const auto& c : *k256.array()) {
    const auto key = PrivateKey::from_bytes(Curve::k256, un(*c.string_at("privateKeyBytesHex")));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->public_key().did_key(), *c.string_at("publicDidKey"));
    EXPECT_EQ(PublicKey::from_did_key(*c.string_at("publicDidKey")).value(), key->public_key());
  }
  const auto p256 = fixture("w3c_didkey_P256.json");
  for (const auto& c : *p256.array()) {
    const auto key =
        PrivateKey::from_bytes(Curve::p256, from_base58btc(*c.string_at("privateKeyBytesBase58")).value());
    ASSERT_TRUE(key);
    EXPECT_EQ(key->public_key().did_key(), *c.string_at("publicDidKey"));
    EXPECT_EQ(PublicKey::from_did_key(*c.string_at("publicDidKey")).value(), key->public_key());
  }
  EXPECT_EQ(k256.array()->size() + p256.array()->size(), 6u);
}

// ---- published vectors

struct Vector {
  Curve curve;
  std::string_view key, x, y, message, signature;
  bool low_s;
};

TEST(EcdsaVectors, Verify) {
  const Vector vectors[] = {
      // RFC 6979 A.2.5, SHA-256
      {Curve::p256, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
       "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
       "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299", "sample",
       "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
       "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
       false},
      {Curve::p256, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
       "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
       "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299", "test",
       "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
       "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
       true},
      // RFC 6979 nonces on secp256k1, the vectors Bitcoin libraries share; the key 1 has the generator as
      // its public key (SEC 2 §2.4.1)
      {Curve::k256, "0000000000000000000000000000000000000000000000000000000000000001",
       "79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798",
       "483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8", "Satoshi Nakamoto",
       "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
       "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
       true},
  };
  for (const auto& v : vectors) {
    const auto key = PrivateKey::from_bytes(v.curve, un(v.key)).value();
    EXPECT_EQ(key.public_key().x(), un(v.x));
    EXPECT_EQ(key.public_key().y(), un(v.y));
    const auto pub = PublicKey::from_coordinates(v.curve, un(v.x), un(v.y)).value();
    EXPECT_TRUE(pub.verify(as_bytes(v.message), un(v.signature), HighS::accept)) << v.message;
    EXPECT_EQ(pub.verify(as_bytes(v.message), un(v.signature), HighS::refuse), v.low_s) << v.message;
    if (v.curve == Curve::k256) EXPECT_EQ(hex(BytesView(key.sign(as_bytes(v.message)))), v.signature);
  }
}

// ---- signing

class BothCurves : public ::testing::TestWithParam<Curve> {};
INSTANTIATE_TEST_SUITE_P(Keys, BothCurves, ::testing::Values(Curve::p256, Curve::k256));

TEST_P(BothCurves, SignaturesAreLowSAndVerify) {
  SeededRng rng;
  const auto key = PrivateKey::generate(GetParam(), rng);
  for (int i = 0; i < 50; ++i) {  // a signer that forgets low-S fails half of these
    const Bytes message = rng.bytes(static_cast<std::size_t>(i));
    const Signature s = key.sign(message);
    EXPECT_TRUE(key.public_key().verify(message, s, HighS::refuse));
    EXPECT_TRUE(key.public_key().verify(message, s, HighS::accept));
    Bytes other = message;
    other.push_back(0);
    EXPECT_FALSE(key.public_key().verify(other, s, HighS::accept));
  }
}

TEST_P(BothCurves, AnotherKeysSignatureIsRefused) {
  SeededRng rng;
  const auto a = PrivateKey::generate(GetParam(), rng), b = PrivateKey::generate(GetParam(), rng);
  EXPECT_FALSE(b.public_key().verify(as_bytes("m"), a.sign(as_bytes("m")), HighS::accept));
  EXPECT_FALSE(a.public_key() == b.public_key());
}

TEST_P(BothCurves, ChangedShortenedAndTrivialSignaturesAreRefused) {
  SeededRng rng;
  const auto key = PrivateKey::generate(GetParam(), rng);
  const Signature s = key.sign(as_bytes("m"));
  for (std::size_t i = 0; i < 64; ++i) {
    Signature changed = s;
    changed[i] ^= 1;
    EXPECT_FALSE(key.public_key().verify(as_bytes("m"), changed, HighS::accept));
  }
  Bytes longer(s.begin(), s.end());
  longer.push_back(0);
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), longer, HighS::accept));
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), BytesView(s).first(63), HighS::accept));
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), {}, HighS::accept));
  // CVE-2022-21449: r = s = 0 must not verify; neither may r = n, s = n or all ones.
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), Bytes(64, 0), HighS::accept));
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), Bytes(64, 0xff), HighS::accept));
  Signature zero_s = s, zero_r = s;
  std::fill(zero_s.begin() + 32, zero_s.end(), 0);
  std::fill(zero_r.begin(), zero_r.begin() + 32, 0);
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), zero_s, HighS::accept));
  EXPECT_FALSE(key.public_key().verify(as_bytes("m"), zero_r, HighS::accept));
}

TEST_P(BothCurves, OneKeyServesManyThreads) {
  SeededRng rng;
  const auto key = PrivateKey::generate(GetParam(), rng);
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&good, key, pub = key.public_key()] {
      for (int i = 0; i < 20; ++i) good += pub.verify(as_bytes("m"), key.sign(as_bytes("m")), HighS::refuse);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 80);
}

// ---- forms

TEST_P(BothCurves, EveryFormRoundTrips) {
  SeededRng rng;
  for (int i = 0; i < 20; ++i) {  // both signs of y
    const auto key = PrivateKey::generate(GetParam(), rng);
    const auto pub = key.public_key();
    EXPECT_EQ(PublicKey::from_did_key(pub.did_key()).value(), pub);
    EXPECT_EQ(PublicKey::from_multibase(pub.multibase()).value(), pub);
    EXPECT_EQ(PublicKey::from_compressed(GetParam(), pub.compressed()).value(), pub);
    EXPECT_EQ(PublicKey::from_coordinates(GetParam(), pub.x(), pub.y()).value(), pub);
    const auto again = PrivateKey::from_bytes(GetParam(), key.bytes().reveal()).value();
    EXPECT_EQ(again.public_key(), pub);
    Bytes uncompressed{4};
    append(uncompressed, pub.x());
    append(uncompressed, pub.y());
    EXPECT_EQ(PublicKey::from_legacy_multibase(GetParam(), "z" + base58btc(uncompressed)).value(), pub);
  }
}

TEST_P(BothCurves, PointsOffTheCurveAreRefused) {
  SeededRng rng;
  const auto pub = PrivateKey::generate(GetParam(), rng).public_key();
  Bytes y = pub.y();
  y[31] ^= 1;
  EXPECT_FALSE(PublicKey::from_coordinates(GetParam(), pub.x(), y));
  EXPECT_FALSE(PublicKey::from_coordinates(GetParam(), Bytes(32, 0), Bytes(32, 0)));
  EXPECT_FALSE(PublicKey::from_coordinates(GetParam(), Bytes(32, 0xff), Bytes(32, 0xff)));  // >= p
  EXPECT_FALSE(PublicKey::from_coordinates(GetParam(), BytesView(pub.x()).first(31), pub.y()));
  const Curve other = GetParam() == Curve::p256 ? Curve::k256 : Curve::p256;
  EXPECT_FALSE(PublicKey::from_coordinates(other, pub.x(), pub.y()));
  int refused = 0;  // about half of all x have no point
  for (std::uint8_t i = 0; i < 32; ++i) {
    Bytes point = pub.compressed();
    point[20] ^= i;
    refused += !PublicKey::from_compressed(GetParam(), point);
  }
  EXPECT_GT(refused, 4);
}

TEST_P(BothCurves, WrongPrefixesAndLengthsAreRefused) {
  SeededRng rng;
  const auto pub = PrivateKey::generate(GetParam(), rng).public_key();
  for (const int first : {0, 1, 4, 5, 6, 7}) {  // 4, 6, 7: uncompressed and hybrid forms; 0: infinity
    Bytes point = pub.compressed();
    point[0] = static_cast<std::uint8_t>(first);
    EXPECT_FALSE(PublicKey::from_compressed(GetParam(), point)) << first;
  }
  Bytes longer = pub.compressed();
  longer.push_back(0);
  EXPECT_FALSE(PublicKey::from_compressed(GetParam(), longer));
  EXPECT_FALSE(PublicKey::from_compressed(GetParam(), Bytes{0}));  // SEC 1's infinity
  EXPECT_FALSE(PublicKey::from_compressed(GetParam(), {}));
  Bytes hybrid{static_cast<std::uint8_t>(6 | (pub.y()[31] & 1))};
  append(hybrid, pub.x());
  append(hybrid, pub.y());
  EXPECT_FALSE(PublicKey::from_legacy_multibase(GetParam(), "z" + base58btc(hybrid)));
}

TEST_P(BothCurves, ScalarsOutOfRangeAreRefused) {
  const std::string n = GetParam() == Curve::p256
                            ? "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
                            : "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  Bytes last = un(n);
  last[31] -= 1;
  EXPECT_TRUE(PrivateKey::from_bytes(GetParam(), last));
  EXPECT_FALSE(PrivateKey::from_bytes(GetParam(), un(n)));
  EXPECT_FALSE(PrivateKey::from_bytes(GetParam(), Bytes(32, 0xff)));
  EXPECT_FALSE(PrivateKey::from_bytes(GetParam(), Bytes(32, 0)));
  EXPECT_FALSE(PrivateKey::from_bytes(GetParam(), Bytes(31, 1)));
  EXPECT_FALSE(PrivateKey::from_bytes(GetParam(), Bytes(33, 1)));
}

TEST(DidKey, RefusesWhatIsNoKeyOfOurs) {
  const std::string good = "did:key:zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo";
  ASSERT_TRUE(PublicKey::from_did_key(good));
  for (const std::string& bad :
       {std::string(), std::string("did:key:"), std::string("did:key:z"),
        std::string("DID:KEY:") + good.substr(8), good.substr(8), good + "1", good.substr(0, good.size() - 1),
        good + " ",
        "did:key:m" + good.substr(9),                                             // another base
        std::string("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"),  // ed25519
        "did:key:z1" + good.substr(9),                                            // a leading zero byte
        "did:key:z" + std::string(100'000, '2')})
    EXPECT_FALSE(PublicKey::from_did_key(bad)) << bad.substr(0, 80);
}

// ---- PEM

std::string pem_of(EVP_PKEY* key, bool sec1, const char* pass = nullptr) {
  BIO* bio = BIO_new(BIO_s_mem());
  const int pass_size = pass ? static_cast<int>(std::strlen(pass)) : 0;
  const auto* kstr = reinterpret_cast<const unsigned char*>(pass);
  if (sec1)
    PEM_write_bio_PrivateKey_traditional(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  else
    PEM_write_bio_PrivateKey(bio, key, pass ? EVP_aes_256_cbc() : nullptr, kstr, pass_size, nullptr, nullptr);
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(n));
  BIO_free(bio);
  return out;
}

TEST(Pem, ReadsPkcs8AndSec1OfBothCurves) {
  for (const auto& [name, curve] : {std::pair("P-256", Curve::p256), std::pair("secp256k1", Curve::k256)}) {
    EVP_PKEY* key = EVP_EC_gen(name);
    ASSERT_NE(key, nullptr);
    const auto pkcs8 = PrivateKey::from_pem(pem_of(key, false));
    const auto sec1 = PrivateKey::from_pem(pem_of(key, true));
    ASSERT_TRUE(pkcs8);
    ASSERT_TRUE(sec1);
    EXPECT_EQ(pkcs8->curve(), curve);
    EXPECT_EQ(pkcs8->public_key(), sec1->public_key());
    EXPECT_TRUE(pkcs8->public_key().verify(as_bytes("m"), sec1->sign(as_bytes("m")), HighS::refuse));
    // A pass phrase is never asked for on the terminal.
    EXPECT_FALSE(PrivateKey::from_pem(pem_of(key, false, "secret")));
    EVP_PKEY_free(key);
  }
}

TEST(Pem, RefusesOtherKeysAndGarbage) {
  EVP_PKEY* p384 = EVP_EC_gen("P-384");
  EXPECT_FALSE(PrivateKey::from_pem(pem_of(p384, false)));
  EVP_PKEY_free(p384);
  EVP_PKEY* ed = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EXPECT_FALSE(PrivateKey::from_pem(pem_of(ed, false)));
  EVP_PKEY_free(ed);
  EXPECT_FALSE(PrivateKey::from_pem(""));
  EXPECT_FALSE(PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  EXPECT_FALSE(PrivateKey::from_pem(std::string(16 * 1024 + 1, 'x')));
}

TEST(PrivateKey, GenerateIsRepeatableFromItsRng) {
  SeededRng a(5), b(5);
  EXPECT_EQ(PrivateKey::generate(Curve::p256, a).public_key(),
            PrivateKey::generate(Curve::p256, b).public_key());
}

}  // namespace
}  // namespace latchkey::crypto
