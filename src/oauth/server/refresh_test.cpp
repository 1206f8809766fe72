#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class Refresh : public ServerTest {};

TEST_P(Refresh, RefreshRotates) {
  const auto first = signed_in();
  const auto response = post("/oauth/token", refresh_form(first));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto second = body(response);
  EXPECT_NE(text(first, "refresh_token"), text(second, "refresh_token"));
  EXPECT_TRUE(resource(text(second, "access_token"), key_).has_value());
  EXPECT_EQ(text(second, "sub"), k_did);
}

TEST_P(Refresh, AnAnswerLostOnTheWireIsGivenAgainWithinTheGrace) {
  const auto first = signed_in();
  const auto a = body(post("/oauth/token", refresh_form(first)));
  clock_.advance(k_refresh_grace);
  const auto b = body(post("/oauth/token", refresh_form(first)));
  EXPECT_EQ(text(a, "refresh_token"), text(b, "refresh_token"));
  EXPECT_EQ(post("/oauth/token", refresh_form(b)).status, 200);
}

TEST_P(Refresh, AttackRefreshReplay_EndsTheSession) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  clock_.advance(k_refresh_grace + 1s);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first))), "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", refresh_form(second))), "invalid_grant")
      << "the living token died with it";
  EXPECT_FALSE(resource(text(second, "access_token"), key_).has_value());
}

TEST_P(Refresh, AttackRefreshReplay_TwoGenerationsBackEndsTheSessionEvenAtOnce) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  const auto third = body(post("/oauth/token", refresh_form(second)));
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first))), "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", refresh_form(third))), "invalid_grant");
}

TEST_P(Refresh, AttackRefresh_ForeignKeyOrClientChangesNothing) {
  const auto tokens = signed_in();
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens), proof("/oauth/token", other_key_))),
            "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "client_id", "http://localhost"))),
            "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "refresh_token", "a.0.b"))),
            "invalid_grant");
  auto forged = text(tokens, "refresh_token");
  forged[forged.find('.') + 1] = '7';
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(tokens), "refresh_token", forged))),
            "invalid_grant");
  EXPECT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
}

TEST_P(Refresh, AttackFiftyRefreshesAtOnce_LeaveOneSessionAndOneSuccessor) {
  const auto tokens = signed_in();
  std::vector<std::string> successors(50);
  std::vector<std::thread> threads;
  for (auto& out : successors)
    threads.emplace_back([&, p = proof("/oauth/token", key_)] {
      const auto r = post("/oauth/token", refresh_form(tokens), p);
      out = r.status == 200 ? text(body(r), "refresh_token") : r.body;
    });
  for (auto& t : threads) t.join();
  for (const auto& s : successors) EXPECT_EQ(s, successors[0]);
  EXPECT_EQ(run(server_->sessions_of(k_did)).size(), 1u);
  EXPECT_EQ(post("/oauth/token", with(refresh_form(tokens), "refresh_token", successors[0])).status, 200);
}

TEST_P(Refresh, APublicSessionEndsAfterTwoWeeks) {
  auto tokens = signed_in();
  for (int day = 1; day < 14; ++day) {
    clock_.advance(24h);
    const auto r = post("/oauth/token", refresh_form(tokens));
    ASSERT_EQ(r.status, 200) << day;
    tokens = body(r);
  }
  clock_.advance(24h - 60s);
  const auto last = body(post("/oauth/token", refresh_form(tokens)));
  EXPECT_EQ(*last.find("expires_in")->integer(), 60) << "an access token never outlives its session";
  clock_.advance(60s);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(last))), "invalid_grant");
}

TEST_P(Refresh, RefreshMayNarrowTheScopeButNotWiden) {
  const auto tokens = signed_in();
  const auto narrow = body(post("/oauth/token", with(refresh_form(tokens), "scope", "atproto")));
  EXPECT_EQ(text(narrow, "scope"), "atproto");
  EXPECT_EQ(resource(text(narrow, "access_token"), key_)->scope, "atproto");
  const auto wide =
      body(post("/oauth/token", with(refresh_form(narrow), "scope", "atproto transition:email")));
  EXPECT_EQ(text(wide, "scope"), "atproto");
}

