// A sign-in service on another host hands people over: docs/threat-model.md, "split hosts".
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "dev/world/world.h"
#include "signin/audit.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_alice = "alice@example.com";
constexpr const char* k_bob = "bob@example.com";
constexpr const char* k_callback_secret = "a callback secret of 32 bytes or more";
constexpr const char* k_internal_secret = "an internal secret of 32 bytes or more";

Secret<Bytes> secret(std::string_view text) { return Secret<Bytes>(to_bytes(text)); }

WorldOptions split(WorldOptions options = {}) {
  options.split_hosts = signin::SplitHostsOptions{.callback_secret = secret(k_callback_secret),
                                                  .internal_secret = secret(k_internal_secret)};
  return options;
}

enum class NewAccount { no, yes };

// What ePDS's sign-in service does when somebody signed in and agreed.
FormFields hand_over(World& w, const App::Login& login, std::string email,
                     NewAccount new_account = NewAccount::yes, std::chrono::seconds ahead = 0s) {
  FormFields fields{{"request_uri", login.request_uri},
                    {"email", std::move(email)},
                    {"approved", "1"},
                    {"new_account", new_account == NewAccount::yes ? "1" : "0"},
                    {"ts", std::to_string(unix_seconds(w.clock.now() + ahead))}};
  std::string text;
  for (const auto& [name, value] : fields) text += (text.empty() ? "" : "\n") + value;
  fields.emplace_back("sig", hex(crypto::hmac_sha256(as_bytes(k_callback_secret), as_bytes(text))));
  return fields;
}
std::string callback(World& w, const FormFields& fields) {
  return w.options.pds + "/oauth/magic-callback?" + encode_form(fields);
}
std::int64_t count(World& w, store::Sql sql) {
  return w.read([sql](store::Tx& tx) { return tx.one(sql)->int64(0); });
}
std::int64_t codes(World& w) {
  static constexpr store::Sql k_count{"SELECT count(*) FROM oauth_code"};
  return count(w, k_count);
}
std::int64_t accounts(World& w) {
  static constexpr store::Sql k_count{"SELECT count(*) FROM account"};
  return count(w, k_count);
}

Tokens arrive(World& w, App& app, std::string email, NewAccount new_account = NewAccount::yes) {
  Browser browser(w);
  const auto login = app.start();
  return app.redeem(login, browser.get(callback(w, hand_over(w, login, std::move(email), new_account))));
}

Page ask(World& w, std::string query, std::vector<std::string> secrets = {k_internal_secret},
         std::string origin = k_internal) {
  web::Headers headers;
  for (auto& value : secrets) headers.add("x-internal-secret", std::move(value));
  return w.send(
      web::Request::make("GET", origin + "/_internal/account-by-email" + query, "", std::move(headers)));
}

// --- The callback

TEST(SplitHosts, MakeAnAccountAtTheFirstHandOverAndFindItAtTheNext) {
  World w(split());
  App app(w);
  const Tokens first = arrive(w, app, k_alice);
  EXPECT_EQ(first.scope, "atproto transition:generic")
      << "what the request asked for, and the other host showed";
  const auto account = w.account(k_alice);
  ASSERT_TRUE(account);
  EXPECT_EQ(first.did, account->did.str());
  EXPECT_TRUE(account->email_confirmed_at);
  EXPECT_EQ(arrive(w, app, k_alice, NewAccount::no).did, first.did);
  EXPECT_EQ(arrive(w, app, "Alice@Example.com", NewAccount::yes).did, first.did)
      << "the account came to be while the consent page was open";
  EXPECT_EQ(accounts(w), 1);

  const std::string allowed = "app_allowed an app on this computer", signed_in = "signed_in auth.pds.test";
  std::vector<std::string> events;
  for (const auto& entry : w.read([&](store::Tx& tx) { return signin::audit::newest(tx, first.did, 10); }))
    events.push_back(entry.event + " " + entry.detail);
  EXPECT_EQ(events, (std::vector<std::string>{allowed, signed_in, allowed, signed_in, allowed, signed_in,
                                              "account_created "}));
}

