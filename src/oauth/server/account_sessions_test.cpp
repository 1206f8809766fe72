#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class AccountSessions : public ServerTest {};

TEST_P(AccountSessions, AreListedTheLastUsedFirst) {
  const auto open = opened(pushed(par_form()));
  auto approval = all_of(open);
  approval.device = "a device";
  const auto code = parameter(*run(server_->approve(open, approval)), "code");
  ip_ = "198.51.100.1";
  const auto first = body(post("/oauth/token", code_form(code)));
  clock_.advance(1h);
  signed_in();
  clock_.advance(1h);
  ASSERT_EQ(post("/oauth/token", refresh_form(first)).status, 200);
  const auto list = run(server_->sessions_of(k_did));
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].device, "a device");
  EXPECT_EQ(list[0].ip, "198.51.100.1") << "of the client, not of the browser";
  EXPECT_EQ(list[0].client_id, k_loopback);
  EXPECT_EQ(list[0].scope, "atproto transition:generic");
  EXPECT_EQ(list[0].created_at, clock_.now() - 2h);
  EXPECT_EQ(list[0].last_used_at, clock_.now());
  EXPECT_EQ(list[0].expires_at, list[0].created_at + k_public_session_lifetime);
  EXPECT_EQ(list[1].device, "");
  EXPECT_TRUE(run(server_->sessions_of(k_other_did)).empty());
  clock_.advance(k_public_session_lifetime);
  EXPECT_TRUE(run(server_->sessions_of(k_did)).empty()) << "only the living";
}

TEST_P(AccountSessions, AttackForeignSession_OnlyItsOwnerEndsIt) {
  const auto tokens = signed_in();
  const auto id = run(server_->sessions_of(k_did))[0].id;
  EXPECT_FALSE(run(server_->end_session(k_other_did, id)));
  EXPECT_FALSE(run(server_->end_session(k_did, "another")));
  EXPECT_TRUE(lives(tokens));
  EXPECT_TRUE(run(server_->end_session(k_did, id)));
  EXPECT_FALSE(lives(tokens));
  EXPECT_EQ(error(post("/oauth/token", refresh_form(tokens))), "invalid_grant");
  EXPECT_FALSE(run(server_->end_session(k_did, id))) << "once";
}

TEST_P(AccountSessions, SigningOutEverywhereEndsSessionsAndCodesThatWait) {
  const auto a = signed_in(), b = signed_in();
  const std::string code = code_for(pushed(par_form()));
  EXPECT_EQ(run(server_->end_sessions(k_other_did)), 0u);
  EXPECT_TRUE(lives(a));
  EXPECT_EQ(run(server_->end_sessions(k_did)), 2u);
  EXPECT_FALSE(lives(a));
  EXPECT_FALSE(lives(b));
  EXPECT_EQ(error(post("/oauth/token", code_form(code))), "invalid_grant")
      << "approved before, and not yet redeemed";
  EXPECT_EQ(run(server_->end_sessions(k_did)), 0u);
}

TEST_P(AccountSessions, EndWithinTheTransactionThatResetsAPassword) {
  const auto tokens = signed_in();
  const auto attempt = run((*db_)->write([&](store::Tx& tx) -> Result<void, int> {
    sessions::end_all(tx, k_did, clock_.now());
    return fail(1);
  }));
  EXPECT_FALSE(attempt.has_value());
  EXPECT_TRUE(lives(tokens)) << "rolled back together";
  run((*db_)->write([&](store::Tx& tx) { sessions::end_all(tx, k_did, clock_.now()); }));
  EXPECT_FALSE(lives(tokens));
}

INSTANTIATE_TEST_SUITE_P(Store, AccountSessions, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
