#include "mail/dkim.h"

#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "mail/message.h"

namespace latchkey::mail {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// RFC 8463 §A.1, the Ed25519 key as PKCS #8 (RFC 8410 §7).
std::string ed25519_pem() {
  Bytes pkcs8 = *from_hex("302e020100300506032b657004220420");
  append(pkcs8, *from_base64("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="));
  return "-----BEGIN PRIVATE KEY-----\n" + base64(pkcs8) + "\n-----END PRIVATE KEY-----\n";
}
constexpr std::string_view k_rsa_pem = R"(-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi
Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM
KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB
AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm
6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe
zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy
6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc
uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy
WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd
WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a
licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst
o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe
uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL
-----END RSA PRIVATE KEY-----
)";

// RFC 8463 §A.3
constexpr std::string_view k_header =
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
constexpr std::string_view k_body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
constexpr std::string_view k_names[] = {"from",       "to",   "subject", "date",
                                        "message-id", "from", "subject", "date"};

TEST(Dkim, Rfc8463AppendixA_BodyHash) {
  EXPECT_EQ(base64(crypto::sha256(as_bytes(relaxed_body(k_body)))),
            "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
}

TEST(Dkim, Rfc8463AppendixA_Ed25519Signature) {
  const auto key = crypto::DkimKey::from_pem(ed25519_pem());
  ASSERT_TRUE(key.has_value()) << key.error();
  const auto text = signed_text(k_header, k_names,
                                "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                                " d=football.example.com; i=@football.example.com;\r\n"
                                " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                                " subject : date : message-id : from : subject : date;\r\n"
                                " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                                " b=");
  EXPECT_EQ(base64(key->sign(as_bytes(text))),
            "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

TEST(Dkim, Rfc8463AppendixA_RsaSignature) {
  const auto key = crypto::DkimKey::from_pem(k_rsa_pem);
  ASSERT_TRUE(key.has_value()) << key.error();
  const auto text = signed_text(k_header, k_names,
                                "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                                " d=football.example.com; i=@football.example.com;\r\n"
                                " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
                                " date : message-id : from : subject : date;\r\n"
                                " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                                " b=");
  EXPECT_EQ(base64(key->sign(as_bytes(text))),
            "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3"
            "DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz"
            "dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=");
}

TEST(Dkim, Rfc8463AppendixA_Records) {
  const Dkim ed{"football.example.com", "brisbane", *crypto::DkimKey::from_pem(ed25519_pem())};
  EXPECT_EQ(ed.record_name(), "brisbane._domainkey.football.example.com");
  EXPECT_EQ(ed.record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  const Dkim rsa{"football.example.com", "test", *crypto::DkimKey::from_pem(k_rsa_pem)};
  EXPECT_EQ(rsa.record(),
            "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhd"
            "R6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT"
            "5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB");
}

TEST(Dkim, Rfc6376RelaxedExample) {  // §3.4.5
  EXPECT_EQ(relaxed_body(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
  const std::string_view names[] = {"a", "b"};
  EXPECT_EQ(signed_text("A: X\r\nB : Y\t\r\n\tZ  \r\n", names, "DKIM-Signature: b="),
            "a:X\r\nb:Y Z\r\ndkim-signature:b=");
}

TEST(Dkim, BodiesWithoutText) {  // RFC 6376 §3.4.4
  EXPECT_EQ(relaxed_body(""), "");
  EXPECT_EQ(relaxed_body("\r\n\r\n"), "");
  EXPECT_EQ(relaxed_body("a"), "a\r\n");
}

std::string our_mail() {
  FakeClock clock;
  SeededRng rng;
  return render({.to = *EmailAddress::parse("suzie@shopping.example.net"),
                 .subject = "04718252 — Willkommen bei Fußball, a subject long enough to be folded twice",
                 .text = "04718252 \n\n  two  spaces\n\n\n",
                 .html = "<p>04718252 — ü</p>"},
                {*EmailAddress::parse("joe@football.example.com"), "Joe \"Sixpack\""}, clock.now(), rng);
}

// 0 good, 1 bad, 77 cannot tell.
int verify(const std::string& mail, const Dkim& dkim) {
  char path[] = "/tmp/latchkey-dkim-XXXXXX";
  ::close(::mkstemp(path));
  std::ofstream(path, std::ios::binary) << mail;
  const std::string name = dkim.record_name(), record = dkim.record();
  const pid_t child = ::fork();
  if (child == 0) {
    // Debian's Python: the module is its package.
    ::execl("/usr/bin/python3", "python3", DKIM_VERIFIER, path, name.c_str(), record.c_str(), nullptr);
    ::_exit(77);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  std::filesystem::remove(path);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Dkim, AnotherImplementationVerifiesWhatWeSign) {
  FakeClock clock;
  for (const std::string& pem : {ed25519_pem(), std::string(k_rsa_pem)}) {
    const Dkim dkim{"football.example.com", "s1", *crypto::DkimKey::from_pem(pem)};
    const std::string mail = our_mail();
    const std::string signed_mail = dkim_signature(dkim, mail, clock.now()) + mail;
    const int good = verify(signed_mail, dkim);
    if (good == 77) GTEST_SKIP() << "python3-dkim is not installed";
    EXPECT_EQ(good, 0) << signed_mail;

    // It would notice.
    std::string changed = signed_mail;
    changed.replace(changed.rfind("04718252"), 8, "04718253");
    EXPECT_EQ(verify(changed, dkim), 1);
  }
}

TEST(Dkim, AttackSecondFrom_IsNotWhatWasSigned) {  // RFC 6376 §8.15
  FakeClock clock;
  const Dkim dkim{"football.example.com", "s1", *crypto::DkimKey::from_pem(k_rsa_pem)};
  const std::string mail = our_mail(), header = mail.substr(0, mail.find("\r\n\r\n") + 2);
  const std::string field = dkim_signature(dkim, mail, clock.now());
  const auto h = field.find("h=") + 2;
  const std::string list = field.substr(h, field.find(';', h) - h);
  std::vector<std::string_view> names;  // as a verifier reads them
  for (std::size_t at = 0; at < list.size();) {
    const auto end = std::min(list.find(':', at), list.size());
    std::string_view name = std::string_view(list).substr(at, end - at);
    name.remove_prefix(std::min(name.find_first_not_of("\r\n "), name.size()));
    names.push_back(name);
    at = end + 1;
  }
  ASSERT_EQ(names.size(), 9u);
  EXPECT_NE(signed_text("From: attacker@evil.example\r\n" + header, names, field),
            signed_text(header, names, field));
  EXPECT_EQ(signed_text("X-Relay: one\r\n" + header, names, field), signed_text(header, names, field))
      << "what relays add is not ours";
}

TEST(Dkim, FieldIsFoldedAndNamesWhatItSigns) {
  FakeClock clock;
  const Dkim dkim{"football.example.com", "s1", *crypto::DkimKey::from_pem(k_rsa_pem)};
  const std::string field = dkim_signature(dkim, our_mail(), clock.now());
  EXPECT_THAT(field, StartsWith("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                                " d=football.example.com; s=s1; t=1750000000;\r\n"));
  EXPECT_THAT(field, HasSubstr("h=From:From:To:Subject:Date:Message-ID:\r\n"
                               "  MIME-Version:Content-Type:Auto-Submitted;"));
  for (std::size_t at = 0; at < field.size();) {
    const auto end = field.find("\r\n", at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - at, 78u);
    at = end + 2;
  }
}

TEST(Dkim, Selectors) {  // RFC 6376 §3.1
  for (const char* good : {"s1", "2025-06", "mail.eu", "a_b"}) EXPECT_TRUE(is_selector(good)) << good;
  for (const char* bad : {"", ".", "a..b", ".a", "a.", "a b", "a;b", "S1", "a\r\nb"})
    EXPECT_FALSE(is_selector(bad)) << bad;
  EXPECT_TRUE(is_selector(std::string(63, 'a')));
  EXPECT_FALSE(is_selector(std::string(64, 'a')));
}

}  // namespace
}  // namespace latchkey::mail
