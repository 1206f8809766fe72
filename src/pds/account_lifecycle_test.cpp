// Deactivate, activate, delete.
#include "pds/account_lifecycle.h"

#include <gmock/gmock.h>

#include "atproto/cbor/cbor.h"
#include "pds/events.h"
#include "pds/mailed_tokens.h"
#include "pds/records.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;

constexpr const char* k_deactivate = "com.atproto.server.deactivateAccount";
constexpr const char* k_activate = "com.atproto.server.activateAccount";
constexpr const char* k_status = "/xrpc/com.atproto.server.checkAccountStatus";
constexpr const char* k_request_delete = "com.atproto.server.requestAccountDelete";
constexpr const char* k_delete = "com.atproto.server.deleteAccount";

struct LifecycleWorld : World {
  explicit LifecycleWorld(store::Engine engine) : World(engine), alice(sign_up("alice")) {}

  /// Kind and status of the events of an account, in their order.
  std::vector<std::string> told(const SignedIn& who) {
    while (write([](Tx& tx) { return events::number_pending(tx, 100); }) > 0) {
    }
    std::vector<std::string> out;
    for (const auto& event : read([](Tx& tx) { return events::after(tx, 0, 1000); })) {
      const auto payload = cbor::decode(event.payload).value();
      const auto* did = payload.string_at(event.kind == EventKind::commit ? "repo" : "did");
      if (*did != who.did.str()) continue;
      const auto* status = payload.string_at("status");
      out.push_back(event.kind == EventKind::commit     ? "commit"
                    : event.kind == EventKind::sync     ? "sync"
                    : event.kind == EventKind::identity ? "identity"
                    : status                            ? "account " + *status
                                                        : "account active");
    }
    return out;
  }
  std::vector<std::string> told_since(const SignedIn& who, std::size_t count) {
    auto all = told(who);
    return {all.begin() + static_cast<std::ptrdiff_t>(count), all.end()};
  }
  Answered create_record(const SignedIn& who) {
    return post("com.atproto.repo.createRecord",
                json::Object{{"repo", who.did.str()},
                             {"collection", "com.example.note"},
                             {"record", json::Object{{"n", ++records}}}},
                who.access);
  }
  std::string mailed_token() {
    EXPECT_EQ(post(k_request_delete, std::nullopt, alice.access).status, 200);
    return process.mailer.last_token;
  }
  Answered delete_alice(const std::string& password, const std::string& token) {
    return post(k_delete, json::Object{{"did", alice.did.str()}, {"password", password}, {"token", token}});
  }
  bool there(const SignedIn& who) { return run(pds().accounts().find(who.did)).has_value(); }

  int records = 0;
  SignedIn alice;
};

class Deactivation : public store::EngineTest {};

TEST_P(Deactivation, HidesTheAccountUntilItIsActivated) {
  LifecycleWorld w(GetParam());
  const std::string repo = "/xrpc/com.atproto.sync.getRepo?did=" + w.alice.did.str();
  ASSERT_EQ(w.post(k_deactivate, json::Object{}, w.alice.access).status, 200);
  EXPECT_EQ(w.get(repo).error(), "RepoDeactivated");
  EXPECT_EQ(w.create_record(w.alice).error(), "AccountDeactivated");
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", w.alice.access).text_at("status"), "deactivated");
  EXPECT_THAT(w.told_since(w.alice, 4), ElementsAre("account deactivated"));

  ASSERT_EQ(w.post(k_activate, std::nullopt, w.alice.access).status, 200);
  EXPECT_EQ(w.get(repo).status, 200);
  EXPECT_EQ(w.create_record(w.alice).status, 200);
  EXPECT_THAT(w.told_since(w.alice, 5), ElementsAre("account active", "identity", "sync", "commit"));
}

TEST_P(Deactivation, TakesATimeOrNone) {
  LifecycleWorld w(GetParam());
  const auto post = [&](json::Value when) {
    return w.post(k_deactivate, json::Object{{"deleteAfter", std::move(when)}}, w.alice.access);
  };
  EXPECT_EQ(post("2030-01-01T00:00:00Z").status, 200);
  EXPECT_EQ(post("soon").message(), "Input/deleteAfter must be a valid datetime");
  EXPECT_EQ(post(1).status, 400);
}

