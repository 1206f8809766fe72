#include "auth/service/handle_typeahead.h"

#include <gmock/gmock.h>

#include "auth/service/testing.h"

namespace latchkey::service {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* k_alice = R"({"actors":[{"did":"did:plc:a","handle":"alice.test"}]})";

struct World : TestService {
  World() : TestService([](ServiceOptions& o) { o.typeahead = "https://appview.test"; }) { answers(k_alice); }
  void answers(std::string body, int status = 200) {
    network.answer = FetchResponse{.status = status, .headers = {}, .body = std::move(body)};
  }
  web::Response get(const std::string& q, web::Headers headers = {}, const std::string& from = "127.0.0.1") {
    auto request = web::Request::make("GET", "https://app.test/sign-in/handles?q=" + percent_encode(q), {},
                                      std::move(headers));
    request.remote_ip = from;
    return send(std::move(request));
  }
  std::vector<std::string> handles(const std::string& q) {
    const auto response = get(q);
    EXPECT_EQ(response.status, 200);
    std::vector<std::string> out;
    const auto body = json::parse(response.body).value();
    for (const auto& one : *body.find("handles")->array()) out.push_back(*one.string());
    return out;
  }
};

TEST(HandleTypeahead, AsksTheAppViewForHandlesThatBeginSo) {
  World w;
  const auto response = w.get("ali", {{"cookie", "a=b"}, {"sec-fetch-site", "same-origin"}});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"handles":["alice.test"]})");
  EXPECT_EQ(response.headers.get("cache-control"), "no-store");
  ASSERT_THAT(w.network.asked, SizeIs(1));
  const FetchRequest& asked = w.network.asked[0];
  EXPECT_EQ(asked.url, "https://appview.test/xrpc/app.bsky.actor.searchActorsTypeahead?q=ali&limit=8");
  EXPECT_EQ(asked.headers, (HeaderList{{"accept", "application/json"}})) << "nothing about who asks";
  EXPECT_EQ(asked.body, "");
  EXPECT_LE(asked.timeout, std::chrono::seconds(2));
  EXPECT_LE(asked.max_body, 128u << 10);
}

TEST(HandleTypeahead, IsNotThereWhenItIsOff) {
  TestService off, no_page([](ServiceOptions& o) {
    o.typeahead = "https://appview.test";
    o.sign_in_page = Switch::off;
  });
  for (auto* s : {&off, &no_page}) {
    EXPECT_EQ(TestBrowser(*s).get("/sign-in/handles?q=ali").status, 404);
    EXPECT_THAT(s->network.asked, IsEmpty());
  }
}

TEST(HandleTypeahead, AsksNobodyForWhatIsNoBeginningOfAHandle) {
  struct Row {
    std::string q;
    bool asked;
    const char* why;
  };
  const Row rows[] = {{"", false, "nothing"},
                      {"a", false, "1 byte"},
                      {"al", true, "2 bytes"},
                      {std::string(253, 'a'), true, "as long as handles are"},
                      {std::string(254, 'a'), false, "longer than any handle"},
                      {"ali-ce.bsky.s0cial", true, "every character of handles"},
                      {"alice@example.com", false, "an e-mail address"},
                      {"did:plc:abc", false, "a DID"},
                      {"https://pds.test", false, "a server"},
                      {"hunter2 hunter2", false, "a space"},
                      {"al&limit=100", false, "another parameter"},
                      {"al\xc3\xa9", false, "no ASCII"}};
  for (const auto& row : rows) {
    World w;
    EXPECT_THAT(w.handles(row.q), SizeIs(row.asked ? 1 : 0)) << row.why;
    EXPECT_THAT(w.network.asked, SizeIs(row.asked ? 1 : 0)) << row.why;
  }
  World w;
  for (const char* query : {"", "?", "?q=", "?q=ali&q=bob", "?x=ali", "?q=%"})
    EXPECT_EQ(TestBrowser(w).get(std::string("/sign-in/handles") + query).body, R"({"handles":[]})") << query;
  EXPECT_THAT(w.network.asked, IsEmpty());
}

TEST(HandleTypeahead, AnswersNothingWhenTheAppViewFails) {
  World w;
  for (const auto& [body, status] :
       std::initializer_list<std::pair<const char*, int>>{{k_alice, 500},
                                                          {k_alice, 302},
                                                          {"<html>", 200},
                                                          {"[]", 200},
                                                          {"{}", 200},
                                                          {R"({"actors":{}})", 200}}) {
    w.answers(body, status);
    EXPECT_THAT(w.handles("ali"), IsEmpty()) << status << body;
  }
  w.network.answer.reset();
  EXPECT_THAT(w.handles("ali"), IsEmpty()) << "unreachable";
  w.answers(k_alice);
  EXPECT_THAT(w.handles("ali"), ElementsAre("alice.test")) << "failures are not remembered";
}

