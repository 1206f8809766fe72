#include "pds/account_service.h"

#include <filesystem>

#include "atproto/cbor/cbor.h"
#include "atproto/repo/export.h"
#include "pds/events.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;
using xrpc::Error;

SignUp by_email(const std::string& email) {
  return {.email = mail::EmailAddress::parse(email).value(), .email_proof = EmailProof::proven};
}

SignUp named(const std::string& handle, const std::string& email) {
  auto sign_up = by_email(email);
  sign_up.handle = Handle::parse(handle).value();
  return sign_up;
}

/// The invariant of the whole folder: PLC entries, visible accounts and repositories are the same set.
void expect_whole(store::Database& db, const MemoryPlc& plc) {
  const auto listed = run(db.read([](Tx& tx) { return accounts::list(tx, 0, 1000); }));
  std::vector<std::string> here, there;
  for (const auto& each : listed) here.push_back(each.account.did.str());
  for (const auto& [did, _] : plc.operations) there.push_back(did);
  std::ranges::sort(here);
  EXPECT_EQ(here, there);
}

class AccountCreation : public store::EngineTest {};

TEST_P(AccountCreation, GivesDidHandleRepositoryAndEvents) {
  World w(GetParam());
  const auto account = run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test"))).value();
  EXPECT_TRUE(account.active());
  EXPECT_EQ(account.handle_text(), "alice.test");
  EXPECT_EQ(account.email_confirmed_at, w.clock.now());
  expect_whole(w.db(), w.plc);

  // The directory's entry names this server, the handle and the key the repository is signed with.
  const auto data = w.plc.operations.at(account.did.str()).data().value();
  EXPECT_EQ(data.also_known_as, std::vector<std::string>{"at://alice.test"});
  EXPECT_EQ(data.services.at("atproto_pds").endpoint, "https://pds.test");
  EXPECT_EQ(data.rotation_keys,
            std::vector<std::string>{w.pds().config().rotation_key.public_key().did_key()});
  const auto signing_key = crypto::PublicKey::from_did_key(data.verification_methods.at("atproto")).value();
  EXPECT_EQ(signing_key.curve(), crypto::Curve::k256);
  const auto car = w.get("/xrpc/com.atproto.sync.getRepo?did=" + account.did.str());
  const auto verified = repo::verify_car(as_bytes(car.text), account.did, signing_key);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_TRUE(verified->tree.empty());

  w.write([](Tx& tx) { return events::number_pending(tx, 100); });
  const auto events = w.read([](Tx& tx) { return events::after(tx, 0, 100); });
  std::vector<EventKind> kinds;
  for (const auto& e : events) kinds.push_back(e.kind);
  EXPECT_EQ(kinds,
            (std::vector{EventKind::identity, EventKind::account, EventKind::commit, EventKind::sync}));
  const auto commit = cbor::decode(events[2].payload).value();
  EXPECT_EQ(*commit.string_at("repo"), account.did.str());
  EXPECT_EQ(*commit.cid_at("commit"), verified->head);
  EXPECT_TRUE(commit.find("since")->is_null());
  EXPECT_TRUE(commit.find("ops")->array()->empty());
  EXPECT_FALSE(commit.find("prevData"));
}

TEST_P(AccountCreation, ByEmailHasARandomHandleAndNoPassword) {
  World w(GetParam());
  const auto account = run(w.pds().accounts().create_account(by_email("Alice@Mail.test"))).value();
  EXPECT_EQ(account.email, "alice@mail.test");
  EXPECT_EQ(account.handle_text().size(), k_random_label + std::string(".test").size());
  EXPECT_EQ(w.read([&](Tx& tx) { return accounts::password_scrypt(tx, account.id); }), std::nullopt);
  EXPECT_EQ(run(w.pds().accounts().find_by_email(mail::EmailAddress::parse("alice@mail.test").value()))->did,
            account.did);
}

TEST_P(AccountCreation, ARandomHandleIsDrawnThreeTimesAtMost) {
  for (const int taken : {2, 3}) {
    World w(GetParam());
    SeededRng known(42);
    for (int i = 0; i < 2; ++i) known.below(1024);  // a process takes its clock ids first
    for (int i = 0; i < taken; ++i) {
      const auto handle = w.pds().handles().random(known);
      ASSERT_TRUE(
          run(w.pds().accounts().create_account(named(handle.str(), std::to_string(i) + "@mail.test"))));
    }
    SeededRng same(42);
    Process other(w.db(), w.clock, same, w.plc);
    const auto made = run(other.pds.accounts().create_account(by_email("alice@mail.test")));
    if (taken == 2)
      EXPECT_EQ(made.value().handle_text(), w.pds().handles().random(known).str());
    else
      EXPECT_TRUE(made.error().message.starts_with("Handle already taken: "));
  }
}

