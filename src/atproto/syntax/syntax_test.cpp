#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "atproto/syntax/at_identifier.h"
#include "atproto/syntax/at_uri.h"
#include "atproto/syntax/cid_syntax.h"
#include "atproto/syntax/datetime.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "atproto/syntax/language.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"
#include "atproto/syntax/tid.h"
#include "atproto/syntax/uri.h"

namespace latchkey {
namespace {

// ---- The interop files: one case a line, '#' begins a comment.

struct FixtureFile {
  std::string name;
  bool valid;
  std::size_t at_least;  // cases; keeps an emptied file from passing
  std::function<std::optional<std::string>(std::string_view)> parse;
};

template <class T>
std::optional<std::string> text_of(std::string_view line) {
  auto parsed = T::parse(line);
  if (!parsed) return std::nullopt;
  return std::string(parsed->str());
}

const std::vector<FixtureFile>& fixture_files() {
  static const std::vector<FixtureFile> files = {
      {"atidentifier_syntax_valid.txt", true, 11, text_of<AtIdentifier>},
      {"atidentifier_syntax_invalid.txt", false, 21, text_of<AtIdentifier>},
      {"aturi_syntax_valid.txt", true, 23, text_of<AtUri>},
      {"aturi_syntax_invalid.txt", false, 72, text_of<AtUri>},
      {"cid_syntax_valid.txt", true, 8, text_of<CidSyntax>},
      {"cid_syntax_invalid.txt", false, 10, text_of<CidSyntax>},
      {"datetime_syntax_valid.txt", true, 35, text_of<Datetime>},
      {"datetime_syntax_invalid.txt", false, 45, text_of<Datetime>},
      {"datetime_parse_invalid.txt", false, 7, text_of<Datetime>},
      {"did_syntax_valid.txt", true, 21, text_of<Did>},
      {"did_syntax_invalid.txt", false, 18, text_of<Did>},
      {"handle_syntax_valid.txt", true, 70, text_of<Handle>},
      {"handle_syntax_invalid.txt", false, 45, text_of<Handle>},
      {"language_syntax_valid.txt", true, 16, text_of<Language>},
      {"language_syntax_invalid.txt", false, 7, text_of<Language>},
      {"language_parse_invalid.txt", false, 4, text_of<Language>},
      {"nsid_syntax_valid.txt", true, 25, text_of<Nsid>},
      {"nsid_syntax_invalid.txt", false, 25, text_of<Nsid>},
      {"recordkey_syntax_valid.txt", true, 16, text_of<RecordKey>},
      {"recordkey_syntax_invalid.txt", false, 11, text_of<RecordKey>},
      {"tid_syntax_valid.txt", true, 4, text_of<Tid>},
      {"tid_syntax_invalid.txt", false, 9, text_of<Tid>},
      {"uri_syntax_valid.txt", true, 9, text_of<Uri>},
      {"uri_syntax_invalid.txt", false, 11, text_of<Uri>},
  };
  return files;
}

void PrintTo(const FixtureFile& file, std::ostream* out) { *out << file.name; }

class InteropSyntax : public ::testing::TestWithParam<FixtureFile> {};

TEST_P(InteropSyntax, EveryLineIsJudgedAsTheFileSays) {
  const auto& file = GetParam();
  std::ifstream in(std::string(LATCHKEY_FIXTURES "/syntax/") + file.name);
  ASSERT_TRUE(in) << file.name;
  std::size_t cases = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    ++cases;
    const auto parsed = file.parse(line);
    if (!file.valid) {
      EXPECT_FALSE(parsed) << file.name << ":" << number << " accepted: " << line;
      continue;
    }
    EXPECT_TRUE(parsed) << file.name << ":" << number << " refused: " << line;
    if (!parsed) continue;
    EXPECT_EQ(file.parse(*parsed), parsed)
        << file.name << ":" << number << " does not parse again: " << *parsed;
  }
  EXPECT_GE(cases, file.at_least) << file.name;
}

INSTANTIATE_TEST_SUITE_P(Files, InteropSyntax, ::testing::ValuesIn(fixture_files()), [](const auto& info) {
  return info.param.name.substr(0, info.param.name.find('.'));
});

// ---- What the files do not say.

TEST(DidSyntax, IsTakenApart) {
  const auto did = Did::parse("did:web:localhost%3A1234").value();
  EXPECT_EQ(did.method(), "web");
  EXPECT_EQ(did.identifier(), "localhost%3A1234");
}

TEST(DidSyntax, HasALengthLimit) {
  const std::string prefix = "did:plc:";
  EXPECT_TRUE(Did::parse(prefix + std::string(2048 - prefix.size(), 'a')));
  EXPECT_FALSE(Did::parse(prefix + std::string(2049 - prefix.size(), 'a')));
}

TEST(HandleSyntax, IsKeptInLowerCase) {
  EXPECT_EQ(Handle::parse("XX.LCS.Mit.EDU").value().str(), "xx.lcs.mit.edu");
  EXPECT_EQ(Handle::parse("Alice.Test").value(), Handle::parse("alice.test").value());
  EXPECT_EQ(AtIdentifier::parse("Alice.Test").value().str(), "alice.test");
  EXPECT_EQ(AtUri::parse("at://Alice.Test/com.example.fooBar/X").value().str(),
            "at://alice.test/com.example.fooBar/X");
}

TEST(HandleSyntax, HasALengthLimit) {
  std::string longest;
  while (longest.size() < 250) longest += "a.";
  longest.resize(249);
  longest += "test";
  ASSERT_EQ(longest.size(), 253u);
  EXPECT_TRUE(Handle::parse(longest)) << longest;
  EXPECT_FALSE(Handle::parse("a" + longest));
}

TEST(HandleSyntax, KnowsTopLevelDomainsNobodyMayRegister) {
  for (const auto* text :
       {"a.alt", "a.arpa", "a.example", "a.internal", "a.invalid", "a.LOCAL", "a.localhost", "a.onion"})
    EXPECT_TRUE(Handle::parse(text).value().has_disallowed_tld()) << text;
  for (const auto* text : {"a.test", "local.com", "onion.org", "a.examples"})
    EXPECT_FALSE(Handle::parse(text).value().has_disallowed_tld()) << text;
  EXPECT_TRUE(Handle::invalid().has_disallowed_tld());
  EXPECT_EQ(Handle::parse(Handle::invalid().str()).value(), Handle::invalid());
}

TEST(HandleSyntax, RefusesNulAndControlCharacters) {
  using namespace std::string_view_literals;
  for (auto text : {"john.te\0st"sv, "john.test\0"sv, "john.test\n"sv, "john.test\r\n"sv, ""sv, "."sv})
    EXPECT_FALSE(Handle::parse(text));
}

TEST(NsidSyntax, IsTakenApart) {
  const auto nsid = Nsid::parse("com.Atproto.sync.getRecord").value();
  EXPECT_EQ(nsid.group(), "com.Atproto.sync");
  EXPECT_EQ(nsid.name(), "getRecord");
  EXPECT_EQ(nsid.authority(), "sync.atproto.com");
  EXPECT_EQ(nsid.str(), "com.Atproto.sync.getRecord") << "case is kept";
}

TEST(NsidSyntax, HasLengthLimits) {
  const auto nsid_of = [](std::size_t authority, std::size_t name) {
    std::string text = "com";
    while (text.size() + 64 < authority) text += "." + std::string(63, 'a');
    text += "." + std::string(authority - text.size() - 1, 'b');
    return text + "." + std::string(name, 'n');
  };
  EXPECT_TRUE(Nsid::parse(nsid_of(253, 63)));
  EXPECT_FALSE(Nsid::parse(nsid_of(254, 63))) << "318 bytes";
  EXPECT_FALSE(Nsid::parse(nsid_of(100, 64))) << "a name of 64";
}

TEST(AtUriSyntax, IsTakenApart) {
  const auto uri = AtUri::parse("at://did:plc:asdf123/com.example.fooBar/self").value();
  EXPECT_EQ(uri.authority().did()->str(), "did:plc:asdf123");
  EXPECT_EQ(uri.authority().handle(), nullptr);
  EXPECT_EQ(uri.collection()->str(), "com.example.fooBar");
  EXPECT_EQ(uri.rkey()->str(), "self");
  EXPECT_EQ(uri, AtUri(Did::parse("did:plc:asdf123").value(), Nsid::parse("com.example.fooBar").value(),
                       RecordKey::parse("self").value()));
  const auto repo = AtUri::parse("at://alice.test").value();
  EXPECT_FALSE(repo.collection());
  EXPECT_FALSE(repo.rkey());
  EXPECT_EQ(repo, AtUri(Handle::parse("alice.test").value()));
}

TEST(AtUriSyntax, HasNoQueryNorFragment) {
  for (const auto* text : {"at://alice.test?a=b", "at://alice.test/com.example.a?b",
                           "at://alice.test/com.example.a/b?c", "at://alice.test/com.example.a/b#c"})
    EXPECT_FALSE(AtUri::parse(text)) << text;
}

TEST(TidSyntax, HoldsTimeAndClock) {
  const Tid tid = Tid::from(1'700'000'000'123'456, 42);
  EXPECT_EQ(tid.micros(), 1'700'000'000'123'456u);
  EXPECT_EQ(tid.clock_id(), 42u);
  EXPECT_EQ(Tid::parse(tid.str()).value(), tid);
  EXPECT_EQ(unix_micros(tid.time()), 1'700'000'000'123'456);
  EXPECT_EQ(Tid::from(0, 0).str(), "2222222222222");
  EXPECT_EQ(Tid::from(Tid::k_max_micros, Tid::k_max_clock_id).str(), "bzzzzzzzzzzzz");
  EXPECT_THROW(Tid::from(Tid::k_max_micros + 1, 0), std::out_of_range);
  EXPECT_THROW(Tid::from(0, Tid::k_max_clock_id + 1), std::out_of_range);
}

TEST(TidSyntax, SortsLikeItsNumber) {
  EXPECT_LT(Tid::from(1, 1023), Tid::from(2, 0));
  EXPECT_LT(Tid::from(31, 0), Tid::from(32, 0));
  EXPECT_LT(Tid::from(5, 6), Tid::from(5, 7));
}

TEST(TidSyntax, FirstCharacterEndsAtJ) {
  EXPECT_TRUE(Tid::parse("jzzzzzzzzzzzz"));
  EXPECT_FALSE(Tid::parse("k222222222222"));
}

TEST(TidClock, RisesWhenTheClockStandsStillOrRunsBack) {
  FakeClock clock;
  TidClock tids(7);
  const Tid first = tids.next(clock.now());
  EXPECT_EQ(first.time(), clock.now());
  EXPECT_EQ(first.clock_id(), 7u);
  const Tid second = tids.next(clock.now());
  EXPECT_EQ(second.micros(), first.micros() + 1);
  clock.advance(std::chrono::seconds(-60));
  const Tid third = tids.next(clock.now());
  EXPECT_EQ(third.micros(), first.micros() + 2);
  clock.advance(std::chrono::seconds(120));
  EXPECT_EQ(tids.next(clock.now()).time(), clock.now());
}

TEST(TidClock, FollowsARevisionMadeElsewhereWithoutInfectingOthers) {
  FakeClock clock;
  TidClock tids(7);
  const Tid future = Tid::from(static_cast<std::uint64_t>(unix_micros(clock.now())) + 1'000'000'000, 900);
  EXPECT_EQ(tids.next(clock.now(), future).micros(), future.micros() + 1);
  EXPECT_LT(tids.next(clock.now()), future) << "another account's revisions stay in the present";
  const Tid past = Tid::from(5, 5);
  EXPECT_GE(tids.next(clock.now(), past).time(), clock.now());
}

TEST(TidClock, NeverRepeatsAcrossThreads) {
  FakeClock clock;
  TidClock tids(0);
  std::vector<std::vector<Tid>> made(4);
  {
    std::vector<std::jthread> threads;
    for (auto& list : made)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) list.push_back(tids.next(clock.now()));
      });
  }
  std::vector<Tid> all;
  for (const auto& list : made) all.insert(all.end(), list.begin(), list.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

TEST(DatetimeSyntax, GivesItsMoment) {
  EXPECT_EQ(Datetime::parse("1985-04-12T23:20:50.123456789-07:00").value().time(),
            Datetime::parse("1985-04-13T06:20:50.123456Z").value().time());
  EXPECT_EQ(Datetime(from_unix_seconds(0)).str(), "1970-01-01T00:00:00.000Z");
  EXPECT_TRUE(Datetime::parse(Datetime(FakeClock().now()).str()));
}

TEST(DatetimeSyntax, KnowsTheCalendar) {
  EXPECT_TRUE(Datetime::parse("2024-02-29T00:00:00Z"));
  EXPECT_FALSE(Datetime::parse("2023-02-29T00:00:00Z"));
  EXPECT_FALSE(Datetime::parse("2023-04-31T00:00:00Z"));
  EXPECT_FALSE(Datetime::parse("2023-04-30T24:00:00Z"));
  EXPECT_FALSE(Datetime::parse("2016-12-31T23:59:60Z")) << "leap seconds are no part of HTML's dates";
  EXPECT_FALSE(Datetime::parse("2016-12-31T23:59:00+24:00"));
}

TEST(DatetimeSyntax, HasALengthLimit) {
  const auto with_digits = [](std::size_t n) { return "1985-04-12T23:20:50." + std::string(n, '1') + "Z"; };
  EXPECT_TRUE(Datetime::parse(with_digits(64 - 21)));
  EXPECT_FALSE(Datetime::parse(with_digits(65 - 21)));
}

TEST(LanguageSyntax, FollowsTheGrammarOfRfc5646) {
  for (const auto* text :
       {"zh-cmn-Hans-CN", "zh-min-nan", "de-1996", "sl-rozaj-biske-1994", "x-a", "en-a-bbb-x-a-a",
        "de-Latn-DE-1996", "i-KLINGON", "en-GB-oed", "es-419", "zh-aaa-bbb-ccc"})
    EXPECT_TRUE(Language::parse(text)) << text;
  for (const auto* text : {"",
                           "-",
                           "e",
                           "en-",
                           "-en",
                           "en--GB",
                           "x",
                           "en-x",
                           "en-a",
                           "en-a-x-b",
                           "en-a-b-ccc",
                           "zh-aaa-bbb-ccc-ddd",
                           "de-419-DE",
                           "en-US-GB",
                           "en-abcdefghi",
                           "en-Latn-Cyrl",
                           "en_GB",
                           "EN",
                           "En-GB",
                           "i-unknown",
                           "en-\xc3\xbc"})
    EXPECT_FALSE(Language::parse(text)) << text;
}

TEST(LanguageSyntax, ManyVariantsCostNoMoreThanTheyShould) {
  std::string text = "en";
  for (int i = 0; text.size() < 8180; ++i) text += "-v" + std::to_string(100000 + i);
  EXPECT_TRUE(Language::parse(text));
  EXPECT_FALSE(Language::parse(text + std::string(100, 'a')));
}

TEST(UriSyntax, TakesForeignLettersButNoControls) {
  EXPECT_TRUE(Uri::parse("https://example.com/\xc3\xbc"));
  EXPECT_EQ(Uri::parse("HTTPS://example.com").value().scheme(), "HTTPS");
  using namespace std::string_view_literals;
  for (auto text :
       {"https://"sv, "https:"sv, "a:\0b"sv, "a:b\x7f"sv, "a:b\n"sv, "\xc3\xbc:b"sv, "1a:b"sv, ":"sv})
    EXPECT_FALSE(Uri::parse(text)) << text;
}

TEST(UriSyntax, HasALengthLimit) {
  EXPECT_TRUE(Uri::parse("a:" + std::string(8190, 'b')));
  EXPECT_FALSE(Uri::parse("a:" + std::string(8191, 'b')));
}

TEST(RecordKeySyntax, MayBeATid) { EXPECT_EQ(RecordKey(Tid::from(0, 0)).str(), "2222222222222"); }

TEST(CidSyntax, HasLengthLimits) {
  EXPECT_TRUE(CidSyntax::parse(std::string(8, 'b')));
  EXPECT_FALSE(CidSyntax::parse(std::string(7, 'b')));
  EXPECT_TRUE(CidSyntax::parse(std::string(256, 'b')));
  EXPECT_FALSE(CidSyntax::parse(std::string(257, 'b')));
}

}  // namespace
}  // namespace latchkey