TEST(SplitHosts, AnswerInTheResponseModeThatWasAskedFor) {
  World w(split());
  App app(w);
  Browser browser(w);
  auto login = app.start({{"response_mode", "fragment"}});
  Page page = browser.get(callback(w, hand_over(w, login, k_alice)));
  EXPECT_EQ(page.status, 303);
  EXPECT_NE(page.location().find('#'), std::string::npos);
  EXPECT_EQ(page.header("cache-control"), "no-store");
  app.redeem(login, page);

  login = app.start({{"response_mode", "form_post"}});
  page = browser.get(callback(w, hand_over(w, login, k_alice)));
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.shows(app.redirect_uri()));
  // Its style sheet is there, too, on this host.
  const auto at = page.body.find("/static/");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(browser.get(w.options.pds + page.body.substr(at, page.body.find('"', at) - at)).status, 200);
}

TEST(SplitHosts, AreNotThereUnlessConfigured) {
  World w;
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  EXPECT_EQ(browser.get(callback(w, hand_over(w, login, k_alice))).status, 404);
  EXPECT_EQ(ask(w, "?email=alice@example.com").status, 404);
  EXPECT_EQ(accounts(w), 0);
}

TEST(SplitHostsAttacks, UnsignedHandOver_IssuesNothing) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  const auto before = codes(w);
  Browser browser(w);
  const auto login = app.start();
  const auto good = hand_over(w, login, k_bob, NewAccount::yes);
  auto doubled = good;
  doubled.emplace_back("email", k_alice);
  const struct {
    FormFields fields;
    int status;
    const char* error;
  } rows[] = {
      {{}, 400, "Missing required parameters"},
      {without(good, "sig"), 403, "Missing signature"},
      {without(good, "ts"), 403, "Missing signature"},
      {without(good, "approved"), 400, "Missing required parameters"},
      {with(good, "approved", "0"), 400, "Missing required parameters"},
      {with(good, "email", k_alice), 403, "Invalid callback signature"},
      {with(good, "new_account", "0"), 403, "Invalid callback signature"},
      {with(good, "request_uri", app.start().request_uri), 403, "Invalid callback signature"},
      {with(good, "sig", std::string(64, '0')), 403, "Invalid callback signature"},
      {with(good, "email", "bob@example.com\nx"), 400, "Invalid parameters"},
      {doubled, 400, "Missing required parameters"},
      {with(good, "did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), 303, ""},  // not read; the last row
  };
  for (const auto& row : rows) {
    const Page page = browser.get(callback(w, row.fields));
    EXPECT_EQ(page.status, row.status) << encode_form(row.fields);
    EXPECT_EQ(page.error(), row.error) << encode_form(row.fields);
    if (row.status != 303) EXPECT_EQ(codes(w), before) << encode_form(row.fields);
  }
  EXPECT_NE(w.account(k_bob)->did, w.account(k_alice)->did);
}

TEST(SplitHostsAttacks, OldHandOver_IsGoodForFiveMinutes) {
  World w(split());
  App app(w);
  Browser browser(w);
  const auto early = app.start();
  const auto link = hand_over(w, early, k_alice);
  w.clock.advance(300s);
  // The request itself lives five minutes as well; one pushed later tells the two apart.
  const auto fresh = app.start();
  const auto other = hand_over(w, fresh, k_alice);
  EXPECT_NE(browser.get(callback(w, link)).error(), "Callback signature expired");
  w.clock.advance(299s);
  EXPECT_EQ(browser.get(callback(w, other)).status, 303);
  const auto late = hand_over(w, app.start(), k_alice);
  w.clock.advance(301s);
  const Page page = browser.get(callback(w, late));
  EXPECT_EQ(page.status, 400);
  EXPECT_EQ(page.error(), "Callback signature expired");
}

TEST(SplitHostsAttacks, FutureHandOver_IsRefused) {
  World w(split());
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  EXPECT_EQ(browser.get(callback(w, hand_over(w, login, k_alice, NewAccount::yes, 1s))).status, 403);
  EXPECT_EQ(browser.get(callback(w, hand_over(w, login, k_alice))).status, 303);
}

TEST(SplitHostsAttacks, ReplayedHandOver_IsRefusedEverywhereAndAfterARestart) {
  World w(split());
  App app(w);
  Browser browser(w), thief(w, "198.51.100.7");
  const auto login = app.start();
  const auto link = callback(w, hand_over(w, login, k_alice));
  const Page page = browser.get(link);
  for (Browser* again : {&browser, &thief}) {
    const Page refused = again->get(link);
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.error(), "Callback already used");
  }
  w.restart();
  w.run(w.epds->clean());
  EXPECT_EQ(thief.get(link).error(), "Callback already used");
  EXPECT_EQ(codes(w), 1);
  app.redeem(login, page);
}

