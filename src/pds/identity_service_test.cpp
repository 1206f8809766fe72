// Handles and rotation keys: the directory and the database change together.
#include "pds/identity_service.h"

#include "atproto/cbor/cbor.h"
#include "pds/events.h"
#include "pds/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;
using xrpc::Error;

/// https://<handle>/.well-known/atproto-did of some domains.
class WellKnown final : public Fetch {
 public:
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    const auto found = dids.find(request.url);
    if (found == dids.end()) co_return FetchResponse{.status = 404, .headers = {}, .body = {}};
    co_return FetchResponse{.status = 200, .headers = {}, .body = found->second};
  }
  void point(const std::string& handle, const Did& did) {
    dids["https://" + handle + "/.well-known/atproto-did"] = did.str();
  }
  std::map<std::string, std::string> dids;
};

struct IdentityWorld : World {
  explicit IdentityWorld(store::Engine engine, Config config = test_config())
      : World(engine, std::move(config), &resolver), alice(sign_up("alice")) {}

  Result<Account, xrpc::Fault> rename(const SignedIn& who, const std::string& handle) {
    return run(pds().identity().change_handle(account(who), Handle::parse(handle).value()));
  }
  std::string refusal(const SignedIn& who, const std::string& handle) {
    const auto result = rename(who, handle);
    return result ? "ok" : result.error().message;
  }
  std::string handle_in_directory(const SignedIn& who) {
    return plc.operations.at(who.did.str()).data()->also_known_as.at(0);
  }
  std::vector<std::string> keys(const SignedIn& who) {
    return plc.operations.at(who.did.str()).data()->rotation_keys;
  }
  /// Handles named by the #identity events of an account.
  std::vector<std::string> announced(const SignedIn& who) {
    while (write([](Tx& tx) { return events::number_pending(tx, 100); }) > 0) {
    }
    std::vector<std::string> out;
    for (const auto& event : read([](Tx& tx) { return events::after(tx, 0, 1000); })) {
      const auto payload = cbor::decode(event.payload).value();
      if (event.kind == EventKind::identity && *payload.string_at("did") == who.did.str())
        out.push_back(*payload.string_at("handle"));
    }
    return out;
  }
  bool is_pending(const SignedIn& who) {
    const auto id = account(who).id;
    return read([&](Tx& tx) { return plc_updates::get(tx, id).has_value(); });
  }
  /// An operation of the user's own, past this server.
  void append_with(const SignedIn& who, const crypto::PrivateKey& key,
                   const std::function<void(plc::Data&)>& edit) {
    const auto& last = plc.operations.at(who.did.str());
    auto data = *last.data();
    edit(data);
    EXPECT_TRUE(run(
        plc.append(who.did, plc::Operation::sign(plc::PlcOperation{.data = data, .prev = last.cid()}, key))));
  }

  WellKnown web;
  identity::Resolver resolver{{}, web, nullptr, clock};
  SeededRng keys_rng{77};
  SignedIn alice;
};

class HandleChange : public store::EngineTest {};

TEST_P(HandleChange, ReachesDirectoryDatabaseAndFirehose) {
  IdentityWorld w(GetParam());
  const auto changed = w.rename(w.alice, "wonder.test");
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(changed->handle_text(), "wonder.test");
  EXPECT_EQ(w.handle_in_directory(w.alice), "at://wonder.test");
  EXPECT_EQ(w.announced(w.alice), (std::vector<std::string>{"alice.test", "wonder.test"}));
  EXPECT_EQ(w.get("/xrpc/com.atproto.identity.resolveHandle?handle=wonder.test").text_at("did"),
            w.alice.did.str());
  EXPECT_FALSE(w.is_pending(w.alice));
  // The old one is free.
  EXPECT_EQ(w.get("/xrpc/com.atproto.identity.resolveHandle?handle=alice.test").error(), "HandleNotFound");
  const auto next = w.post("com.atproto.server.createAccount",
                           json::Object{{"handle", "alice.test"}, {"email", "other@mail.test"}});
  EXPECT_EQ(next.status, 200) << next.text;
}

TEST_P(HandleChange, ToTheSameHandleOnlyAnnouncesIt) {
  IdentityWorld w(GetParam());
  EXPECT_TRUE(w.rename(w.alice, "alice.test"));
  EXPECT_EQ(w.plc.appends, 0);
  EXPECT_EQ(w.announced(w.alice), (std::vector<std::string>{"alice.test", "alice.test"}));
}