TEST_P(Refresh, NotesWhenAndFromWhere) {
  const auto tokens = signed_in();
  clock_.advance(1h);
  ip_ = "2001:db8::7";
  ASSERT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
  const auto list = run(server_->sessions_of(k_did));
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].ip, "2001:db8::7");
  EXPECT_EQ(list[0].last_used_at, clock_.now());
  EXPECT_EQ(list[0].created_at, clock_.now() - 1h);
}

TEST_P(Refresh, ADeactivatedAccountSleepsAndWakes) {
  const auto tokens = signed_in();
  becomes(Standing::deactivated);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
  becomes(Standing::active);
  EXPECT_EQ(post("/oauth/token", refresh_form(tokens)).status, 200);
}

TEST_P(Refresh, AttackStanding_ATakendownOrDeletedAccountLosesItsSessions) {
  for (const Standing standing : {Standing::takendown, Standing::missing}) {
    const auto tokens = signed_in();
    becomes(standing);
    EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
    becomes(Standing::active);
    EXPECT_FALSE(lives(tokens));
    EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant") << "it stays over";
  }
}

TEST_P(Refresh, AttackStanding_TheGraceOpensNoDoorForAnAccountThatIsNotActive) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  becomes(Standing::deactivated);
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first))), "invalid_grant");
  becomes(Standing::active);
  EXPECT_EQ(post("/oauth/token", refresh_form(second)).status, 200);
}

TEST_P(Refresh, AttackRefreshGrace_IsForTheSameKeyAndClientOnly) {
  const auto first = signed_in();
  const auto second = body(post("/oauth/token", refresh_form(first)));
  EXPECT_EQ(error(post("/oauth/token", refresh_form(first), proof("/oauth/token", other_key_))),
            "invalid_grant");
  EXPECT_EQ(error(post("/oauth/token", with(refresh_form(first), "client_id", "http://localhost"))),
            "invalid_grant");
  EXPECT_EQ(post("/oauth/token", refresh_form(second)).status, 200) << "that ended nothing";
}

TEST_P(Refresh, AScopeItsClientDeclaresNoMoreIsLeftOutUntilItIsBack) {
  serve(k_public, document_of(k_public, "atproto transition:generic"));
  auto tokens =
      body(post("/oauth/token", code_form(code_for(pushed(par_form(k_public)), k_public), k_public)));
  EXPECT_EQ(text(tokens, "scope"), "atproto transition:generic");
  serve(k_public, document_of(k_public, "atproto transition:email"));
  clock_.advance(10min);
  tokens = body(post("/oauth/token", refresh_form(tokens, k_public)));
  EXPECT_EQ(text(tokens, "scope"), "atproto") << "less, and nothing that was never granted";
  EXPECT_EQ(resource(text(tokens, "access_token"), key_)->scope, "atproto");
  serve(k_public, document_of(k_public, "atproto transition:generic"));
  clock_.advance(10min);
  tokens = body(post("/oauth/token", refresh_form(tokens, k_public)));
  EXPECT_EQ(text(tokens, "scope"), "atproto transition:generic");
}

TEST_P(Refresh, AConfidentialSessionRestsUpToNinetyDays) {
  serve_confidential_client(client_key_);
  auto tokens = signed_in_with(client_key_);
  for (int i = 0; i < 2; ++i) {
    clock_.advance(k_confidential_idle_lifetime - 1s);
    const auto r = refreshed_with(tokens, client_key_);
    ASSERT_EQ(r.status, 200) << r.body;
    tokens = body(r);
  }
  clock_.advance(k_confidential_idle_lifetime);
  EXPECT_EQ(error(refreshed_with(tokens, client_key_)), "invalid_grant");
}

INSTANTIATE_TEST_SUITE_P(Store, Refresh, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
