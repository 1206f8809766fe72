#include "dev/mailbox/mailbox.h"

#include <gtest/gtest.h>

#include "ui/embedded.h"
#include "web/messages.h"

namespace latchkey::dev {
namespace {

class MailboxTest : public ::testing::Test {
 protected:
  MailboxTest() { mailbox_.add_routes(router_); }
  void send(std::string to, std::string subject, std::string html = "<p>hello</p>") {
    ASSERT_TRUE(
        run(trap_.send(
                {.to = *mail::EmailAddress::parse(to), .subject = subject, .text = "text", .html = html}))
            .has_value());
  }
  web::Response get(std::string target) {
    return run(router_.handle(web::Request::make("GET", "http://127.0.0.1:1" + target)));
  }
  FakeClock clock_;
  mail::Trap trap_{clock_};
  web::StaticFiles static_{ui::static_files()};
  web::Messages messages_{ui::messages()};
  web::Templates templates_{ui::templates(), &static_, &messages_};
  Mailbox mailbox_{trap_, templates_, "http://127.0.0.1:2/"};
  web::Router router_;
};

TEST_F(MailboxTest, GivesMailsAsJsonOldestFirst) {
  send("a@example.com", "first");
  send("b@example.com", "other");
  send("a@example.com", "second");
  EXPECT_EQ(get("/api/messages?to=a%40example.com").body,
            R"([{"to":"a@example.com","subject":"first","text":"text","html":"<p>hello</p>"},)"
            R"({"to":"a@example.com","subject":"second","text":"text","html":"<p>hello</p>"}])");
  EXPECT_EQ(get("/api/messages?to=nobody%40example.com").body, "[]");
  EXPECT_EQ(json::parse(get("/api/messages").body)->array()->size(), 3u);
}

TEST_F(MailboxTest, AttackMailHtml_IsSandboxedAndTheSubjectEscaped) {
  send("a@example.com", "<script>alert(1)</script>", "<script>alert(1)</script>");
  const auto page = get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body.find("<script>alert"), std::string::npos);
  EXPECT_NE(page.headers.get("content-security-policy").find("frame-src 'self'"), std::string::npos);
  const auto part = get("/messages/1/html");
  EXPECT_EQ(part.status, 200);
  EXPECT_TRUE(part.headers.get("content-security-policy").starts_with("sandbox; default-src 'none'"));
}

TEST_F(MailboxTest, AttackRebinding_OnlyLocalNamesReadMail) {
  send("a@example.com", "12345678 is your code");
  const auto status = [&](const std::string& origin, const char* path) {
    return run(router_.handle(web::Request::make("GET", origin + path))).status;
  };
  for (const char* path : {"/", "/api/messages", "/messages/1/html"}) {
    for (const char* ours :
         {"http://localhost:2585", "http://mail.localhost", "http://127.0.0.1:2585", "http://[::1]:2585"})
      EXPECT_EQ(status(ours, path), 200) << ours << path;
    for (const char* foreign : {"http://evil.example:2585", "http://localhost.evil.example",
                                "http://127.0.0.1.evil.example", "http://10.0.0.1", "http://localhost."})
      EXPECT_EQ(status(foreign, path), 421) << foreign << path;
  }
}

TEST_F(MailboxTest, AMailWithoutHtmlIsShownAsItsText) {
  send("a@example.com", "plain", "");
  const auto page = get("/").body;
  EXPECT_EQ(page.find("<iframe"), std::string::npos);
  EXPECT_NE(page.find("<pre>text</pre>"), std::string::npos);
  EXPECT_EQ(page.find("<details>"), std::string::npos) << "nothing has to be opened";
}

TEST_F(MailboxTest, MailsToOneAddressAreALinkAway) {
  send("a+b@example.com", "first");
  send("c@example.com", "other");
  EXPECT_NE(get("/?id=1").body.find("href=\"/?to=a%2Bb%40example.com\""), std::string::npos);
  const auto filtered = get("/?to=a%2Bb%40example.com").body;
  EXPECT_NE(filtered.find("first"), std::string::npos);
  EXPECT_EQ(filtered.find("other"), std::string::npos);
  EXPECT_NE(filtered.find("href=\"/\">all mails"), std::string::npos);
}

TEST_F(MailboxTest, UnknownMailsAre404) {
  EXPECT_EQ(get("/messages/1/html").status, 404);
  EXPECT_EQ(get("/messages/x/html").status, 404);
  EXPECT_EQ(get("/messages/99999999999999999999/html").status, 404);
  EXPECT_EQ(get("/").status, 200);
}

}  // namespace
}  // namespace latchkey::dev