TEST_P(AccountCreation, OrdersRotationKeysByPower) {
  SeededRng rng(5);
  const auto theirs = crypto::PrivateKey::generate(crypto::Curve::p256, rng).public_key();
  const auto recovery = crypto::PrivateKey::generate(crypto::Curve::k256, rng).public_key();
  auto config = test_config();
  config.recovery_key = recovery;
  World w(GetParam(), config);
  auto sign_up = named("alice.test", "alice@mail.test");
  sign_up.recovery_key = theirs;
  const auto account = run(w.pds().accounts().create_account(sign_up)).value();
  EXPECT_EQ(w.plc.operations.at(account.did.str()).data()->rotation_keys,
            (std::vector<std::string>{theirs.did_key(), recovery.did_key(),
                                      config.rotation_key.public_key().did_key()}));
}

TEST_P(AccountCreation, NamesAreTakenOnce) {
  World w(GetParam());
  auto& service = w.pds().accounts();
  ASSERT_TRUE(run(service.create_account(named("alice.test", "alice@mail.test"))));
  const auto handle = run(service.create_account(named("alice.test", "other@mail.test")));
  EXPECT_EQ(handle.error().message, "Handle already taken: alice.test");
  const auto email = run(service.create_account(named("bob.test", "ALICE@mail.test")));
  EXPECT_EQ(email.error().message, "Email already taken: alice@mail.test");
  expect_whole(w.db(), w.plc);
  EXPECT_EQ(w.plc.submits, 1);
}

Task<void> sign_up_into(AccountService* service, SignUp sign_up, std::vector<bool>* won) {
  auto result = co_await service->create_account(std::move(sign_up));
  won->push_back(result.has_value());
}

TEST_P(AccountCreation, OfRacingSignUpsOneWins) {
  World w(GetParam());
  InlineExecutor executor;
  std::vector<bool> won;
  for (int i = 0; i < 8; ++i)
    executor.post([&, i] {
      spawn(sign_up_into(&w.pds().accounts(), named("alice.test", std::to_string(i) + "@mail.test"), &won));
    });
  executor.run_until([&] { return won.size() == 8; });
  EXPECT_EQ(std::ranges::count(won, true), 1);
  expect_whole(w.db(), w.plc);
}

TEST_P(AccountCreation, RefusedByTheDirectoryLeavesNothing) {
  World w(GetParam());
  w.plc.mode = MemoryPlc::Mode::refuse;
  const auto refused = run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test")));
  EXPECT_EQ(refused.error().code, Error::UpstreamFailure);
  w.plc.mode = MemoryPlc::Mode::normal;
  EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 0u);
  EXPECT_EQ(w.plc.submits, 1);
  expect_whole(w.db(), w.plc);
  EXPECT_TRUE(run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test"))));
}

TEST_P(AccountCreation, IsFinishedLaterWhenTheAnswerWasLost) {
  World w(GetParam());
  w.plc.mode = MemoryPlc::Mode::lost_answer;
  const auto lost = run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test")));
  EXPECT_EQ(lost.error().code, Error::UpstreamFailure);
  EXPECT_EQ(w.plc.operations.size(), 1u);
  w.plc.mode = MemoryPlc::Mode::normal;
  EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 0u);
  expect_whole(w.db(), w.plc);
  EXPECT_TRUE(run(w.pds().accounts().find(Handle::parse("alice.test").value())));
}

TEST_P(AccountCreation, WaitsWhileTheDirectoryIsDown) {
  World w(GetParam());
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_FALSE(run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test"))));
  EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 1u);
  EXPECT_FALSE(run(w.pds().accounts().find(Handle::parse("alice.test").value())));
  // The same person tries again when it is back: the first attempt comes to its end and is the account.
  w.plc.mode = MemoryPlc::Mode::normal;
  const auto again = run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test")));
  EXPECT_EQ(again.error().message, "Handle already taken: alice.test");
  expect_whole(w.db(), w.plc);
  EXPECT_EQ(w.plc.operations.size(), 1u);
}