TEST_P(Deactivation, OfATakenDownAccountKeepsItTakenDown) {
  LifecycleWorld w(GetParam());
  const auto id = w.account(w.alice).id;
  w.write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  const auto session = w.post(
      "com.atproto.server.createSession",
      json::Object{{"identifier", "alice.test"}, {"password", "correct horse"}, {"allowTakendown", true}});
  const auto access = "Bearer " + session.text_at("accessJwt");
  EXPECT_EQ(w.post(k_deactivate, json::Object{}, access).status, 200);
  EXPECT_THAT(w.told_since(w.alice, 4), ElementsAre("account takendown"));
  EXPECT_EQ(w.post(k_activate, std::nullopt, access).error(), "InvalidToken");
}

TEST_P(Deactivation, EndsOnlyWhenTheDidDocumentFits) {
  LifecycleWorld w(GetParam());
  const auto& key = w.pds().config().rotation_key;
  ASSERT_EQ(w.post(k_deactivate, json::Object{}, w.alice.access).status, 200);
  const auto original = *w.plc.operations.at(w.alice.did.str()).data();
  const auto becomes = [&](const std::function<void(plc::Data&)>& edit) {
    auto data = original;
    edit(data);
    const auto& last = w.plc.operations.at(w.alice.did.str());
    EXPECT_TRUE(run(w.plc.append(
        w.alice.did, plc::Operation::sign(plc::PlcOperation{.data = data, .prev = last.cid()}, key))));
    return w.post(k_activate, std::nullopt, w.alice.access).message();
  };
  SeededRng rng(8);
  const auto other = crypto::PrivateKey::generate(crypto::Curve::k256, rng);
  EXPECT_EQ(becomes([](plc::Data& d) { d.services["atproto_pds"].endpoint = "https://other.test"; }),
            "DID document atproto_pds service endpoint does not match PDS public url");
  EXPECT_EQ(becomes([&](plc::Data& d) { d.verification_methods["atproto"] = other.public_key().did_key(); }),
            "DID document verificationMethod does not match expected signing key");
  EXPECT_EQ(becomes([](plc::Data& d) { d.also_known_as = {"at://bob.test"}; }),
            "DID document does not claim the handle alice.test");
  EXPECT_FALSE(w.get(k_status, w.alice.access).body.find("validDid")->boolean()[0]);
  EXPECT_FALSE(w.account(w.alice).active());
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_EQ(w.post(k_activate, std::nullopt, w.alice.access).error(), "UpstreamFailure");
  w.plc.mode = MemoryPlc::Mode::normal;
  EXPECT_EQ(becomes([](plc::Data&) {}), "");
  EXPECT_TRUE(w.account(w.alice).active());
  EXPECT_EQ(becomes([&](plc::Data& d) { d.rotation_keys = {other.public_key().did_key()}; }),
            "Server rotation key not included in PLC DID data");
}

TEST_P(Deactivation, StatusOfTheAccountTellsWhatIsHere) {
  LifecycleWorld w(GetParam());
  const auto empty = w.get(k_status, w.alice.access);
  ASSERT_EQ(empty.status, 200) << empty.text;
  EXPECT_EQ(*empty.body.find("indexedRecords")->integer(), 0);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(w.create_record(w.alice).status, 200);
  const auto got = w.get(k_status, w.app_of(w.alice, "atproto"));
  EXPECT_TRUE(*got.body.find("activated")->boolean());
  EXPECT_TRUE(*got.body.find("validDid")->boolean());
  EXPECT_EQ(*got.body.find("indexedRecords")->integer(), 3);
  EXPECT_GE(*got.body.find("repoBlocks")->integer(), 5) << "commit, root, records";
  const auto latest = w.get("/xrpc/com.atproto.sync.getLatestCommit?did=" + w.alice.did.str());
  EXPECT_EQ(got.text_at("repoCommit"), latest.text_at("cid"));
  EXPECT_EQ(got.text_at("repoRev"), latest.text_at("rev"));
}

INSTANTIATE_TEST_SUITE_P(Store, Deactivation, store::engines(), store::engine_name);

class Deletion : public store::EngineTest {};

