// Invite codes and the sign-up policy.
#include "pds/invites.h"

#include <gmock/gmock.h>

#include "base/encoding.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;
using ::testing::MatchesRegex;

constexpr const char* k_sign_up = "com.atproto.server.createAccount";
constexpr const char* k_code = "com.atproto.server.createInviteCode";
constexpr const char* k_codes = "com.atproto.server.createInviteCodes";

Config with_policy(const char* policy) {
  auto config = test_config();
  config.sign_up = SignUpPolicy::parse(policy).value();
  config.invite_required = config.sign_up.kind() == SignUpPolicy::Kind::invite;
  config.admin_password = Secret<std::string>("x7Qm2vR9tLpZ");
  return config;
}

struct InviteWorld : World {
  explicit InviteWorld(store::Engine engine, Config config = with_policy("invite"))
      : World(engine, std::move(config)) {}
  void invite(const std::string& code, std::int64_t uses) {
    write([&](Tx& tx) {
      invites::insert(tx, {.code = code,
                           .max_uses = uses,
                           .for_account = "admin",
                           .created_by = "admin",
                           .created_at = clock.now()});
    });
  }
  std::int64_t uses(const std::string& code) {
    return read([&](Tx& tx) { return invites::get(tx, code)->uses; });
  }
  Answered sign_up_with(const std::string& name, std::optional<std::string> code) {
    json::Object input{{"handle", name + ".test"}, {"email", name + "@mail.test"}};
    if (code) input.append("inviteCode", *code);
    return post(k_sign_up, std::move(input));
  }
};

std::string admin(const std::string& password) { return "Basic " + base64(as_bytes("admin:" + password)); }

class InviteCodes : public store::EngineTest {};

TEST_P(InviteCodes, AreGoodForTheirNumberOfAccounts) {
  InviteWorld w(GetParam());
  w.invite("pds-test-two", 2);
  EXPECT_EQ(w.sign_up_with("anna", {}).message(), "No invite code provided");
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-none").message(), "Provided invite code not available");
  EXPECT_EQ(w.sign_up_with("anna", std::string("a\0b", 3)).message(), "Provided invite code not available");
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-two").status, 200);
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-two").message(), "Handle already taken: anna.test");
  EXPECT_EQ(w.uses("pds-test-two"), 1) << "a sign-up that fails spends nothing";
  EXPECT_EQ(w.sign_up_with("bob", "pds-test-two").status, 200);
  const auto third = w.sign_up_with("carol", "pds-test-two");
  EXPECT_EQ(third.status, 400);
  EXPECT_EQ(third.error(), "InvalidInviteCode");
  EXPECT_EQ(third.message(), "Provided invite code not available");
  EXPECT_EQ(w.plc.submits, 2);
}

TEST_P(InviteCodes, DisabledAreNotGood) {
  InviteWorld w(GetParam());
  w.invite("pds-test-code", 5);
  EXPECT_TRUE(w.write([&](Tx& tx) { return invites::disable(tx, "pds-test-code", w.clock.now()); }));
  EXPECT_FALSE(w.write([&](Tx& tx) { return invites::disable(tx, "pds-test-none", w.clock.now()); }));
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-code").error(), "InvalidInviteCode");
  EXPECT_EQ(w.read([](Tx& tx) { return invites::list(tx, 10); }).at(0).disabled_at, w.clock.now());
}

Task<void> sign_up_into(AccountService* service, std::string name, std::vector<bool>* won) {
  SignUp sign_up{.handle = Handle::parse(name + ".test").value(),
                 .email = mail::EmailAddress::parse(name + "@mail.test").value(),
                 .password = std::nullopt,
                 .invite_code = "pds-test-one"};
  const auto made = co_await service->create_account(std::move(sign_up));
  won->push_back(made.has_value());
}

TEST_P(InviteCodes, AttackRace_OneUseMakesOneAccount) {
  InviteWorld w(GetParam());
  w.invite("pds-test-one", 1);
  InlineExecutor executor;
  std::vector<bool> won;
  for (int i = 0; i < 6; ++i)
    executor.post([&, i] { spawn(sign_up_into(&w.pds().accounts(), "racer" + std::to_string(i), &won)); });
  executor.run_until([&] { return won.size() == 6; });
  EXPECT_EQ(std::ranges::count(won, true), 1);
  EXPECT_EQ(w.uses("pds-test-one"), 1);
  EXPECT_EQ(w.plc.operations.size(), 1u) << "the losers left nothing in the directory";
}