TEST_P(HandleChange, AttackHandleSpoofing_RulesOfTheServiceDomainHold) {
  IdentityWorld w(GetParam());
  EXPECT_EQ(w.refusal(w.alice, "ab.test"), "Handle too short");
  EXPECT_EQ(w.refusal(w.alice, "abc.test"), "ok");
  EXPECT_EQ(w.refusal(w.alice, "abcdefghijklmnopqr.test"), "ok");
  EXPECT_EQ(w.refusal(w.alice, "abcdefghijklmnopqrs.test"), "Handle too long");
  EXPECT_EQ(w.refusal(w.alice, "admin.test"), "Reserved handle");
  w.sign_up("bob");
  EXPECT_EQ(w.refusal(w.alice, "www.bob.test"), "Invalid characters in handle");
  EXPECT_EQ(w.refusal(w.alice, "bob.test"), "Handle already taken: bob.test");
  EXPECT_EQ(w.refusal(w.alice, "BOB.test"), "Handle already taken: bob.test");
}

TEST_P(HandleChange, AttackHandleSpoofing_AnotherDomainMustPointAtTheDid) {
  IdentityWorld w(GetParam());
  const auto bob = w.sign_up("bob");
  const std::string refused = "External handle did not resolve to DID";
  EXPECT_EQ(w.refusal(w.alice, "alice.example.com"), refused);
  w.web.point("alice.example.com", bob.did);
  EXPECT_EQ(w.refusal(w.alice, "alice.example.com"), refused);
  w.web.point("alice.example.com", w.alice.did);
  EXPECT_EQ(w.refusal(w.alice, "alice.example.com"), "ok") << "the refusal before is not remembered";
  EXPECT_EQ(w.handle_in_directory(w.alice), "at://alice.example.com");
  EXPECT_EQ(w.refusal(w.alice, "alice.local"), "Handle TLD is invalid or disallowed");
}

TEST_P(HandleChange, NeedsTheProofsOfOtherDomainsToBeLookedUp) {
  World w(GetParam());  // no resolver
  const auto alice = w.sign_up("alice");
  const auto result =
      run(w.pds().identity().change_handle(w.account(alice), Handle::parse("alice.example.com").value()));
  EXPECT_EQ(result.error().code, Error::UnsupportedDomain);
}

TEST_P(HandleChange, KeepsOtherNamesOfTheDid) {
  IdentityWorld w(GetParam());
  w.append_with(w.alice, w.pds().config().rotation_key, [](plc::Data& data) {
    data.also_known_as = {"https://alice.example", "at://alice.test", "at://second.example"};
  });
  ASSERT_TRUE(w.rename(w.alice, "wonder.test"));
  EXPECT_EQ(w.plc.operations.at(w.alice.did.str()).data()->also_known_as,
            (std::vector<std::string>{"https://alice.example", "at://wonder.test", "at://second.example"}));
}

TEST_P(HandleChange, ACrashOnTheWayEndsInTheNewHandle) {
  for (const auto mode : {MemoryPlc::Mode::crash_before, MemoryPlc::Mode::crash_after}) {
    IdentityWorld w(GetParam());
    {
      Process first(w.db(), w.clock, w.rng, w.plc, w.pds().config());
      w.plc.mode = mode;
      EXPECT_THROW((void)run(first.pds.identity().change_handle(w.account(w.alice),
                                                                Handle::parse("wonder.test").value())),
                   Crash);
    }
    w.plc.mode = MemoryPlc::Mode::normal;
    EXPECT_EQ(run(w.pds().resume_unfinished(Unfinished::all)), 0u);
    EXPECT_EQ(w.account(w.alice).handle_text(), "wonder.test");
    EXPECT_EQ(w.handle_in_directory(w.alice), "at://wonder.test");
    EXPECT_EQ(w.announced(w.alice), (std::vector<std::string>{"alice.test", "wonder.test"}));
    EXPECT_FALSE(w.is_pending(w.alice));
  }
}

TEST_P(HandleChange, IsFinishedLaterWhenTheAnswerWasLost) {
  IdentityWorld w(GetParam());
  w.plc.mode = MemoryPlc::Mode::lost_answer;
  EXPECT_EQ(w.rename(w.alice, "wonder.test").error().code, Error::UpstreamFailure);
  EXPECT_EQ(w.account(w.alice).handle_text(), "alice.test");
  // Meanwhile both names are taken, for new accounts and for others who change.
  w.plc.mode = MemoryPlc::Mode::normal;
  const auto bob = w.sign_up("bob");
  for (const char* name : {"alice.test", "wonder.test"}) {
    EXPECT_EQ(w.refusal(bob, name), std::string("Handle already taken: ") + name);
    const auto got =
        w.post("com.atproto.server.createAccount", json::Object{{"handle", name}, {"email", "c@mail.test"}});
    EXPECT_EQ(got.message(), std::string("Handle already taken: ") + name);
  }
  run(w.pds().resume_unfinished(Unfinished::abandoned));
  EXPECT_TRUE(w.is_pending(w.alice)) << "another process may be at it for a minute";
  w.clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(run(w.pds().resume_unfinished(Unfinished::abandoned)), 0u);
  EXPECT_EQ(w.account(w.alice).handle_text(), "wonder.test");
}