TEST_P(Deletion, TakesPasswordAndMailedTokenAndLeavesNothing) {
  LifecycleWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  const auto id = w.account(w.alice).id;
  ASSERT_EQ(w.create_record(w.alice).status, 200);
  ASSERT_TRUE(run(w.pds().settings().create_app_password(w.account(w.alice), "phone", Privileged::no)));
  const auto token = w.mailed_token();
  EXPECT_EQ(w.process.mailer.last_to, "alice@mail.test");
  EXPECT_THAT(token, MatchesRegex("[A-Z2-7]{5}-[A-Z2-7]{5}"));

  EXPECT_EQ(w.delete_alice("wrong horse", token).error(), "AuthenticationRequired");
  EXPECT_EQ(w.delete_alice("correct horse", "AAAAA-AAAAA").error(), "InvalidToken");
  ASSERT_TRUE(w.there(w.alice));
  const auto deleted = w.delete_alice("correct horse", token);
  ASSERT_EQ(deleted.status, 200) << deleted.text;

  EXPECT_FALSE(w.there(w.alice));
  EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo?did=" + w.alice.did.str()).error(), "RepoNotFound");
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", w.alice.access).error(), "AccountNotFound");
  EXPECT_EQ(w.post("com.atproto.server.refreshSession", std::nullopt, w.alice.refresh).error(),
            "AccountNotFound");
  EXPECT_EQ(w.create_record(w.alice).error(), "AccountNotFound");
  EXPECT_EQ(w.delete_alice("correct horse", token).message(), "account not found");
  w.read([&](Tx& tx) {
    EXPECT_TRUE(records::leaves(tx, id).empty());
    EXPECT_FALSE(repo_heads::get(tx, id));
    EXPECT_TRUE(app_passwords::list(tx, id).empty());
  });
  // The log forgets what was written; that it ended is told.
  run(w.pds().lifecycle().sweep_events());
  EXPECT_THAT(w.told(w.alice), ElementsAre("account deleted"));
  EXPECT_THAT(w.told(bob), ElementsAre("identity", "account active", "commit", "sync"));
  // Handle and address are free, the DID is its owner's.
  EXPECT_TRUE(w.plc.operations.contains(w.alice.did.str()));
  EXPECT_NE(w.sign_up("alice").did, w.alice.did);
}

TEST_P(Deletion, TokensLiveAQuarterOfAnHourInAnyCase) {
  LifecycleWorld w(GetParam());
  auto token = w.mailed_token();
  w.clock.advance(k_mailed_token_lifetime);
  EXPECT_EQ(w.delete_alice("correct horse", token).error(), "ExpiredToken");
  const auto old = w.mailed_token();
  token = w.mailed_token();
  EXPECT_EQ(w.delete_alice("correct horse", old).error(), "InvalidToken") << "a new one kills the old one";
  w.clock.advance(k_mailed_token_lifetime - std::chrono::seconds(1));
  for (char& c : token) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(w.delete_alice("correct horse", token).status, 200);
}

TEST_P(Deletion, AttackTokenInAMailboxTheAccountHasLeft) {
  LifecycleWorld w(GetParam());
  const auto token = w.mailed_token();
  ASSERT_TRUE(run(w.pds().settings().change_email(
      w.account(w.alice), mail::EmailAddress::parse("new@mail.test").value(), EmailProof::proven)));
  EXPECT_EQ(w.delete_alice("correct horse", token).error(), "InvalidToken");
}

TEST_P(Deletion, AttackTokenOfAnotherAccount) {
  LifecycleWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  const auto token = w.mailed_token();
  const auto got =
      w.post(k_delete, json::Object{{"did", bob.did.str()}, {"password", "correct horse"}, {"token", token}});
  EXPECT_EQ(got.error(), "InvalidToken");
  EXPECT_TRUE(w.there(bob));
}

TEST_P(Deletion, WithoutPasswordTakesARecentSignIn) {
  LifecycleWorld w(GetParam());
  const auto token = w.mailed_token();
  ASSERT_TRUE(run(w.pds().settings().remove_password(w.account(w.alice))));
  for (const char* password : {"", "correct horse"})
    EXPECT_EQ(w.delete_alice(password, token).error(), "AuthenticationRequired") << password;
  EXPECT_TRUE(w.there(w.alice));
  w.process.recently_signed_in.insert(w.alice.did.str());
  EXPECT_EQ(w.delete_alice("", "AAAAA-AAAAA").error(), "InvalidToken") << "the mail is needed as well";
  EXPECT_EQ(w.delete_alice("", token).status, 200) << "the tries before did not spend it";
}

TEST_P(Deletion, OfADeactivatedAccount) {
  LifecycleWorld w(GetParam());
  ASSERT_EQ(w.post(k_deactivate, json::Object{}, w.alice.access).status, 200);
  EXPECT_EQ(w.delete_alice("correct horse", w.mailed_token()).status, 200);
}

TEST_P(Deletion, IsOneTransactionWithWhatOthersKeep) {
  LifecycleWorld w(GetParam());
  std::vector<std::string> asked;
  bool broken = true;
  w.pds().lifecycle().on_deleted([&](Tx&, const Did& did) {
    if (broken) throw std::runtime_error("disk");
    asked.push_back(did.str());
  });
  EXPECT_THROW((void)run(w.pds().lifecycle().delete_account(w.account(w.alice))), std::runtime_error);
  EXPECT_TRUE(w.there(w.alice));
  EXPECT_EQ(w.create_record(w.alice).status, 200);
  broken = false;
  EXPECT_TRUE(run(w.pds().lifecycle().delete_account(w.account(w.alice))));
  EXPECT_EQ(asked, std::vector<std::string>{w.alice.did.str()});
}

