#include "crypto/dkim_key.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "crypto/openssl.h"

namespace latchkey::crypto {
namespace {

std::string pem_of(const Pkey& key) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return pem;
}

TEST(DkimKey, SaysWhichKeysItCannotUse) {
  EXPECT_FALSE(DkimKey::from_pem(""));
  EXPECT_FALSE(DkimKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  const auto ec = DkimKey::from_pem(pem_of(Pkey(EVP_EC_gen("P-256"))));
  ASSERT_FALSE(ec.has_value());
  EXPECT_EQ(ec.error(), "it is neither an RSA nor an Ed25519 key");
}

TEST(DkimKey, RsaLengthsBothSides) {  // RFC 8301 §3.2
  EXPECT_FALSE(DkimKey::from_pem(pem_of(Pkey(EVP_RSA_gen(1016)))));
  EXPECT_TRUE(DkimKey::from_pem(pem_of(Pkey(EVP_RSA_gen(1024)))));
}

TEST(DkimKey, Ed25519IsTheKeyOfRfc8032) {  // §7.1, test 1
  Bytes pkcs8 = *from_hex("302e020100300506032b657004220420");
  append(pkcs8, *from_base64("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="));
  const auto key =
      DkimKey::from_pem("-----BEGIN PRIVATE KEY-----\n" + base64(pkcs8) + "\n-----END PRIVATE KEY-----\n");
  ASSERT_TRUE(key.has_value()) << key.error();
  EXPECT_EQ(key->type(), DkimKey::Type::ed25519);
  EXPECT_EQ(base64(key->public_key()), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  EXPECT_EQ(key->sign(as_bytes("mail")).size(), 64u);
}

}  // namespace
}  // namespace latchkey::crypto
