#include "oauth/server/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using namespace testing;

class Authorization : public ServerTest {};

TEST_P(Authorization, RedirectsWithIssStateAndCode) {
  auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  const auto approved = *run(server_->approve(*open, all_of(*open)));
  const auto response = redirect_response(approved);
  EXPECT_EQ(response.status, 303);
  EXPECT_TRUE(response.headers.get("location").starts_with("http://127.0.0.1:4321/callback?"));
  EXPECT_EQ(parameter(approved, "iss"), k_issuer);
  EXPECT_EQ(parameter(approved, "state"), "the state");
  EXPECT_EQ(parameter(approved, "code").size(), 43u);
  EXPECT_EQ(response.headers.get("cache-control"), "no-store");
  EXPECT_EQ(response.headers.get("referrer-policy"), "no-referrer");
  open = run(server_->open(pushed(with(par_form(), "response_mode", "fragment")), k_loopback, "a"));
  const auto denied = *run(server_->refuse(*open, Error::access_denied, "no"));
  EXPECT_TRUE(
      redirect_response(denied).headers.get("location").starts_with("http://127.0.0.1:4321/callback#"));
  EXPECT_EQ(parameter(denied, "error"), "access_denied");
  EXPECT_EQ(parameter(denied, "iss"), k_issuer);
}

TEST_P(Authorization, AttackRequestUri_UnknownForeignExpiredOrUsed) {
  EXPECT_FALSE(run(server_->open(std::string(k_request_uri_prefix) + "guess", k_loopback, "a")).has_value());
  EXPECT_FALSE(run(server_->open("https://evil.example/", k_loopback, "a")).has_value());
  const std::string uri = pushed(par_form());
  EXPECT_FALSE(run(server_->open(uri, "http://localhost", "a")).has_value()) << "another client's request";
  clock_.advance(k_request_lifetime - 1s);
  EXPECT_TRUE(run(server_->open(uri, k_loopback, "a")).has_value());
  clock_.advance(4min);
  EXPECT_TRUE(run(server_->open(uri, k_loopback, "a")).has_value()) << "in use, so it lives 10 minutes";
  clock_.advance(1min + 1s);
  EXPECT_FALSE(run(server_->open(uri, k_loopback, "a")).has_value());
  const std::string unopened = pushed(par_form());
  clock_.advance(k_request_lifetime);
  EXPECT_FALSE(run(server_->open(unopened, k_loopback, "a")).has_value());
  const std::string used = pushed(par_form());
  code_for(used);
  EXPECT_FALSE(run(server_->open(used, k_loopback, "browser-a")).has_value()) << "after approval";
}

TEST_P(Authorization, AttackLoginFixation_ASecondBrowserIsRefused) {
  const std::string uri = pushed(par_form());
  const auto mine = run(server_->open(uri, k_loopback, "browser-a"));
  ASSERT_TRUE(mine.has_value());
  EXPECT_FALSE(run(server_->open(uri, k_loopback, "browser-b")).has_value());
  EXPECT_FALSE(run(server_->reopen(mine->request.id, "browser-b")).has_value());
  EXPECT_TRUE(run(server_->reopen(mine->request.id, "browser-a")).has_value());
}

TEST_P(Authorization, ARequestIsApprovedOnce) {
  const auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  EXPECT_TRUE(run(server_->approve(*open, all_of(*open))).has_value());
  EXPECT_FALSE(run(server_->approve(*open, all_of(*open))).has_value());
  EXPECT_FALSE(run(server_->refuse(*open, Error::access_denied, "")).has_value());
}

TEST_P(Authorization, OnlyConfidentialClientsSkipConsent) {
  serve_confidential_client(client_key_);
  signed_in();
  auto open = run(server_->open(pushed(par_form()), k_loopback, "a"));
  EXPECT_FALSE(run(server_->is_approved(*open, k_did)));
  const auto less = with(asserted(par_form(k_confidential), client_key_), "scope", "atproto");
  code_for(pushed(less), k_confidential);
  open = run(server_->open(pushed(with(asserted(par_form(k_confidential), client_key_), "scope", "atproto")),
                           k_confidential, "a"));
  EXPECT_TRUE(run(server_->is_approved(*open, k_did)));
  open = run(server_->open(pushed(asserted(par_form(k_confidential), client_key_)), k_confidential, "a"));
  EXPECT_FALSE(run(server_->is_approved(*open, k_did))) << "asks for more than was approved";
}