TEST_P(HandleChange, TheNextOneFirstFinishesTheOneBefore) {
  IdentityWorld w(GetParam());
  w.plc.mode = MemoryPlc::Mode::lost_answer;
  EXPECT_FALSE(w.rename(w.alice, "wonder.test"));
  w.plc.mode = MemoryPlc::Mode::normal;
  ASSERT_TRUE(w.rename(w.alice, "land.test"));
  EXPECT_EQ(w.announced(w.alice), (std::vector<std::string>{"alice.test", "wonder.test", "land.test"}));
  EXPECT_EQ(w.plc.logs[w.alice.did.str()].size(), 3u);
}

TEST_P(HandleChange, TwoProcessesFinishTheSameOneWithoutHarm) {
  IdentityWorld w(GetParam());
  Process other(w.db(), w.clock, w.rng, w.plc);
  w.plc.after_submit = [&] {
    w.plc.after_submit = nullptr;
    EXPECT_EQ(run(other.pds.resume_unfinished(Unfinished::all)), 0u);
  };
  ASSERT_TRUE(w.rename(w.alice, "wonder.test"));
  EXPECT_EQ(w.announced(w.alice), (std::vector<std::string>{"alice.test", "wonder.test"}));
}

TEST_P(HandleChange, RefusedByTheDirectoryChangesNothing) {
  IdentityWorld w(GetParam());
  w.plc.mode = MemoryPlc::Mode::refuse;
  EXPECT_EQ(w.refusal(w.alice, "wonder.test"), "The PLC directory refused the change");
  EXPECT_FALSE(w.is_pending(w.alice));
  EXPECT_EQ(w.account(w.alice).handle_text(), "alice.test");
  w.plc.mode = MemoryPlc::Mode::normal;
  EXPECT_EQ(w.sign_up("wonder").handle, "wonder.test") << "the name is free again";
}

TEST_P(HandleChange, WithADirectoryThatIsDownNothingIsBegun) {
  IdentityWorld w(GetParam());
  w.plc.mode = MemoryPlc::Mode::unreachable;
  EXPECT_EQ(w.rename(w.alice, "wonder.test").error().code, Error::UpstreamFailure);
  EXPECT_EQ(w.plc.appends, 0);
  EXPECT_FALSE(w.is_pending(w.alice));
}

TEST_P(HandleChange, BuildsOnAnOperationThatCameInBetween) {
  IdentityWorld w(GetParam());
  const auto own = crypto::PrivateKey::generate(crypto::Curve::p256, w.keys_rng);
  ASSERT_TRUE(run(w.pds().identity().add_rotation_key(w.account(w.alice), own.public_key())));
  w.plc.after_log = [&] {
    w.append_with(w.alice, own, [](plc::Data& data) { data.also_known_as.push_back("at://second.example"); });
  };
  ASSERT_TRUE(w.rename(w.alice, "wonder.test"));
  EXPECT_EQ(w.plc.operations.at(w.alice.did.str()).data()->also_known_as,
            (std::vector<std::string>{"at://wonder.test", "at://second.example"}));
}

TEST_P(HandleChange, IsNotTriedWithoutAKeyThatMay) {
  IdentityWorld w(GetParam());
  const auto own = crypto::PrivateKey::generate(crypto::Curve::k256, w.keys_rng);
  ASSERT_TRUE(run(w.pds().identity().add_rotation_key(w.account(w.alice), own.public_key())));
  w.append_with(w.alice, own, [](plc::Data& data) { data.rotation_keys.pop_back(); });
  const int before = w.plc.appends;
  EXPECT_EQ(w.refusal(w.alice, "wonder.test"), "Server rotation key not included in PLC DID data");
  EXPECT_EQ(w.plc.appends, before);
}