TEST_P(AccountCreation, OfAnotherProcessIsLeftAloneForAMinute) {
  World w(GetParam());
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_FALSE(run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test"))));
  w.plc.mode = MemoryPlc::Mode::normal;
  w.clock.advance(std::chrono::seconds(59));
  run(w.pds().accounts().resume_unfinished(Unfinished::abandoned));
  EXPECT_EQ(w.plc.operations.size(), 0u);
  w.clock.advance(std::chrono::seconds(1));
  run(w.pds().accounts().resume_unfinished(Unfinished::abandoned));
  EXPECT_EQ(w.plc.operations.size(), 1u);
  expect_whole(w.db(), w.plc);
}

TEST_P(AccountCreation, TwoProcessesResumeTheSameOneWithoutHarm) {
  World w(GetParam());
  Process other(w.db(), w.clock, w.rng, w.plc);
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_FALSE(run(w.pds().accounts().create_account(named("alice.test", "alice@mail.test"))));
  w.plc.mode = MemoryPlc::Mode::normal;
  // The other process finishes it after this one has handed it in.
  w.plc.after_submit = [&] {
    w.plc.after_submit = nullptr;
    EXPECT_EQ(run(other.pds.accounts().resume_unfinished(Unfinished::all)), 0u);
  };
  EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 0u);
  w.write([](Tx& tx) { return events::number_pending(tx, 100); });
  EXPECT_EQ(w.read([](Tx& tx) { return events::after(tx, 0, 100).size(); }), 4u);
  expect_whole(w.db(), w.plc);
}

// A crash at each step: the process that did the sign-up is never heard of again, a new one starts on what
// the database holds.

TEST_P(AccountCreation, ACrashBeforeTheDirectoryAnsweredEndsInAnAccount) {
  for (const auto mode : {MemoryPlc::Mode::crash_before, MemoryPlc::Mode::crash_after}) {
    World w(GetParam());
    {
      Process first(w.db(), w.clock, w.rng, w.plc);
      w.plc.mode = mode;
      EXPECT_THROW((void)run(first.pds.accounts().create_account(named("alice.test", "alice@mail.test"))),
                   Crash);
    }
    w.plc.mode = MemoryPlc::Mode::normal;
    EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 0u);
    expect_whole(w.db(), w.plc);
    const auto account = run(w.pds().accounts().find(Handle::parse("alice.test").value()));
    ASSERT_TRUE(account);
    EXPECT_EQ(w.get("/xrpc/com.atproto.sync.getRepo?did=" + account->did.str()).status, 200);
  }
}

TEST_P(AccountCreation, ACrashBeforeARefusalLeavesNothing) {
  World w(GetParam());
  {
    Process first(w.db(), w.clock, w.rng, w.plc);
    w.plc.mode = MemoryPlc::Mode::crash_before;
    EXPECT_THROW((void)run(first.pds.accounts().create_account(named("alice.test", "alice@mail.test"))),
                 Crash);
  }
  w.plc.mode = MemoryPlc::Mode::refuse;
  EXPECT_EQ(run(w.pds().accounts().resume_unfinished(Unfinished::all)), 0u);
  expect_whole(w.db(), w.plc);
  EXPECT_EQ(w.plc.operations.size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Store, AccountCreation, store::engines(), store::engine_name);

TEST(AccountCreationOnDisk, SurvivesLosingTheDatabaseBetweenDirectoryAndFlip) {
  const auto path = std::filesystem::temp_directory_path() / ("latchkey-pds-" + OsRng().token(8) + ".db");
  FakeClock clock;
  SeededRng rng(3);
  MemoryPlc plc;
  {
    auto db = store::open_sqlite(path.string());
    store::migrate(*db, migrations());
    Process process(*db, clock, rng, plc);
    plc.after_submit = [&] { db->close(); };
    EXPECT_THROW((void)run(process.pds.accounts().create_account(named("alice.test", "alice@mail.test"))),
                 store::Error);
  }
  EXPECT_EQ(plc.operations.size(), 1u);
  plc.after_submit = nullptr;
  {
    auto db = store::open_sqlite(path.string());
    store::migrate(*db, migrations());
    Process process(*db, clock, rng, plc);
    EXPECT_EQ(run(process.pds.accounts().resume_unfinished(Unfinished::all)), 0u);
    expect_whole(*db, plc);
    EXPECT_EQ(plc.operations.size(), 1u);
  }
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
}

TEST(AccountPasswords, HaveALengthBetweenEightAnd256Characters) {
  World w;
  const auto try_it = [&](std::string name, std::string password) {
    auto sign_up = named(name + ".test", name + "@mail.test");
    sign_up.password.emplace(std::move(password));
    auto result = run(w.pds().accounts().create_account(sign_up));
    return result ? std::string("ok") : std::string(xrpc::wire(result.error().code).name);
  };
  EXPECT_EQ(try_it("short", "1234567"), "InvalidPassword");
  EXPECT_EQ(try_it("eight", "12345678"), "ok");
  EXPECT_EQ(try_it("full", std::string(256, 'x')), "ok");
  EXPECT_EQ(try_it("long", std::string(257, 'x')), "InvalidPassword");
  std::string wide;
  for (int i = 0; i < 256; ++i) wide += "\xF0\x9F\x94\x91";  // characters count, not bytes
  EXPECT_EQ(try_it("wide", wide), "ok");
  EXPECT_EQ(try_it("wider", wide + "x"), "InvalidPassword");
}

}  // namespace
}  // namespace latchkey::pds