TEST(HandleTypeahead, AnswersEightHandlesAtMost) {
  World w;
  const auto people = [&](int n) {
    json::Array actors;
    for (int i = 0; i < n; ++i) actors.push_back(json::Object{{"handle", "p" + std::to_string(i) + ".test"}});
    w.answers(json::Value(json::Object{{"actors", actors}}).dump());
  };
  people(8);
  EXPECT_THAT(w.handles("p8"), SizeIs(8));
  people(9);
  EXPECT_THAT(w.handles("p9"), SizeIs(8));
}

TEST(HandleTypeahead, AttackSpoofing_OnlyHandlesAreShown) {
  World w;
  w.answers(R"({"actors":[
    {"handle":"eve.test","displayName":"Alice <script>","avatar":"https://evil.test/a.png"},
    {"handle":"alice.test\u202e","displayName":"a"}, {"handle":"<b>.test"}, {"handle":"alice"},
    {"handle":"handle.invalid"}, {"handle":"a.localhost"}, {"handle":7}, {"did":"did:plc:a"}, 7, null,
    {"handle":"EVE.test"}, {"handle":"alice.test"}]})");
  EXPECT_EQ(w.get("ali").body, R"({"handles":["eve.test","alice.test"]})");
}

TEST(HandleTypeahead, RemembersAnswersForAMinute) {
  World w;
  w.handles("ali");
  EXPECT_THAT(w.handles("ALI"), ElementsAre("alice.test"));
  w.clock.advance(std::chrono::seconds(59));
  EXPECT_THAT(w.handles("ali"), ElementsAre("alice.test"));
  EXPECT_THAT(w.network.asked, SizeIs(1));
  w.clock.advance(std::chrono::seconds(1));
  w.answers(R"({"actors":[]})");
  EXPECT_THAT(w.handles("ali"), IsEmpty());
  EXPECT_THAT(w.network.asked, SizeIs(2));
}

TEST(HandleTypeahead, RemembersFiveHundredAnswers) {
  World w;
  const auto ask = [&](int i) { w.get("q" + std::to_string(i), {}, "10.0.0." + std::to_string(i % 250)); };
  for (int i = 0; i < 501; ++i) ask(i);
  ASSERT_THAT(w.network.asked, SizeIs(501));
  ask(499);
  EXPECT_THAT(w.network.asked, SizeIs(501)) << "the last that had room";
  ask(500);
  EXPECT_THAT(w.network.asked, SizeIs(502)) << "one too many";
  w.clock.advance(std::chrono::minutes(1));
  ask(500);
  ask(500);
  EXPECT_THAT(w.network.asked, SizeIs(503)) << "what is over makes room";
}

TEST(HandleTypeahead, AnswersSixtyQuestionsAMinuteOfOneNetwork) {
  World w;
  const auto status = [&](const std::string& from) { return w.get("ali", {}, from).status; };
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(status(i % 2 ? "2001:db8:0:1::1" : "2001:db8:0:1::2"), 200) << "one network: " << i;
  const auto refused = w.get("ali", {}, "2001:db8:0:1::3");
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.headers.has("retry-after"));
  EXPECT_EQ(status("2001:db8:0:2::1"), 200) << "another";
  w.clock.advance(std::chrono::minutes(2));
  EXPECT_EQ(status("2001:db8:0:1::1"), 200);
}

TEST(HandleTypeahead, AttackCrossSite_PagesOfOthersAskThroughABrowser) {
  World w;
  for (const auto& headers : std::initializer_list<web::Headers>{
           {{"sec-fetch-site", "cross-site"}},
           {{"sec-fetch-site", "same-site"}},
           {{"sec-fetch-site", "none"}},
           {{"origin", "https://evil.test"}},
           {{"origin", "https://evil.test"}, {"sec-fetch-site", "same-origin"}},
           {{"origin", "null"}},
           {{"sec-fetch-site", "same-origin"}, {"sec-fetch-site", "cross-site"}}})
    for (int i = 0; i < 20; ++i) {
      const auto refused = w.get("ali", headers);
      EXPECT_EQ(refused.status, 403);
      EXPECT_THAT(refused.body, Not(HasSubstr("alice")));
    }
  EXPECT_THAT(w.network.asked, IsEmpty());
  EXPECT_EQ(w.get("ali", {{"sec-fetch-site", "same-origin"}}).status, 200) << "nor did they count";
  EXPECT_EQ(w.get("ali").status, 200) << "older browsers say nothing";
}

}  // namespace
}  // namespace latchkey::service
