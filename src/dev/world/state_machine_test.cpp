// docs/oauth-state-machine.md, tried out: browsers, apps and an attacker do what comes to their minds, in any
// order, and after every step the invariants of that page must hold. The same seed plays the same game.

#include <gtest/gtest.h>

#include <fmt/core.h>

#include <cstdlib>

#include "base/encoding.h"
#include "dev/world/world.h"
#include "pds/accounts.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr int k_steps = 250;
int seeds() {
  const char* more = std::getenv("LATCHKEY_STATE_SEEDS");
  return more ? std::atoi(more) : 24;
}

struct CodeRow {
  std::string client_id, did;
  std::optional<std::string> session;
};
struct SessionRow {
  std::string did, client_id, jkt;
  std::int64_t generation;
  Time expires_at, rotated_at;
  bool revoked;
};

class Game {
 public:
  explicit Game(std::uint64_t seed)
      : w_({.seed = seed, .limits = no_limits()}),
        dice_(seed * 7919 + 1),
        public_(w_),
        confidential_(w_, App::Kind::confidential),
        thief_(w_),
        actors_{{Browser(w_), "alice@example.com"},
                {Browser(w_), "bob@example.com"},
                {Browser(w_), "mallory@example.com"}} {}

  void play() {
    for (step_ = 0; step_ < k_steps && !::testing::Test::HasFatalFailure(); ++step_) {
      const auto codes_before = codes();
      // Mostly somebody goes on with what they were doing, or nobody would ever arrive.
      if (chance(7)) actor_ = static_cast<int>(pick(actors_.size()));
      if (chance(7) && !requests_.empty()) request_ = static_cast<int>(pick(requests_.size()));
      move();
      if (std::getenv("LATCHKEY_STATE_TRACE"))
        fmt::print("{} actor {} request {}: {} -> {} {} {}\n", step_, actor_, request_, what_, page().status,
                   page().heading(), page().location());
      check(codes_before);
      if (::testing::Test::HasFailure()) FAIL() << "at step " << step_ << ": " << what_;
    }
  }

  // How often something good happened: a game in which nobody ever gets in proves nothing.
  int issued = 0, refreshed = 0, resource = 0, stolen_attempts = 0;

 private:
  struct Actor {
    Browser browser;
    std::string email;  // the one mailbox they can read
    std::map<int, Page> pages = {};
  };
  struct Started {
    App* app;
    App::Login login;
    std::optional<int> opener = {};
    int codes = 0;
  };
  struct Grant {
    App* app;
    Tokens newest;
    std::vector<std::string> refresh_tokens;
  };
  struct Heard {  // a code on its way to an app; the attacker may have seen it, too
    int request;
    std::string code;
  };

  static auth::EmailOtpLimits no_limits() {
    const std::vector<auth::Limit> none{{1'000'000, 1h}};
    return {none, none, none, none, none};
  }
  std::size_t pick(std::size_t n) { return dice_.below(static_cast<std::uint32_t>(n)); }
  bool chance(std::uint32_t percent) { return dice_.below(100) < percent; }
  Actor& actor() { return actors_[static_cast<std::size_t>(actor_)]; }
  Started& request() { return requests_[static_cast<std::size_t>(request_)]; }
  Page& page() { return actor().pages[request_]; }

  // --- What can be done

  void move() {
    const std::size_t dice = pick(100);
    if (dice < 4 || requests_.empty()) return start();
    if (dice < 8) return open();
    if (dice < 60) return go_on();
    if (dice < 64) return forge();
    if (dice < 72) return redeem();
    if (dice < 82) return refresh();
    if (dice < 87) return use();
    if (dice < 90) return revoke();
    if (dice < 93) return moderate();
    if (dice < 98) return wait();
    what_ = "restart";
    w_.restart();
  }

  void start() {
    what_ = "an app pushes a request";
    App& app = chance(50) ? public_ : confidential_;
    FormFields extra;
    constexpr const char* k_prompts[] = {"login", "consent", "select_account", "create", "none"};
    if (chance(30)) extra.emplace_back("prompt", k_prompts[pick(5)]);
    if (chance(20))
      if (const auto account = w_.account(actor().email))
        extra.emplace_back("login_hint", account->did.str());
    requests_.push_back({&app, app.start(std::move(extra))});
    request_ = static_cast<int>(requests_.size()) - 1;
  }

  void open() {
    what_ = "a browser opens a request";
    std::optional<std::string> hint;
    if (chance(20)) hint = actors_[pick(actors_.size())].email;
    took(actor().browser.get(request().app->authorize_url(request().login, hint)));
    if (!request().opener && page().status < 400) request().opener = actor_;
  }