TEST(SplitHostsAttacks, ReplayedHandOver_OfTwoAtOnceOneIsFirst) {
  World w(split());
  App app(w);
  Browser browser(w), thief(w, "198.51.100.7");
  const auto login = app.start();
  const auto link = callback(w, hand_over(w, login, k_alice));
  const auto pages = w.together({browser.request("GET", link), thief.request("GET", link)});
  EXPECT_EQ((pages[0].status == 303) + (pages[1].status == 303), 1);
  EXPECT_EQ(codes(w), 1);
  EXPECT_EQ(accounts(w), 1);
}

TEST(SplitHostsAttacks, AnotherHandOverForTheSameRequest_FindsItFinished) {
  World w(split());
  App app(w);
  Browser browser(w), second(w, "198.51.100.7");
  const auto login = app.start();
  EXPECT_EQ(browser.get(callback(w, hand_over(w, login, k_alice))).status, 303);
  const Page page = second.get(callback(w, hand_over(w, login, k_bob)));
  EXPECT_EQ(page.status, 400);
  EXPECT_TRUE(page.header("content-type").starts_with("text/html"));
  EXPECT_EQ(codes(w), 1);
  EXPECT_FALSE(w.account(k_bob));
}

TEST(SplitHostsAttacks, ASecondBrowser_CannotFinishARequestOpenedElsewhere) {
  World w(split());
  App app(w);
  Browser first(w), second(w, "198.51.100.7");
  const auto login = app.start();
  EXPECT_EQ(first.get(app.authorize_url(login)).status, 200);
  for (Browser* browser : {&second, &first}) {
    const Page page = browser->get(callback(w, hand_over(w, login, k_alice)));
    EXPECT_EQ(page.status, 400);
    w.clock.advance(1s);
  }
  EXPECT_EQ(codes(w), 0);
  EXPECT_EQ(accounts(w), 0);
}

TEST(SplitHostsAttacks, ALookAtTheLink_DoesNotUseItUp) {
  World w(split());
  App app(w);
  Browser browser(w);
  const auto login = app.start();
  const auto link = callback(w, hand_over(w, login, k_alice));
  EXPECT_TRUE(browser.send(browser.request("HEAD", link)).location().empty());
  for (const auto& [name, value] : {std::pair("sec-fetch-dest", "iframe"),
                                    {"sec-fetch-dest", "image"},
                                    {"sec-fetch-dest", "script"},
                                    {"sec-purpose", "prefetch;prerender"}}) {
    auto request = browser.request("GET", link);
    request.headers.add(name, value);
    EXPECT_EQ(browser.send(std::move(request)).status, 403) << value;
  }
  EXPECT_EQ(browser.get("https://alice.pds.test" + link.substr(w.options.pds.size())).status, 421);
  EXPECT_EQ(browser.post(link, {}).status, 405);
  EXPECT_EQ(codes(w), 0);
  app.redeem(login, browser.get(link));
}