TEST_P(InviteCodes, ComeBackWhenTheDirectoryRefusesTheAccount) {
  InviteWorld w(GetParam());
  w.invite("pds-test-one", 1);
  w.plc.mode = MemoryPlc::Mode::refuse;
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-one").error(), "UpstreamFailure");
  EXPECT_EQ(w.uses("pds-test-one"), 0);
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-one").error(), "UpstreamFailure");
  EXPECT_EQ(w.uses("pds-test-one"), 1) << "this one may still come to be";
  w.plc.mode = MemoryPlc::Mode::normal;
  EXPECT_EQ(run(w.pds().resume_unfinished(Unfinished::all)), 0u);
  EXPECT_EQ(w.uses("pds-test-one"), 1);
}

TEST_P(InviteCodes, StaySpentWhenTheAccountIsDeleted) {
  InviteWorld w(GetParam());
  w.invite("pds-test-one", 1);
  const auto made = w.sign_up_with("anna", "pds-test-one");
  const auto account = run(w.pds().accounts().find(Did::parse(made.text_at("did")).value())).value();
  ASSERT_TRUE(run(w.pds().lifecycle().delete_account(account)));
  EXPECT_EQ(w.uses("pds-test-one"), 1);
  w.write([&](Tx& tx) { invites::give_back(tx, account.id); });
  EXPECT_EQ(w.uses("pds-test-one"), 1) << "who used it is forgotten";
}

TEST_P(InviteCodes, AreNotSpentWhereNoneIsAskedFor) {
  InviteWorld w(GetParam(), with_policy("open"));
  w.invite("pds-test-one", 1);
  EXPECT_EQ(w.sign_up_with("anna", "pds-test-one").status, 200);
  EXPECT_EQ(w.sign_up_with("bob", "pds-test-none").status, 200);
  EXPECT_EQ(w.uses("pds-test-one"), 0);
}

TEST_P(InviteCodes, TheMagicOneIsAlwaysGood) {
  auto config = with_policy("invite");
  config.magic_invite_code = Secret<std::string>("open sesame");
  InviteWorld w(GetParam(), config);
  EXPECT_EQ(w.sign_up_with("anna", "open sesame").status, 200);
  EXPECT_EQ(w.sign_up_with("bob", "open sesame").status, 200);
  EXPECT_EQ(w.sign_up_with("carol", "open sesam").error(), "InvalidInviteCode");
}

TEST_P(InviteCodes, AreMadeByTheAdmin) {
  InviteWorld w(GetParam());
  const auto auth = admin("x7Qm2vR9tLpZ");
  const auto one = w.post(k_code, json::Object{{"useCount", 1}}, auth);
  ASSERT_EQ(one.status, 200) << one.text;
  EXPECT_THAT(one.text_at("code"), MatchesRegex("pds-test-[a-z2-7]{5}-[a-z2-7]{5}"));
  EXPECT_EQ(w.sign_up_with("anna", one.text_at("code")).status, 200);

  const auto many = w.post(
      k_codes,
      json::Object{{"codeCount", 2}, {"useCount", 3}, {"forAccounts", json::Array{"did:plc:a", "did:plc:b"}}},
      auth);
  ASSERT_EQ(many.status, 200) << many.text;
  const auto& batches = *many.body.find("codes")->array();
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(*batches[1].string_at("account"), "did:plc:b");
  EXPECT_EQ(batches[1].find("codes")->array()->size(), 2u);
  EXPECT_EQ(w.read([](Tx& tx) { return invites::list(tx, 10); }).size(), 5u);

  for (const auto& [uses, status] :
       {std::pair{json::Value(0), 400}, std::pair{json::Value(1), 200},
        std::pair{json::Value(k_max_invite_uses), 200}, std::pair{json::Value(k_max_invite_uses + 1), 400},
        std::pair{json::Value("1"), 400}})
    EXPECT_EQ(w.post(k_code, json::Object{{"useCount", uses}}, auth).status, status) << uses.dump();
  for (const auto& [codes, status] : {std::pair{500, 200}, std::pair{501, 400}})
    EXPECT_EQ(
        w.post(k_codes,
               json::Object{
                   {"codeCount", codes}, {"useCount", 1}, {"forAccounts", json::Array{"admin", "did:plc:b"}}},
               auth)
            .status,
        status)
        << codes;
  EXPECT_EQ(w.post(k_code, json::Object{}, auth).message(), "Input must have the property \"useCount\"");
}