TEST_P(Authorization, ThePersonTakesAwayAndNeverAdds) {
  auto open = opened(pushed(par_form()));
  auto approval = all_of(open);
  approval.scope = *ScopeSet::parse("atproto transition:email transition:chat.bsky");
  const auto code = parameter(*run(server_->approve(open, approval)), "code");
  EXPECT_EQ(text(body(post("/oauth/token", code_form(code))), "scope"), "atproto");
  open = opened(pushed(par_form()));
  approval.scope = *ScopeSet::parse("transition:generic");
  EXPECT_EQ(run(server_->approve(open, approval)).error().code, Error::invalid_scope)
      << "never without atproto";
}

TEST_P(Authorization, AttackStanding_NoCodeForAnAccountThatIsNotActive) {
  for (const Standing standing : {Standing::deactivated, Standing::takendown, Standing::missing}) {
    const auto open = opened(pushed(par_form()));
    becomes(standing);
    const auto response = run(server_->approve(open, all_of(open)));
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(parameter(*response, "error"), "access_denied");
    EXPECT_EQ(parameter(*response, "code"), "");
    EXPECT_EQ(parameter(*response, "iss"), k_issuer);
    becomes(Standing::active);
    EXPECT_FALSE(run(server_->approve(open, all_of(open))).has_value()) << "that request is over";
  }
}

TEST_P(Authorization, ApprovalsAddUpAndCanBeForgotten) {
  serve_confidential_client(client_key_);
  const auto ask = [&](const char* scope) {
    return opened(pushed(with(asserted(par_form(k_confidential), client_key_), "scope", scope)),
                  k_confidential);
  };
  for (const char* scope : {"atproto transition:generic", "atproto"}) {
    const auto open = ask(scope);
    ASSERT_TRUE(run(server_->approve(open, all_of(open))).has_value());
  }
  EXPECT_EQ(run(server_->approved_scope(k_did, k_confidential)).str(), "atproto transition:generic")
      << "a smaller request takes nothing back";
  EXPECT_TRUE(run(server_->is_approved(ask("atproto transition:generic"), k_did)));
  EXPECT_FALSE(run(server_->is_approved(ask("atproto"), k_other_did))) << "somebody else approved it";
  run(server_->forget_approval(k_did, k_confidential));
  EXPECT_TRUE(run(server_->approved_scope(k_did, k_confidential)).empty());
  EXPECT_FALSE(run(server_->is_approved(ask("atproto"), k_did)));
}

TEST_P(Authorization, AnApprovalCoversWhatItAllowsHoweverItIsSpelled) {
  auto doc = confidential_document({jwk(client_key_, "k1")});
  doc.set("scope", "atproto repo:app.test.post repo:app.test.post?action=create repo:app.test.like");
  serve(k_confidential, doc);
  const auto ask = [&](const char* scope) {
    return opened(pushed(with(asserted(par_form(k_confidential), client_key_), "scope", scope)),
                  k_confidential);
  };
  const auto open = ask("atproto repo:app.test.post");
  ASSERT_TRUE(run(server_->approve(open, all_of(open))).has_value());
  EXPECT_TRUE(run(server_->is_approved(ask("atproto repo:app.test.post?action=create"), k_did)));
  EXPECT_FALSE(run(server_->is_approved(ask("atproto repo:app.test.like"), k_did)));
}

TEST_P(Authorization, AttackPromptNone_APublicClientSkipsConsentOnlyWhenTrusted) {
  serve(k_public, document_of(k_public));
  auto open = opened(pushed(with(par_form(k_public), "prompt", "none")), k_public);
  EXPECT_FALSE(may_skip_consent(open));
  ASSERT_TRUE(run(server_->approve(open, all_of(open))).has_value());
  EXPECT_FALSE(run(server_->is_approved(opened(pushed(par_form(k_public)), k_public), k_did)));
  trusted_ = {k_public, k_loopback};
  restart();
  open = opened(pushed(with(par_form(k_public), "prompt", "none")), k_public);
  EXPECT_TRUE(open.client->trusted);
  EXPECT_TRUE(may_skip_consent(open));
  EXPECT_TRUE(run(server_->is_approved(open, k_did)));
  EXPECT_FALSE(may_skip_consent(opened(pushed(par_form())))) << "a loopback client is nobody's";
}

TEST_P(Authorization, ErrorsOfOpenIdConnectAreSpelledAsThere) {
  const struct {
    Error error;
    const char* name;
  } rows[] = {{Error::login_required, "login_required"},
              {Error::account_selection_required, "account_selection_required"},
              {Error::consent_required, "consent_required"},
              {Error::interaction_required, "interaction_required"}};
  for (const auto& row : rows)
    EXPECT_EQ(parameter(*run(server_->refuse(opened(pushed(par_form())), row.error, "x")), "error"),
              row.name);
}

INSTANTIATE_TEST_SUITE_P(Store, Authorization, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
