#include "mail/address.h"

#include <gmock/gmock.h>

namespace latchkey::mail {
namespace {

std::string parsed(std::string_view text) {
  const auto a = EmailAddress::parse(text);
  return a ? a->str() : "refused";
}

TEST(EmailAddress, IsTrimmedAndLowerCased) {
  EXPECT_EQ(parsed(" Alice.Smith+news@Example.COM\r\n"), "alice.smith+news@example.com");
}

struct Row {
  std::string_view text;
  bool valid;
  const char* why;
};

class EmailSyntax : public ::testing::TestWithParam<Row> {};

TEST_P(EmailSyntax, IsDecided) {
  EXPECT_EQ(EmailAddress::parse(GetParam().text).has_value(), GetParam().valid) << GetParam().why;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, EmailSyntax,
    ::testing::Values(
        Row{"a@b.co", true, "short"}, Row{"o'brien@example.com", true, "atext has the apostrophe"},
        Row{"a_b-c=d@sub.example.co.uk", true, "more atext, more labels"},
        Row{"alice@xn--bcher-kva.example", true, "an IDN in its ASCII form"}, Row{"1@2.com", true, "digits"},
        Row{"alice@3com.test", true, "a label may begin with a digit"}, Row{"", false, "nothing"},
        Row{"   ", false, "only space"}, Row{"alice", false, "no @"}, Row{"alice@", false, "no domain"},
        Row{"@example.com", false, "no local part"}, Row{"a@b@example.com", false, "two @"},
        Row{"alice@localhost", false, "one label"}, Row{"alice@example.com.", false, "final dot"},
        Row{"alice@.example.com", false, "empty label"},
        Row{"alice@exa_mple.com", false, "underscore in a host"},
        Row{"alice@-example.com", false, "label begins with '-'"},
        Row{"alice@example-.com", false, "label ends with '-'"},
        Row{"alice@127.0.0.1", false, "an IPv4 address"},
        Row{"alice@[127.0.0.1]", false, "an address literal"}, Row{".alice@example.com", false, "dot first"},
        Row{"alice.@example.com", false, "dot last"}, Row{"al..ice@example.com", false, "two dots"},
        Row{"\"al ice\"@example.com", false, "a quoted local part"},
        Row{"al ice@example.com", false, "space inside"},
        Row{"alice@example.com\r\nBcc: bob@example.com", false, "header injection"},
        Row{"alice\n@example.com", false, "line feed inside"},
        Row{std::string_view("alice\0@example.com", 18), false, "NUL inside"},
        Row{"alice@example.com,bob@example.com", false, "two addresses"},
        Row{"<alice@example.com>", false, "angle brackets"},
        Row{"Alice <alice@example.com>", false, "a name"},
        Row{"j\xc3\xbcrgen@example.com", false, "not ASCII"},
        Row{"alice@b\xc3\xbc"
            "cher.example",
            false, "not ASCII"}));

TEST(EmailAddress, HasAtMost254Bytes) {
  const std::string domain =
      std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(58, 'c') + ".co";
  const std::string fits = std::string(64, 'x') + "@" + domain;
  ASSERT_EQ(fits.size(), 254u);
  EXPECT_NE(parsed(fits), "refused");
  EXPECT_EQ(parsed(std::string(64, 'x') + "@c" + domain), "refused");
}

TEST(EmailAddress, HasAtMost64BytesBeforeTheAt) {
  EXPECT_NE(parsed(std::string(64, 'x') + "@example.com"), "refused");
  EXPECT_EQ(parsed(std::string(65, 'x') + "@example.com"), "refused");
}

TEST(EmailAddress, HasLabelsOfAtMost63Bytes) {
  EXPECT_NE(parsed("a@" + std::string(63, 'x') + ".com"), "refused");
  EXPECT_EQ(parsed("a@" + std::string(64, 'x') + ".com"), "refused");
}

TEST(EmailAddress, ShowsLittleOfItselfWhenMasked) {
  EXPECT_EQ(EmailAddress::parse("alice@example.com")->masked(), "al***@example.com");
  EXPECT_EQ(EmailAddress::parse("bob@example.com")->masked(), "bo***@example.com");
  EXPECT_EQ(EmailAddress::parse("al@example.com")->masked(), "a***@example.com");
  EXPECT_EQ(EmailAddress::parse("a@example.com")->masked(), "a***@example.com");
}

TEST(EmailAddress, KnowsItsParts) {
  const auto a = *EmailAddress::parse("alice@example.com");
  EXPECT_EQ(a.local(), "alice");
  EXPECT_EQ(a.domain(), "example.com");
}

TEST(EmailAddress, DoesNotQuoteTheInputInItsError) {
  const auto e = EmailAddress::parse("secret-person");
  EXPECT_THAT(e.error().message, ::testing::Not(::testing::HasSubstr("secret")));
}

}  // namespace
}  // namespace latchkey::mail
