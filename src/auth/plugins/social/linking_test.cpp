#include "auth/plugins/social/plugin_testing.h"

namespace latchkey::auth {
namespace {

using namespace std::chrono_literals;
using namespace testing;

class SocialLinking : public SocialTest {};

// ---- attacks: linking by address

TEST_P(SocialLinking, AttackAnUnverifiedAddressLinksToNobody) {
  const User ann = add_user("ann@example.com", true);
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("mallory", "ann@example.com", false)), "/oops?error=account_not_linked");
  EXPECT_FALSE(user_of(b));
  EXPECT_TRUE(accounts_of(ann).empty());
  EXPECT_EQ(sign_in(b, claims("ann", "ann@example.com", true)), "/dash");
  EXPECT_EQ(user_of(b)->id, ann.id);
}

TEST_P(SocialLinking, AttackPreHijackedAccountsAreNotLinkedEvenForTrustedProviders) {
  account_.linking.trusted_providers = {"acme"};
  restart();
  add_user("victim@example.com", false);  // registered by somebody who waits for the victim
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("victim", "victim@example.com")), "/oops?error=account_not_linked");
  account_.linking.require_local_email_verified = false;
  restart();
  b = browser();
  EXPECT_EQ(sign_in(b, claims("victim", "victim@example.com")), "/dash") << "when the host wants it so";
  EXPECT_TRUE(user_of(b)->email_verified);
}

TEST_P(SocialLinking, ATrustedProviderLinksWithoutVerifiedAddress) {
  account_.linking.trusted_providers = {"acme"};
  restart();
  add_user("ann@example.com", true);
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("ann", "ann@example.com", false)), "/dash");
}

TEST_P(SocialLinking, ImplicitLinkingCanBeTurnedOff) {
  add_user("ann@example.com", true);
  account_.linking.disable_implicit_linking = true;
  restart();
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("ann", "ann@example.com")), "/oops?error=account_not_linked");
}

TEST_P(SocialLinking, AttackAnAddressChangedAtTheProviderMovesNobody) {
  const User victim = add_user("victim@example.com", true);
  Browser b = browser();
  sign_in(b, claims("mallory", "mallory@example.com"));
  const auto mallory = user_of(b)->id;
  EXPECT_EQ(sign_in(b, claims("mallory", "victim@example.com")), "/dash");
  EXPECT_EQ(user_of(b)->id, mallory);
  EXPECT_EQ(user_of(b)->email, "mallory@example.com");
  EXPECT_TRUE(accounts_of(victim).empty());
}

TEST_P(SocialLinking, NewPeopleOnlyWhereTheyAreWanted) {
  acme_.rules.disable_implicit_sign_up = true;
  restart();
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/oops?error=signup_disabled");
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com"), {{"requestSignUp", true}}), "/welcome");
  acme_.rules.disable_sign_up = true;
  restart();
  b = browser();
  EXPECT_EQ(sign_in(b, claims("2", "bob@example.com"), {{"requestSignUp", true}}),
            "/oops?error=signup_disabled");
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/dash");
}

// ---- linking by request

TEST_P(SocialLinking, LinksForSomebodyWhoIsSignedIn) {
  const User ann = add_user("ann@example.com", false);
  Browser b = signed_in_as(ann);
  EXPECT_EQ(link(b, claims("1", "ann@example.com")), "/dash");
  ASSERT_EQ(accounts_of(ann).size(), 1u);
  EXPECT_TRUE(user_of(b)->email_verified) << "the provider verified this very address";
  EXPECT_EQ(link(b, claims("1", "ann@example.com")), "/dash") << "again changes nothing";
  EXPECT_EQ(accounts_of(ann).size(), 1u);
}