TEST(SplitHostsAttacks, Flood_CallbacksCountAsPages) {
  WorldOptions options;
  options.rate_limits.emplace();
  World w(split(std::move(options)));
  Browser browser(w);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(browser.get(callback(w, {})).status, 400) << i;
  EXPECT_EQ(browser.get(callback(w, {})).status, 429);
  w.clock.advance(2min);
  EXPECT_EQ(browser.get(callback(w, {})).status, 400);
}

// --- Who may

Page denied(World& w, App& app, std::string email, NewAccount new_account, FormFields par = {}) {
  Browser browser(w);
  const auto login = app.start(std::move(par));
  const auto before = codes(w);
  Page page = browser.get(callback(w, hand_over(w, login, std::move(email), new_account)));
  EXPECT_EQ(page.status, 303) << page.body;
  EXPECT_EQ(page.parameter("state"), login.state);
  EXPECT_EQ(page.parameter("iss"), w.options.pds);
  EXPECT_EQ(page.parameter("code"), "");
  EXPECT_EQ(codes(w), before);
  return page;
}

TEST(SplitHostsAttacks, ARecoveryNeverMakesAnAccount) {
  World w(split());
  App app(w);
  EXPECT_EQ(denied(w, app, k_alice, NewAccount::no).parameter("error"), "access_denied");
  EXPECT_EQ(accounts(w), 0);
}

TEST(SplitHosts, MakeAccountsByTheSignUpPolicy) {
  const struct {
    const char* policy;
    const char* email;
    bool may;
  } rows[] = {{"open", k_alice, true},
              {"closed", k_alice, false},
              {"invite", k_alice, false},
              {"domains:example.com", k_alice, true},
              {"domains:example.com", "alice@example.org", false}};
  for (const auto& row : rows) {
    WorldOptions options;
    options.sign_up = row.policy;
    World w(split(std::move(options)));
    App app(w);
    if (row.may) {
      EXPECT_EQ(arrive(w, app, row.email).did, w.account(row.email)->did.str()) << row.policy;
    } else {
      EXPECT_EQ(denied(w, app, row.email, NewAccount::yes).parameter("error"), "access_denied") << row.policy;
      EXPECT_EQ(accounts(w), 0) << row.policy;
    }
  }
}

TEST(SplitHostsAttacks, AnotherAccountThanTheOneAskedFor_IsRefused) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  arrive(w, app, k_bob);
  const std::string alice = w.account(k_alice)->did.str(), handle = w.account(k_alice)->handle_text();
  for (const auto& hint : {alice, handle, std::string("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")})
    EXPECT_EQ(denied(w, app, k_bob, NewAccount::no, {{"login_hint", hint}}).parameter("error"),
              "access_denied")
        << hint;
  EXPECT_EQ(denied(w, app, "carol@example.com", NewAccount::yes, {{"login_hint", alice}}).parameter("error"),
            "access_denied");
  EXPECT_FALSE(w.account("carol@example.com"));
  Browser browser(w);
  const auto login = app.start({{"login_hint", handle}});
  EXPECT_EQ(app.redeem(login, browser.get(callback(w, hand_over(w, login, k_alice, NewAccount::no)))).did,
            alice);
}

TEST(SplitHostsAttacks, AnAccountMadeWithSomebodyElsesAddress_DoesNotGetItsOwner) {
  World w(split());
  App app(w);
  const std::string handle = "squatter.pds.test";
  const json::Object input{{"handle", handle}, {"email", k_alice}, {"password", "correct horse battery"}};
  ASSERT_EQ(w.send(web::Request::make("POST", w.options.pds + "/xrpc/com.atproto.server.createAccount",
                                      json::Value(input).dump(), {{"content-type", "application/json"}}))
                .status,
            200);
  EXPECT_EQ(denied(w, app, k_alice, NewAccount::no).parameter("error"), "access_denied");
  EXPECT_FALSE(w.account(k_alice)->email_confirmed_at);
  Browser browser(w);
  const auto login = app.start({{"login_hint", handle}});
  app.redeem(login, browser.get(callback(w, hand_over(w, login, k_alice, NewAccount::no))));
  EXPECT_TRUE(w.account(k_alice)->email_confirmed_at) << "who names the account confirms its address";
}