  // Whatever the page in front of this browser offers, or a redirect.
  void go_on() {
    what_ = "a browser goes on";
    Browser& browser = actor().browser;
    Page& at = page();
    if (at.url.empty()) return open();
    if (at.status == 303) {
      if (Url::parse(at.location()) && !at.location().starts_with(w_.options.auth)) return start();
      return took(browser.follow(at));
    }
    const auto forms = at.forms();
    if (forms.empty() || at.status >= 400) return start();
    auto form = forms[pick(forms.size())];
    for (const auto& other : forms)
      if (other.action.starts_with("/auth/verify") && chance(60)) form = other;
    FormFields fields;
    if (form.action.starts_with("/auth/email"))
      fields = {{"email", chance(80) ? actor().email : actors_[pick(actors_.size())].email}};
    else if (form.action.starts_with("/auth/verify"))
      fields = {{"code", chance(85) ? w_.code(actor().email) : std::string("12345678")},
                {"stay", chance(60) ? "yes" : ""}};
    else if (form.action.starts_with("/auth/choose"))
      fields = {{"account", any_did()}};
    else if (form.action.starts_with("/auth/consent"))
      fields = {{"action", chance(85) ? "approve" : "deny"}};
    took(browser.submit(at, form.action, std::move(fields)));
  }

  // Mallory knows every URL and the flow cookies of everybody, and types what he likes into forms of others.
  void forge() {
    what_ = "the attacker uses another browser's flow";
    if (!request().opener || request().opener == 2) return;
    Browser& own = actors_[2].browser;
    const Actor& victim = actors_[static_cast<std::size_t>(*request().opener)];
    const auto found = victim.pages.find(request_);
    if (found == victim.pages.end() || found->second.status != 200) return;
    const auto forms = found->second.forms();
    if (forms.empty()) return;
    const auto saved = own.jar;
    if (chance(70)) {
      const auto jar = victim.browser.jar.find("auth.pds.test");
      if (jar != victim.browser.jar.end())
        if (const auto flow = jar->second.find("__Host-magic_auth_flow"); flow != jar->second.end())
          own.jar["auth.pds.test"]["__Host-magic_auth_flow"] = flow->second;
    }
    const auto& form = forms[pick(forms.size())];
    ++stolen_attempts;
    const Page answer = own.submit(found->second, form.action,
                                   {{"action", "approve"},
                                    {"email", actors_[2].email},
                                    {"code", w_.code(actors_[2].email)},
                                    {"account", any_did()},
                                    {"did", any_did()}});
    EXPECT_TRUE(answer.parameter("code").empty()) << answer.location();
    own.jar = saved;
  }

  void redeem() {
    if (heard_.empty()) return;
    const Heard heard = heard_[pick(heard_.size())];
    const Started& started = requests_[static_cast<std::size_t>(heard.request)];
    if (chance(30)) {
      what_ = "the attacker redeems a code";
      ++stolen_attempts;
      FormFields form = started.app->code_form(started.login, heard.code);
      if (chance(50)) form = with(std::move(form), "code_verifier", std::string(43, 'x'));
      EXPECT_NE(thief_.post("/oauth/token", std::move(form)).status, 200);
      return;
    }
    what_ = "an app redeems a code";
    const auto sessions_before = sessions();
    const Page answer = started.app->post("/oauth/token", started.app->code_form(started.login, heard.code));
    if (answer.status != 200) return;
    ++issued;
    EXPECT_EQ(sessions().size(), sessions_before.size() + 1) << "one session for one code";
    Tokens tokens{answer.text("access_token"), answer.text("refresh_token"), answer.text("sub"),
                  answer.text("scope")};
    grants_.push_back({started.app, tokens, {tokens.refresh}});
  }

