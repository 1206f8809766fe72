#include "mail/message.h"

#include <gmock/gmock.h>

#include "base/encoding.h"

namespace latchkey::mail {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Time k_now = from_unix_seconds(1'750'000'000);  // Sun, 15 Jun 2025 15:06:40 UTC

Message message() {
  return {.to = *EmailAddress::parse("alice@example.com"),
          .subject = "04718252 is your sign-in code",
          .text = "Your code\n\n04718252\n",
          .html = "<p>04718252</p>"};
}

From from(std::string name = "Latchkey") {
  return {*EmailAddress::parse("noreply@pds.example.com"), std::move(name)};
}

std::string rendered(const Message& m, const From& f = from()) {
  SeededRng rng;
  return render(m, f, k_now, rng);
}

// The value of a header, unfolded (RFC 5322 §2.2.3).
std::string header(const std::string& mail, std::string_view name) {
  const std::string head = "\r\n" + mail.substr(0, mail.find("\r\n\r\n")) + "\r\n";
  const std::string start = "\r\n" + std::string(name) + ": ";
  const auto at = head.find(start);
  if (at == std::string::npos) return "(absent)";
  std::string value;
  for (auto i = at + start.size();; ++i) {
    if (head.compare(i, 2, "\r\n") != 0) {
      value += head[i];
      continue;
    }
    ++i;
    if (i + 1 >= head.size() || head[i + 1] != ' ') return value;
  }
}

// What a reader of RFC 2047 sees in a header value.
std::string decoded(std::string value) {
  std::string out;
  while (value.starts_with("=?utf-8?B?")) {
    const auto end = value.find("?=");
    out += to_string(*from_base64(std::string_view(value).substr(10, end - 10)));
    value.erase(0, end + 2);
    if (value.starts_with(" =?")) value.erase(0, 1);  // space between two encoded words is dropped, §6.2
  }
  return out + value;
}

std::vector<std::string> lines(const std::string& mail) {
  std::vector<std::string> out;
  for (std::size_t at = 0, end; (end = mail.find("\r\n", at)) != std::string::npos; at = end + 2)
    out.push_back(mail.substr(at, end - at));
  return out;
}

TEST(Render, IsOneMailOfTwoForms) {
  EXPECT_THAT(
      rendered(message()),
      ::testing::MatchesRegex("Date: Sun, 15 Jun 2025 15:06:40 \\+0000\r\n"
                              "From: \"Latchkey\"\r\n <noreply@pds.example.com>\r\n"
                              "To: alice@example.com\r\n"
                              "Subject: 04718252 is your sign-in code\r\n"
                              "Message-ID: <[A-Za-z0-9_-]+@pds.example.com>\r\n"
                              "Auto-Submitted: auto-generated\r\n"
                              "MIME-Version: 1.0\r\n"
                              "Content-Type: multipart/alternative;\r\n boundary=\"=_[A-Za-z0-9_-]+\"\r\n\r\n"
                              "--=_[A-Za-z0-9_-]+\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\n"
                              "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                              "Your code\r\n\r\n04718252\r\n\r\n"
                              "--=_[A-Za-z0-9_-]+\r\n"
                              "Content-Type: text/html; charset=utf-8\r\n"
                              "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                              "<p>04718252</p>\r\n\r\n"
                              "--=_[A-Za-z0-9_-]+--\r\n"));
}

TEST(Render, IsTextAloneWithoutHtml) {
  auto m = message();
  m.html.clear();
  const auto mail = rendered(m);
  EXPECT_EQ(header(mail, "Content-Type"), "text/plain; charset=utf-8");
  EXPECT_THAT(mail, Not(HasSubstr("multipart")));
}

TEST(Render, TakesSenderAndNameOfTheMessage) {
  auto m = message();
  m.from = *EmailAddress::parse("other@app.example");
  m.from_name = "App";
  const auto mail = rendered(m);
  EXPECT_EQ(header(mail, "From"), "\"App\" <other@app.example>");
  EXPECT_THAT(header(mail, "Message-ID"), HasSubstr("@app.example>"));
}

TEST(Render, GivesEachMailItsOwnIdAndBoundary) {
  SeededRng rng;
  const auto one = render(message(), from(), k_now, rng), two = render(message(), from(), k_now, rng);
  EXPECT_NE(header(one, "Message-ID"), header(two, "Message-ID"));
  EXPECT_NE(header(one, "Content-Type"), header(two, "Content-Type"));
}

TEST(Render, LeavesOutAnEmptyName) {
  EXPECT_EQ(header(rendered(message(), from("")), "From"), "noreply@pds.example.com");
}

TEST(Render, QuotesNames) {
  EXPECT_EQ(header(rendered(message(), from(R"(Big "B" \ <x@evil.example>, Inc.)")), "From"),
            R"("Big \"B\" \\ <x@evil.example>, Inc." <noreply@pds.example.com>)");
}

TEST(Render, EncodesNamesAndSubjectsThatAreNotAscii) {
  auto m = message();
  m.subject = "12345678 — Willkommen bei Bücher & Töne";
  const auto mail = rendered(m, from("Bücher"));
  EXPECT_EQ(decoded(header(mail, "Subject")), m.subject);
  EXPECT_THAT(header(mail, "From"), ::testing::StartsWith("=?utf-8?B?"));
  EXPECT_EQ(decoded(header(mail, "From")), "Bücher <noreply@pds.example.com>");
}

TEST(Render, EncodesWhatOnlyLooksEncoded) {  // RFC 2047 §5: or the reader would decode it
  auto m = message();
  m.subject = "=?utf-8?B?aGFja2Vk?=";
  EXPECT_EQ(decoded(header(rendered(m), "Subject")), m.subject);
}

TEST(Render, SplitsLongSubjectsBetweenCharacters) {
  auto m = message();
  for (int i = 0; i < 60; ++i) m.subject += "漢";
  const auto mail = rendered(m);
  EXPECT_EQ(decoded(header(mail, "Subject")), m.subject);
  auto words = header(mail, "Subject");
  for (std::size_t at = 0; (at = words.find("?B?", at)) != std::string::npos; ++at)
    EXPECT_TRUE(
        from_base64(std::string_view(words).substr(at + 3, words.find("?=", at) - at - 3)).has_value());
}

TEST(Render, HasShortAsciiLinesWhateverGoesIn) {
  auto m = message();
  m.subject = std::string(500, 's') + "ü";
  m.text = std::string(1000, 'x') + "\n" + std::string(300, '=') + "\nUmlaut ü\ttab \t\nNUL " +
           std::string(1, '\0');
  m.html = "<p>" + std::string(997, '\xff') + "\r\rbare";
  for (const auto& name : {std::string(90, 'n'), std::string(60, '\\'), std::string(68, 'n')}) {
    m.from_name = name;
    for (const auto& line : lines(rendered(m))) {
      EXPECT_LE(line.size(), 76u) << line;
      for (const char c : line) EXPECT_TRUE(c == '\t' || (c >= 0x20 && c < 0x7f)) << line;
    }
  }
}

TEST(Render, KeepsTextExactly) {
  auto m = message();
  m.html.clear();
  m.text = "a=b\r\nü\rlast line ends in space \n" + std::string(80, 'y');
  const auto mail = rendered(m);
  EXPECT_EQ(mail.substr(mail.find("\r\n\r\n") + 4),
            "a=3Db\r\n=C3=BC\r\nlast line ends in space=20\r\n" + std::string(75, 'y') + "=\r\nyyyyy\r\n");
}

TEST(Render, CannotBeGivenAnotherHeader) {
  auto m = message();
  m.subject = "Hello\r\nBcc: eve@evil.example\r\n\r\nbody";
  m.from_name = "Nice\nApp\rX-Evil: 1\r\n <eve@evil.example>";
  const auto mail = rendered(m);
  EXPECT_EQ(header(mail, "Subject"), "Hello Bcc: eve@evil.example body");
  EXPECT_EQ(header(mail, "From"), "\"Nice App X-Evil: 1 <eve@evil.example>\" <noreply@pds.example.com>");
  EXPECT_EQ(header(mail, "Bcc"), "(absent)");
  EXPECT_EQ(header(mail, "X-Evil"), "(absent)");
  EXPECT_EQ(header(mail, "Date"), "Sun, 15 Jun 2025 15:06:40 +0000");
}

TEST(HeaderSafe, MakesOneLine) {
  EXPECT_EQ(header_safe("plain"), "plain");
  EXPECT_EQ(header_safe("  a \t\r\n b\x7f\v"), "a b");
  EXPECT_EQ(header_safe(std::string_view("a\0b", 3)), "a b");
  EXPECT_EQ(header_safe("a\xc2\x85"
                        "b"),
            "a b")
      << "NEL, a C1 control";
  EXPECT_EQ(header_safe("a\u2028b\u2029c"), "a b c") << "line and paragraph separator";
  EXPECT_EQ(header_safe("a\u202Eb\u2066c"), "a b c") << "direction override and isolate";
  EXPECT_EQ(header_safe("Bücher 漢 🔑"), "Bücher 漢 🔑");
  EXPECT_EQ(header_safe("B\xfc"
                        "cher"),
            "B?cher")
      << "Latin-1";
  EXPECT_EQ(header_safe(""), "");
}

TEST(HeaderSafe, EndsBetweenCharacters) {
  EXPECT_EQ(header_safe("abc", 3), "abc");
  EXPECT_EQ(header_safe("abcd", 3), "abc");
  EXPECT_EQ(header_safe("abü", 4), "abü");
  EXPECT_EQ(header_safe("abü", 3), "ab");
  EXPECT_EQ(header_safe("ab c", 3), "ab");
}

}  // namespace
}  // namespace latchkey::mail