TEST(SplitHosts, RefuseAccountsThatAreNotActive) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  const auto id = w.account(k_alice)->id;
  w.write([&](store::Tx& tx) { pds::accounts::set_deactivated(tx, id, w.clock.now()); });
  EXPECT_EQ(denied(w, app, k_alice, NewAccount::no).parameter("error"), "access_denied");
  w.write([&](store::Tx& tx) { pds::accounts::set_deactivated(tx, id, std::nullopt); });
  arrive(w, app, k_alice, NewAccount::no);
}

TEST(SplitHosts, TellTheAppWhenTheAccountCannotBeMade) {
  World w(split());
  App app(w);
  w.network.down.insert("https://plc.test");
  EXPECT_EQ(denied(w, app, k_alice, NewAccount::yes).parameter("error"), "server_error");
  EXPECT_EQ(denied(w, app, "quoted\"@example.com", NewAccount::yes).parameter("error"), "access_denied")
      << "an address that this server does not take";
}

TEST(SplitHostsAttacks, Race_TwoFirstSignInsMakeOneAccount) {
  World w(split());
  App app(w), other(w, App::Kind::web);
  w.network.delays["https://plc.test"] = 100ms;
  Browser browser(w);
  const auto login = app.start(), second = other.start();
  const auto pages = w.together({browser.request("GET", callback(w, hand_over(w, login, k_alice))),
                                 browser.request("GET", callback(w, hand_over(w, second, k_alice)))});
  EXPECT_EQ(app.redeem(login, pages[0]).did, other.redeem(second, pages[1]).did);
  EXPECT_EQ(accounts(w), 1);
}

// --- The internal route

TEST(SplitHosts, SayWhoseAddressItIs) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  const std::string did = w.account(k_alice)->did.str();
  for (const char* query : {"?email=alice@example.com", "?email=%20Alice@Example.COM"})
    EXPECT_EQ(ask(w, query).body, "{\"did\":\"" + did + "\"}") << query;
  for (const char* query : {"?email=bob@example.com", "?email=nobody", "?email=%40"})
    EXPECT_EQ(ask(w, query).body, "{\"did\":null}") << query;
  for (const char* query :
       {"", "?email=", "?email=a@b.example&email=c@d.example", "?email=a%0ab@example.com"})
    EXPECT_EQ(ask(w, query).status, 400) << query;
}

TEST(SplitHostsAttacks, InternalRoute_NeedsItsSecret) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  const std::vector<std::vector<std::string>> rows = {{},
                                                      {""},
                                                      {"wrong"},
                                                      {k_callback_secret},
                                                      {std::string(k_internal_secret) + " "},
                                                      {k_internal_secret, "wrong"},
                                                      {k_internal_secret, k_internal_secret}};
  for (const auto& secrets : rows) {
    const Page page = ask(w, "?email=alice@example.com", secrets);
    EXPECT_EQ(page.status, 401);
    EXPECT_EQ(page.body, "{\"error\":\"Unauthorized\"}");
  }
  EXPECT_EQ(ask(w, "", {}).status, 401) << "before anything is read";
}

TEST(SplitHostsAttacks, InternalRoute_IsNotOnThePublicListener) {
  World w(split());
  App app(w);
  arrive(w, app, k_alice);
  for (const std::string& origin : {w.options.pds, w.options.auth, std::string("https://alice.pds.test")})
    EXPECT_EQ(ask(w, "?email=alice@example.com", {k_internal_secret}, origin).status, 404) << origin;
  Browser browser(w);
  const auto login = app.start();
  const std::string link = callback(w, hand_over(w, login, k_alice));
  EXPECT_EQ(browser.get(k_internal + link.substr(w.options.pds.size())).status, 404);
}

}  // namespace
}  // namespace latchkey::dev::world