  void refresh() {
    if (grants_.empty()) return;
    Grant& grant = grants_[pick(grants_.size())];
    const std::string token =
        chance(65) ? grant.newest.refresh : grant.refresh_tokens[pick(grant.refresh_tokens.size())];
    const std::string id = token.substr(0, token.find('.'));
    const auto generation = std::stoll(token.substr(id.size() + 1));
    const auto before = sessions();
    const auto row = before.find(id);
    const bool alive = row != before.end() && living(row->second);
    const bool current = alive && generation == row->second.generation;
    const bool graced =
        alive && generation == row->second.generation - 1 && w_.clock.now() - row->second.rotated_at <= 30s;
    const bool thief = chance(25);
    what_ = thief ? "the attacker refreshes" : "an app refreshes";
    App& app = thief ? thief_ : *grant.app;
    const Page answer =
        app.post("/oauth/token",
                 {{"grant_type", "refresh_token"}, {"refresh_token", token}, {"client_id", app.client_id()}});
    const auto after = sessions();
    if (thief) {
      ++stolen_attempts;
      EXPECT_NE(answer.status, 200);
      if (row != before.end()) {
        EXPECT_EQ(after.at(id).generation, row->second.generation);
        EXPECT_EQ(after.at(id).revoked, row->second.revoked) << "a stranger cannot end what is not theirs";
      }
      return;
    }
    if (answer.status != 200) {
      if (alive && !current && !graced && !barred(row->second.did)) {
        EXPECT_TRUE(after.at(id).revoked) << "a replay ends the session";
      }
      return;
    }
    ++refreshed;
    EXPECT_TRUE(current || graced);
    EXPECT_FALSE(barred(row->second.did)) << "the account may not sign in";
    const std::string fresh = answer.text("refresh_token");
    if (graced)
      EXPECT_EQ(std::stoll(fresh.substr(id.size() + 1)), row->second.generation) << "the same successor";
    EXPECT_EQ(std::stoll(fresh.substr(id.size() + 1)), after.at(id).generation) << "one living token";
    grant.newest.access = answer.text("access_token");
    grant.newest.refresh = fresh;
    grant.refresh_tokens.push_back(fresh);
  }

  void use() {
    if (grants_.empty()) return;
    const Grant& grant = grants_[pick(grants_.size())];
    const bool thief = chance(25);
    what_ = thief ? "the attacker uses an access token" : "an app uses its access token";
    App& app = thief ? thief_ : *grant.app;
    const Page answer = app.call("GET", "/xrpc/com.atproto.server.getSession", grant.newest);
    if (thief) {
      ++stolen_attempts;
      EXPECT_EQ(answer.status, 401);
    }
    if (answer.status != 200) return;
    ++resource;
    const std::string id = grant.newest.refresh.substr(0, grant.newest.refresh.find('.'));
    const auto rows = sessions();
    ASSERT_TRUE(rows.contains(id)) << "no token outlives its session";
    EXPECT_TRUE(living(rows.at(id))) << "no token outlives its session";
    EXPECT_EQ(answer.text("did"), rows.at(id).did);
  }

  void revoke() {
    if (grants_.empty()) return;
    const Grant& grant = grants_[pick(grants_.size())];
    const bool access = chance(50);
    const std::string id = grant.newest.refresh.substr(0, grant.newest.refresh.find('.'));
    App& app = *grant.app;
    switch (pick(3)) {
      case 0:
        what_ = "an app revokes";
        app.post("/oauth/revoke", {{"token", access ? grant.newest.access : grant.newest.refresh},
                                   {"client_id", app.client_id()}});
        break;
      case 1:
        what_ = "a person ends a session";
        w_.run(w_.epds->oauth().end_session(grant.newest.did, id));
        break;
      default: {
        what_ = "another client revokes";
        const auto before = sessions();
        App& other = &app == &public_ ? confidential_ : public_;
        other.post("/oauth/revoke", {{"token", grant.newest.refresh}, {"client_id", other.client_id()}});
        if (before.contains(id)) EXPECT_EQ(sessions().at(id).revoked, before.at(id).revoked);
        return;
      }
    }
    if (const auto rows = sessions(); rows.contains(id) && !access) EXPECT_FALSE(living(rows.at(id)));
  }

  void moderate() {
    what_ = "an account changes its standing";
    const auto account = w_.account(actor().email);
    if (!account) return;
    const std::size_t what = pick(4);
    w_.write([&](store::Tx& tx) {
      if (what == 0) pds::accounts::set_deactivated(tx, account->id, w_.clock.now());
      if (what == 1) pds::accounts::set_takedown(tx, account->id, std::string("moderation"));
      if (what >= 2) {
        pds::accounts::set_deactivated(tx, account->id, std::nullopt);
        pds::accounts::set_takedown(tx, account->id, std::nullopt);
      }
    });
  }

  void wait() {
    what_ = "time passes";
    constexpr std::chrono::seconds k_waits[] = {1s, 10s, 29s, 31s, 61s, 4min, 16min, 26h, 8 * 24h, 15 * 24h};
    w_.clock.advance(k_waits[pick(chance(75) ? 4 : std::size(k_waits))]);
    if (chance(30)) w_.run(w_.epds->clean());
  }