TEST_P(InviteCodes, AttackAdmin_NobodyElseMakesThem) {
  InviteWorld w(GetParam());
  const auto made = [&](const std::string& auth) {
    const auto got = w.post(k_code, json::Object{{"useCount", 1}}, auth);
    EXPECT_EQ(got.status == 200 || got.error() == "AuthenticationRequired", true) << got.text;
    return got.status == 200;
  };
  EXPECT_TRUE(made(admin("x7Qm2vR9tLpZ")));
  for (const auto& auth :
       {std::string(), admin(""), admin("x7Qm2vR9tLp"), admin("x7Qm2vR9tLpZ "), std::string("Basic %%%"),
        "Basic " + base64(as_bytes("root:x7Qm2vR9tLpZ")), std::string("Bearer x7Qm2vR9tLpZ")})
    EXPECT_FALSE(made(auth)) << auth;
  auto config = with_policy("invite");
  config.admin_password.reset();
  InviteWorld closed(GetParam(), config);
  EXPECT_EQ(closed.post(k_code, json::Object{{"useCount", 1}}, admin("")).status, 401)
      << "without a password nobody is admin";
}

INSTANTIATE_TEST_SUITE_P(Store, InviteCodes, store::engines(), store::engine_name);

TEST(SignUpPolicyText, IsReadAndWritten) {
  for (const char* text : {"open", "invite", "closed", "domains:example.com", "domains:a.example,.b.example"})
    EXPECT_EQ(SignUpPolicy::parse(text).value().str(), text);
  EXPECT_EQ(SignUpPolicy::parse(" domains: Example.COM , *.example.org ")->str(),
            "domains:example.com,.example.org");
  for (const char* text : {"", "Open", "opened", "domains", "domains:", "domains:,", "domains:example.com,",
                           "domains:com", "domains:*", "domains:*.com,..x.org", "domains:a@example.com"})
    EXPECT_FALSE(SignUpPolicy::parse(text)) << text;
}

TEST(SignUpPolicyDomains, AttackLookalikesAreNotTheDomain) {
  const auto policy = SignUpPolicy::parse("domains:example.com,.corp.example").value();
  const std::pair<const char*, bool> rows[] = {
      {"example.com", true},       {"EXAMPLE.com", true},       {"evil-example.com", false},
      {"evilexample.com", false},  {"mail.example.com", false}, {"example.com.evil.test", false},
      {"eu.corp.example", true},   {"a.eu.corp.example", true}, {"corp.example", false},
      {"evilcorp.example", false}, {"example", false},          {"", false}};
  for (const auto& [domain, allowed] : rows) EXPECT_EQ(policy.allows_domain(domain), allowed) << domain;
}

TEST(SignUps, FollowThePolicyWhateverWayTheyCome) {
  const auto by_page = [](const char* policy, const char* email, std::optional<std::string> code) {
    World w(store::Engine::sqlite, with_policy(policy));
    const auto made =
        run(w.pds().accounts().create_account({.email = mail::EmailAddress::parse(email).value(),
                                               .email_proof = EmailProof::proven,
                                               .password = std::nullopt,
                                               .invite_code = std::move(code)}));
    EXPECT_EQ(w.plc.submits, made ? 1 : 0);
    return made ? std::string("ok") : made.error().message;
  };
  EXPECT_EQ(by_page("open", "a@example.com", {}), "ok");
  EXPECT_EQ(by_page("closed", "a@example.com", {}), "This server takes no new accounts");
  EXPECT_EQ(by_page("invite", "a@example.com", {}), "No invite code provided");
  EXPECT_EQ(by_page("invite", "a@example.com", "guess"), "Provided invite code not available");
  EXPECT_EQ(by_page("domains:example.com", "a@example.com", {}), "ok");
  EXPECT_EQ(by_page("domains:example.com", "a@evil-example.com", {}),
            "This email address is not supported, please use a different email.");

  for (const auto& [policy, message] :
       {std::pair{"closed", "This server takes no new accounts"},
        std::pair{"domains:other.test",
                  "This email address is not supported, please use a different email."}}) {
    InviteWorld w(store::Engine::sqlite, with_policy(policy));
    EXPECT_EQ(w.sign_up_with("anna", {}).message(), message) << policy;
    EXPECT_FALSE(
        *w.get("/xrpc/com.atproto.server.describeServer").body.find("inviteCodeRequired")->boolean());
  }
}

TEST(SignUps, AttackUnprovenAddress_IsNoAddressOfTheDomain) {
  InviteWorld w(store::Engine::sqlite, with_policy("domains:mail.test"));
  const auto got = w.sign_up_with("anna", {});
  EXPECT_EQ(got.status, 400);
  EXPECT_EQ(got.message(), "This server asks for a confirmed email: sign up on its sign-in page");
  EXPECT_EQ(w.plc.submits, 0);
}

}  // namespace
}  // namespace latchkey::pds