TEST_P(HandleChange, OverXrpc) {
  IdentityWorld w(GetParam());
  const auto post = [&](const std::string& handle, const std::string& auth) {
    return w.post("com.atproto.identity.updateHandle", json::Object{{"handle", handle}}, auth);
  };
  EXPECT_EQ(post("wonder.test", w.alice.access).status, 200);
  EXPECT_EQ(w.account(w.alice).handle_text(), "wonder.test");
  EXPECT_EQ(w.get("/xrpc/com.atproto.server.getSession", w.alice.access).text_at("handle"), "wonder.test");
  EXPECT_EQ(post("land.test", w.app_of(w.alice, "atproto identity:handle")).status, 200);
  EXPECT_EQ(post("x.test", w.alice.access).error(), "InvalidHandle");
  EXPECT_EQ(post("admin.test", w.alice.access).error(), "HandleNotAvailable");
  EXPECT_EQ(post("not a handle", w.alice.access).message(), "Input/handle must be a valid handle");
}

INSTANTIATE_TEST_SUITE_P(Store, HandleChange, store::engines(), store::engine_name);

class RotationKeys : public store::EngineTest {};

TEST_P(RotationKeys, OfTheUserComeBeforeTheServers) {
  auto config = test_config();
  SeededRng rng(5);
  config.recovery_key = crypto::PrivateKey::generate(crypto::Curve::k256, rng).public_key();
  IdentityWorld w(GetParam(), config);
  auto& identity = w.pds().identity();
  const auto recovery = config.recovery_key->did_key(), server = config.rotation_key.public_key().did_key();
  EXPECT_EQ(w.keys(w.alice), (std::vector{recovery, server}));

  const auto p256 = crypto::PrivateKey::generate(crypto::Curve::p256, rng).public_key();
  const auto k256 = crypto::PrivateKey::generate(crypto::Curve::k256, rng).public_key();
  ASSERT_TRUE(run(identity.add_rotation_key(w.account(w.alice), p256)));
  ASSERT_TRUE(run(identity.add_rotation_key(w.account(w.alice), k256)));
  EXPECT_EQ(w.keys(w.alice), (std::vector{k256.did_key(), p256.did_key(), recovery, server}));
  EXPECT_EQ(w.announced(w.alice).size(), 3u);

  using Owner = RotationKey::Owner;
  std::vector<Owner> owners;
  for (const auto& key : run(identity.rotation_keys(w.account(w.alice))).value()) owners.push_back(key.owner);
  EXPECT_EQ(owners, (std::vector{Owner::user, Owner::user, Owner::operator_recovery, Owner::server}));

  ASSERT_TRUE(run(identity.remove_rotation_key(w.account(w.alice), k256)));
  EXPECT_EQ(w.keys(w.alice), (std::vector{p256.did_key(), recovery, server}));
  EXPECT_EQ(run(identity.remove_rotation_key(w.account(w.alice), k256)).error().message,
            "This key is no rotation key");
}

TEST_P(RotationKeys, AttackPlc_TheServersKeysStay) {
  auto config = test_config();
  SeededRng rng(5);
  config.recovery_key = crypto::PrivateKey::generate(crypto::Curve::k256, rng).public_key();
  IdentityWorld w(GetParam(), config);
  for (const auto& key : {config.rotation_key.public_key(), *config.recovery_key})
    EXPECT_EQ(run(w.pds().identity().remove_rotation_key(w.account(w.alice), key)).error().message,
              "This key belongs to the server");
  EXPECT_EQ(w.plc.appends, 0);
}

TEST_P(RotationKeys, AreFiveAtMostAndEachOnce) {
  IdentityWorld w(GetParam());
  auto& identity = w.pds().identity();
  std::vector<crypto::PublicKey> own;
  for (std::size_t i = 1; i < k_max_rotation_keys; ++i) {
    own.push_back(crypto::PrivateKey::generate(crypto::Curve::k256, w.keys_rng).public_key());
    ASSERT_TRUE(run(identity.add_rotation_key(w.account(w.alice), own.back())));
  }
  EXPECT_EQ(w.keys(w.alice).size(), 5u);
  const auto another = crypto::PrivateKey::generate(crypto::Curve::k256, w.keys_rng).public_key();
  EXPECT_EQ(run(identity.add_rotation_key(w.account(w.alice), another)).error().message,
            "There are 5 rotation keys already");
  ASSERT_TRUE(run(identity.remove_rotation_key(w.account(w.alice), own[0])));
  for (const auto& key : {own[1], w.pds().config().rotation_key.public_key()})
    EXPECT_EQ(run(identity.add_rotation_key(w.account(w.alice), key)).error().message,
              "This key is a rotation key already");
}

INSTANTIATE_TEST_SUITE_P(Store, RotationKeys, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::pds