  // --- What must hold

  void check(const std::map<std::string, CodeRow>& codes_before) {
    const auto codes_now = codes();
    for (const auto& [hash, code] : codes_now) {
      if (codes_before.contains(hash)) continue;
      ASSERT_GE(request_, 0);
      // No code for an identity that did not sign in in that browser.
      EXPECT_EQ(request().opener, actor_) << "the browser that opened the request";
      const auto account = w_.account(actor().email);
      ASSERT_TRUE(account.has_value());
      EXPECT_EQ(code.did, account->did.str()) << "the mailbox this person reads";
      EXPECT_EQ(code.client_id, request().app->client_id());
      EXPECT_FALSE(barred(code.did));
      EXPECT_EQ(++request().codes, 1) << "a request ends once";
    }
    // A session has one code behind it, and belongs to whom the code was for.
    const auto sessions_now = sessions();
    std::map<std::string, int> made;
    for (const auto& [hash, code] : codes_now)
      if (code.session) {
        ++made[*code.session];
        const auto session = sessions_now.find(*code.session);
        if (session == sessions_now.end()) continue;
        EXPECT_EQ(session->second.did, code.did);
        EXPECT_EQ(session->second.client_id, code.client_id);
      }
    for (const auto& [id, count] : made) EXPECT_EQ(count, 1);
    // The end is the end.
    for (const auto& [id, session] : sessions_now) {
      if (session.revoked) over_.insert(id);
      EXPECT_TRUE(session.revoked || !over_.contains(id)) << "an ended session came back";
    }
  }

  void took(Page answer) {
    if (const auto code = answer.parameter("code"); !code.empty()) heard_.push_back({request_, code});
    EXPECT_LT(answer.status, 500) << answer.body;
    page() = std::move(answer);
  }

  bool living(const SessionRow& row) const { return !row.revoked && row.expires_at > w_.clock.now(); }
  bool barred(const std::string& did) {
    const auto account =
        w_.read([&](store::Tx& tx) { return pds::accounts::by_did(tx, Did::parse(did).value()); });
    return !account || !account->active();
  }
  std::string any_did() {
    const auto account = w_.account(actors_[pick(actors_.size())].email);
    return account ? account->did.str() : "did:plc:nobodynobodynobodynobody";
  }

  std::map<std::string, CodeRow> codes() {
    static constexpr store::Sql k_codes{"SELECT code_hash, client_id, did, session_id FROM oauth_code"};
    return w_.read([](store::Tx& tx) {
      std::map<std::string, CodeRow> out;
      for (const auto& row : tx.query(k_codes))
        out.emplace(row.text(0), CodeRow{row.text(1), row.text(2), row.opt_text(3)});
      return out;
    });
  }
  std::map<std::string, SessionRow> sessions() {
    static constexpr store::Sql k_sessions{
        "SELECT id, did, client_id, dpop_jkt, generation, expires_at, rotated_at, revoked_at FROM "
        "oauth_session"};
    return w_.read([](store::Tx& tx) {
      std::map<std::string, SessionRow> out;
      for (const auto& row : tx.query(k_sessions))
        out.emplace(row.text(0), SessionRow{row.text(1), row.text(2), row.text(3), row.int64(4), row.time(5),
                                            row.time(6), !row.is_null(7)});
      return out;
    });
  }

  World w_;
  SeededRng dice_;
  App public_, confidential_;
  App thief_;  // the same public client_id, with keys of its own
  std::vector<Actor> actors_;
  std::vector<Started> requests_;
  std::vector<Heard> heard_;
  std::vector<Grant> grants_;
  std::set<std::string> over_;
  int step_ = 0, actor_ = 0, request_ = -1;
  std::string what_;
};

TEST(StateMachine, HoldsItsInvariantsInAnyOrder) {
  int issued = 0, refreshed = 0, resource = 0, stolen = 0;
  for (int seed = 1; seed <= seeds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Game game(static_cast<std::uint64_t>(seed));
    game.play();
    if (HasFailure()) return;
    issued += game.issued;
    refreshed += game.refreshed;
    resource += game.resource;
    stolen += game.stolen_attempts;
  }
  EXPECT_GT(issued, seeds() / 2);
  EXPECT_GT(refreshed, seeds() / 4);
  EXPECT_GT(resource, seeds() / 8);
  EXPECT_GT(stolen, seeds());
}

}  // namespace
}  // namespace latchkey::dev::world