TEST_P(SocialLinking, TheHostIsToldOnceSoThatTheOwnerHearsOfIt) {
  struct Told {
    static Task<void> of(std::vector<std::string>* out, User user, std::string label) {
      out->push_back(user.email + " " + label);
      co_return;
    }
  };
  std::vector<std::string> told;
  social_.linked = [&](Context&, User user, std::string label) {
    return Told::of(&told, std::move(user), std::move(label));
  };
  restart();
  const User ann = add_user("ann@example.com", true);
  Browser b = signed_in_as(ann);
  EXPECT_EQ(link(b, claims("1", "ann@example.com")), "/dash");
  EXPECT_EQ(link(b, claims("1", "ann@example.com")), "/dash");
  EXPECT_EQ(link(b, claims("2", "eve@example.com")), "/oops?error=email_does_not_match");
  ASSERT_EQ(told.size(), 1u) << "again, and what is refused, is nothing new";
  EXPECT_TRUE(told[0].starts_with("ann@example.com "));
}

TEST_P(SocialLinking, AttackLinkingInASessionThatWasEndedIsRefused) {
  const User ann = add_user("ann@example.com", true);
  Browser b = signed_in_as(ann);
  const auto url = begin(b, {}, "/link-social");
  run((*db_)->write([&](store::Tx& tx) { return auth_->sessions().remove_all(tx, ann.id); })).value();
  EXPECT_EQ(come_back(b, url, claims("1", "ann@example.com")), "/oops?error=unable_to_link_account");
  EXPECT_TRUE(accounts_of(ann).empty());

  Browser later = signed_in_as(ann);
  const auto begun = begin(later, {}, "/link-social");
  const auto state =
      std::ranges::find_if(later.cookies, [](const auto& c) { return c.first.ends_with(".state"); });
  Browser again = signed_in_as(ann);
  again.cookies.insert(*state);
  EXPECT_EQ(come_back(again, begun, claims("1", "ann@example.com")), "/oops?error=unable_to_link_account")
      << "a session of the same person that asked for nothing";
}

TEST_P(SocialLinking, AttackLinkingIntoAnotherPersonsSessionIsRefused) {
  const User ann = add_user("ann@example.com", true), bob = add_user("bob@example.com", true);
  Browser b = signed_in_as(ann);
  const auto url = begin(b, {}, "/link-social");
  Browser other = signed_in_as(bob);
  for (const auto& [name, value] : b.cookies)
    if (name.ends_with("state")) other.cookies[name] = value;
  EXPECT_EQ(come_back(other, url, claims("1", "ann@example.com")), "/oops?error=unable_to_link_account");
  EXPECT_TRUE(accounts_of(ann).empty());
  EXPECT_TRUE(accounts_of(bob).empty());
}

TEST_P(SocialLinking, AttackAnIdentityOfSomebodyElseIsNotTaken) {
  Browser owner = browser();
  sign_in(owner, claims("1", "owner@example.com"));
  const User ann = add_user("ann@example.com", true);
  Browser b = signed_in_as(ann);
  EXPECT_EQ(link(b, claims("1", "ann@example.com")), "/oops?error=account_already_linked_to_different_user");
  EXPECT_EQ(accounts_of(*user_of(owner)).size(), 1u);
}

TEST_P(SocialLinking, AnotherAddressLinksOnlyWhenAllowed) {
  const User ann = add_user("ann@example.com", true);
  Browser b = signed_in_as(ann);
  EXPECT_EQ(link(b, claims("1", "other@example.com")), "/oops?error=email_does_not_match");
  EXPECT_EQ(link(b, {{"sub", "1"}, {"email_verified", true}}), "/oops?error=unable_to_link_account");
  EXPECT_EQ(link(b, claims("1", "ann@example.com", false)), "/oops?error=unable_to_link_account");
  account_.linking.allow_different_emails = true;
  restart();
  b = signed_in_as(ann);
  EXPECT_EQ(link(b, claims("1", "other@example.com")), "/dash");
  EXPECT_EQ(user_of(b)->email, "ann@example.com");
}

// ---- people recognised by identity only (ePDS)

TEST_P(SocialLinking, ByIdentityAVerifiedAddressMakesAnAccount) {
  social_.match = Match::by_identity;
  social_.tokens = SocialOptions::Tokens::dropped;
  restart();
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/welcome");
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/dash");
  EXPECT_EQ(accounts_of(*user_of(b))[0].access_token, std::nullopt);
  EXPECT_EQ(accounts_of(*user_of(b))[0].refresh_token, std::nullopt);
}