Task<void> write_into(World* w, Account account, int* refused) {
  const auto collection = Nsid::parse("com.example.note").value();
  auto record = prepare_record(collection, json::Object{{"n", 1}}, Validate::skip).value();
  auto written = co_await w->pds().repos().write(account,
                                                 {{.kind = RecordWrite::Kind::create,
                                                   .collection = collection,
                                                   .rkey = RecordKey(w->pds().repos().next_tid()),
                                                   .record = std::move(record)}},
                                                 std::nullopt);
  *refused += written ? 0 : 1;
}
Task<void> delete_into(World* w, Account account, bool* done) {
  *done = (co_await w->pds().lifecycle().delete_account(account)).has_value();
}

TEST_P(Deletion, AttackRace_WritesUnderWayLeaveNothingBehind) {  // attack 31
  LifecycleWorld w(GetParam());
  const auto account = w.account(w.alice);
  InlineExecutor executor;
  int refused = 0;
  bool done = false;
  for (int i = 0; i < 3; ++i) executor.post([&] { spawn(write_into(&w, account, &refused)); });
  executor.post([&] { spawn(delete_into(&w, account, &done)); });
  for (int i = 0; i < 3; ++i) executor.post([&] { spawn(write_into(&w, account, &refused)); });
  executor.run_until([&] { return done; });
  EXPECT_EQ(w.create_record(w.alice).error(), "AccountNotFound");
  run(executor, write_into(&w, account, &refused));
  EXPECT_GE(refused, 1);
  w.read([&](Tx& tx) { EXPECT_TRUE(records::leaves(tx, account.id).empty()); });
  run(w.pds().lifecycle().sweep_events());
  EXPECT_EQ(w.told(w.alice).back(), "account deleted");
}

TEST_P(Deletion, AttackMailBomb_TokensAreFiveAnHourAndFifteenADay) {  // attack 33
  LifecycleWorld w(GetParam());
  const auto ask = [&] { return w.post(k_request_delete, std::nullopt, w.alice.access); };
  w.clock.advance(std::chrono::seconds(1));
  for (int hour = 0; hour < 3; ++hour) {
    const auto fresh = run(w.pds().sessions().begin(w.account(w.alice)));
    w.alice.access = "Bearer " + fresh.access_jwt;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(ask().status, 200);
    const auto refused = ask();
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.error(), "RateLimitExceeded");
    w.clock.advance(std::chrono::hours(1));
  }
  EXPECT_EQ(ask().status, 429) << "the day is full";
  w.clock.advance(std::chrono::hours(21));
  w.alice.access = "Bearer " + run(w.pds().sessions().begin(w.account(w.alice))).access_jwt;
  EXPECT_EQ(ask().status, 200);
  EXPECT_EQ(w.process.mailer.sent, 16);
}

TEST_P(Deletion, SaysWhenNoMailCanBeSent) {
  LifecycleWorld w(GetParam());
  w.process.mailer.broken = true;
  EXPECT_EQ(w.post(k_request_delete, std::nullopt, w.alice.access).error(), "UpstreamFailure");
  const auto no_address =
      run(w.pds().accounts().create_account({.handle = Handle::parse("quiet.test").value(), .email = {}}))
          .value();
  EXPECT_EQ(run(w.pds().lifecycle().request_delete(no_address)).error().message,
            "account does not have an email address");
}

TEST_P(Deletion, EventsAreSweptInPieces) {
  LifecycleWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  for (int i = 0; i < 5; ++i) ASSERT_EQ(w.create_record(w.alice).status, 200);
  w.told(w.alice);
  ASSERT_TRUE(run(w.pds().lifecycle().delete_account(w.account(w.alice))));
  ASSERT_TRUE(run(w.pds().lifecycle().delete_account(w.account(bob))));
  int pieces = 1;
  while (w.write([](Tx& tx) { return events::sweep(tx, 4); })) ++pieces;
  EXPECT_GT(pieces, 4);
  EXPECT_THAT(w.told(w.alice), ElementsAre("account deleted"));
  EXPECT_THAT(w.told(bob), ElementsAre("account deleted"));
  EXPECT_FALSE(w.write([](Tx& tx) { return events::sweep(tx, 4); }));
}

INSTANTIATE_TEST_SUITE_P(Store, Deletion, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::pds