TEST_P(SocialLinking, AttackByIdentityAnUnverifiedAddressNeitherCreatesNorLinksNorTells) {
  social_.match = Match::by_identity;
  account_.linking.trusted_providers = {"acme"};
  restart();
  const User ann = add_user("ann@example.com", true);
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com", false)), "/oops?error=email_not_verified");
  EXPECT_EQ(sign_in(b, claims("2", "nobody@example.com", false)), "/oops?error=email_not_verified");
  EXPECT_TRUE(accounts_of(ann).empty());
  EXPECT_FALSE(user_of(b));
}

TEST_P(SocialLinking, AttackByIdentityAVerifiedAddressAloneLinksToNobody) {
  social_.match = Match::by_identity;
  restart();
  const User ann = add_user("ann@example.com", true);
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/oops?error=account_not_linked");
  EXPECT_TRUE(accounts_of(ann).empty());
  EXPECT_FALSE(user_of(b));
  EXPECT_FALSE(run(pending_link(auth_.get(), request_of(b))));
}

TEST_P(SocialLinking, AttackByIdentityAnAddressTheHostKnowsMakesNoSecondAccount) {
  social_.match = Match::by_identity;
  social_.address_taken = [](store::Tx&, std::string_view email) { return email == "ann@example.com"; };
  restart();
  Browser b = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/oops?error=account_not_linked");
  EXPECT_EQ(sign_in(b, claims("2", "bob@example.com")), "/welcome");
}

struct Prove {  // a host whose page asks for a code
  static Task<std::optional<std::string>> first(Context&, PendingLink pending) {
    co_return "/prove?email=" + pending.email;
  }
};

TEST_P(SocialLinking, ByIdentityControlIsProvenFirstAndThenLinked) {
  social_.match = Match::by_identity;
  social_.prove_control = &Prove::first;
  restart();
  const User ann = add_user("ann@example.com", true), bob = add_user("bob@example.com", true);
  Browser b = browser(), other = browser();
  EXPECT_EQ(sign_in(b, claims("1", "ann@example.com")), "/prove?email=ann@example.com");
  EXPECT_FALSE(user_of(b)) << "not yet";
  const auto pending = run(pending_link(auth_.get(), request_of(b)));
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending->email, "ann@example.com");
  EXPECT_EQ(pending->provider_label, "Acme");

  const auto linked = [&](const Browser& where, const User& user) {
    return run((*db_)->write([&](store::Tx& tx) {
             return link_pending(*auth_, tx, request_of(where), user, clock_.now());
           }))
        .value()
        .has_value();
  };
  EXPECT_FALSE(linked(other, ann)) << "another browser";
  EXPECT_FALSE(linked(b, bob)) << "another address";
  EXPECT_TRUE(linked(b, ann));
  EXPECT_FALSE(linked(b, ann)) << "once";
  EXPECT_FALSE(run(pending_link(auth_.get(), request_of(b))));
  EXPECT_EQ(sign_in(other, claims("1", "ann@example.com")), "/dash");
  EXPECT_EQ(user_of(other)->id, ann.id);
}

TEST_P(SocialLinking, AttackAPendingLinkIsGoodForTenMinutes) {
  social_.match = Match::by_identity;
  social_.prove_control = &Prove::first;
  restart();
  const User ann = add_user("ann@example.com", true);
  Browser b = browser();
  sign_in(b, claims("1", "ann@example.com"));
  clock_.advance(10min - 1s);
  EXPECT_TRUE(run(pending_link(auth_.get(), request_of(b))));
  clock_.advance(1s);
  EXPECT_FALSE(run(pending_link(auth_.get(), request_of(b))));
  EXPECT_FALSE(run((*db_)->write([&](store::Tx& tx) {
                 return link_pending(*auth_, tx, request_of(b), ann, clock_.now());
               })).value());
}

INSTANTIATE_TEST_SUITE_P(Store, SocialLinking, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth
