// What each table promises, on every engine.
#include "atproto/cbor/cbor.h"
#include "pds/accounts.h"
#include "pds/events.h"
#include "pds/records.h"
#include "pds/repo_heads.h"
#include "pds/schema.h"
#include "pds/sessions.h"
#include "store/testing.h"

namespace latchkey::pds {
namespace {

using store::Tx;

const Time k_now = from_unix_seconds(1'750'000'000);

Cid cid_of(std::string_view text) { return Cid::of_dag_cbor(as_bytes(text)); }

RepoHead head(std::string_view name) {
  return {.rev = "3jzfcijpj2z2a", .commit = cid_of(name), .data = cid_of("data"), .block = to_bytes(name)};
}

accounts::NewAccount new_account(std::string name, std::optional<std::string> email = std::nullopt) {
  return {.did = Did::parse("did:plc:" + name).value(),
          .handle = Handle::parse(name + ".test").value(),
          .email = email ? email : std::optional(name + "@mail.test"),
          .email_confirmed_at = std::nullopt,
          .password_scrypt = std::nullopt,
          .sealed_signing_key = to_bytes("sealed")};
}

class Aggregates : public store::EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (!IsSkipped()) db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
  }
  template <class F>
  auto write(F fn) {
    return run((*db_)->write(std::move(fn)));
  }
  template <class F>
  auto read(F fn) {
    return run((*db_)->read(std::move(fn)));
  }
  std::int64_t begin(const accounts::NewAccount& account) {
    return write([&](Tx& tx) {
             return accounts::begin_creation(tx, account, "{}", head("c0"), to_bytes("car"), k_now);
           })
        .value();
  }
  std::int64_t create(const std::string& name) {
    const auto id = begin(new_account(name));
    write([&](Tx& tx) {
      EXPECT_TRUE(accounts::finish_creation(tx, id, k_now));
      repo_heads::insert(tx, id, head("c0"));
    });
    return id;
  }
  std::unique_ptr<store::TestDatabase> db_;
};

class Accounts : public Aggregates {};

TEST_P(Accounts, AreInvisibleUntilTheirCreationIsFinished) {
  const auto id = begin(new_account("alice"));
  read([&](Tx& tx) {
    EXPECT_FALSE(accounts::by_did(tx, Did::parse("did:plc:alice").value()));
    EXPECT_FALSE(accounts::by_handle(tx, Handle::parse("alice.test").value()));
    EXPECT_FALSE(accounts::by_email(tx, "alice@mail.test"));
    EXPECT_TRUE(accounts::list(tx, 0, 10).empty());
    EXPECT_EQ(accounts::holder_of_handle(tx, Handle::parse("alice.test").value())->id, id);
    EXPECT_EQ(accounts::holder_of_email(tx, "alice@mail.test")->id, id);
    const auto creation = accounts::creation(tx, id);
    EXPECT_EQ(creation->operation, "{}");
    EXPECT_EQ(creation->head.commit, cid_of("c0"));
    EXPECT_EQ(creation->blocks, to_bytes("car"));
  });
  write([&](Tx& tx) { EXPECT_TRUE(accounts::finish_creation(tx, id, k_now)); });
  read([&](Tx& tx) {
    EXPECT_EQ(accounts::by_did(tx, Did::parse("did:plc:alice").value())->id, id);
    EXPECT_TRUE(accounts::by_email(tx, "alice@mail.test")->active());
    EXPECT_FALSE(accounts::creation(tx, id));
  });
}

TEST_P(Accounts, CreationIsFinishedOnce) {
  const auto id = begin(new_account("alice"));
  EXPECT_TRUE(write([&](Tx& tx) { return accounts::finish_creation(tx, id, k_now); }));
  EXPECT_FALSE(write([&](Tx& tx) { return accounts::finish_creation(tx, id, k_now); }));
}

TEST_P(Accounts, NamesAreTakenByUnfinishedCreationsToo) {
  begin(new_account("alice"));
  const auto try_it = [&](accounts::NewAccount account) {
    return write([&](Tx& tx) { return accounts::begin_creation(tx, account, "{}", head("x"), {}, k_now); });
  };
  auto same_handle = new_account("alice", "other@mail.test");
  same_handle.did = Did::parse("did:plc:other").value();
  EXPECT_EQ(try_it(same_handle).error(), accounts::Taken::handle);
  EXPECT_EQ(try_it(new_account("bob", "alice@mail.test")).error(), accounts::Taken::email);
  auto same_did = new_account("carol");
  same_did.did = Did::parse("did:plc:alice").value();
  EXPECT_EQ(try_it(same_did).error(), accounts::Taken::did);
  EXPECT_TRUE(try_it(new_account("bob")));
}

TEST_P(Accounts, WithoutEmailDoNotCollide) {
  auto a = new_account("alice"), b = new_account("bob");
  a.email.reset();
  b.email.reset();
  begin(a);
  begin(b);
}

TEST_P(Accounts, AbandonedCreationsFreeTheirNames) {
  const auto id = begin(new_account("alice"));
  write([&](Tx& tx) { accounts::abandon_creation(tx, id); });
  begin(new_account("alice"));
}

TEST_P(Accounts, FinishedOnesAreNotAbandoned) {
  const auto id = create("alice");
  write([&](Tx& tx) { accounts::abandon_creation(tx, id); });
  EXPECT_TRUE(read([&](Tx& tx) { return accounts::by_did(tx, Did::parse("did:plc:alice").value()); }));
}

TEST_P(Accounts, UnfinishedOnesAreFoundByAge) {
  const auto id = begin(new_account("alice"));
  create("bob");
  read([&](Tx& tx) {
    EXPECT_TRUE(accounts::unfinished(tx, k_now - std::chrono::seconds(1)).empty());
    const auto found = accounts::unfinished(tx, k_now);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].id, id);
  });
}

TEST_P(Accounts, StatusFollowsTakedownAndDeactivation) {
  const auto id = create("alice");
  const auto did = Did::parse("did:plc:alice").value();
  const auto status = [&] { return read([&](Tx& tx) { return accounts::by_did(tx, did)->status(); }); };
  EXPECT_EQ(status(), std::nullopt);
  write([&](Tx& tx) { accounts::set_deactivated(tx, id, k_now); });
  EXPECT_EQ(status(), "deactivated");
  write([&](Tx& tx) { accounts::set_takedown(tx, id, "ref"); });
  EXPECT_EQ(status(), "takendown");
  write([&](Tx& tx) {
    accounts::set_deactivated(tx, id, std::nullopt);
    accounts::set_takedown(tx, id, std::nullopt);
  });
  EXPECT_EQ(status(), std::nullopt);
}

TEST_P(Accounts, AreListedInPages) {
  create("a1");
  const auto second = create("a2");
  create("a3");
  read([&](Tx& tx) {
    const auto page = accounts::list(tx, 0, 2);
    ASSERT_EQ(page.size(), 2u);
    EXPECT_EQ(page[1].account.id, second);
    const auto rest = accounts::list(tx, second, 2);
    ASSERT_EQ(rest.size(), 1u);
    EXPECT_EQ(rest[0].account.did.str(), "did:plc:a3");
  });
}

class RepoHeads : public Aggregates {};

TEST_P(RepoHeads, AdvanceOnlyFromTheCommitTheyAreAt) {
  const auto id = create("alice");
  const auto advance = [&](std::string_view from, std::string_view to) {
    return write([&](Tx& tx) { return repo_heads::advance(tx, id, cid_of(from), head(to)); });
  };
  EXPECT_EQ(advance("c0", "c1"), repo_heads::Advance::done);
  EXPECT_EQ(advance("c0", "c2"), repo_heads::Advance::moved);
  EXPECT_EQ(read([&](Tx& tx) { return repo_heads::get(tx, id)->commit; }), cid_of("c1"));
}

TEST_P(RepoHeads, OfInactiveAccountsStandStill) {
  const auto id = create("alice");
  const auto advance = [&] {
    return write([&](Tx& tx) { return repo_heads::advance(tx, id, cid_of("c0"), head("c1")); });
  };
  write([&](Tx& tx) { accounts::set_deactivated(tx, id, k_now); });
  EXPECT_EQ(advance(), repo_heads::Advance::inactive);
  write([&](Tx& tx) {
    accounts::set_deactivated(tx, id, std::nullopt);
    accounts::set_takedown(tx, id, "ref");
  });
  EXPECT_EQ(advance(), repo_heads::Advance::inactive);
  write([&](Tx& tx) { accounts::set_takedown(tx, id, std::nullopt); });
  EXPECT_EQ(advance(), repo_heads::Advance::done);
}

class Records : public Aggregates {
 protected:
  void put(std::int64_t id, const std::string& collection, const std::string& rkey) {
    write([&](Tx& tx) {
      records::insert(tx, id, Nsid::parse(collection).value(), RecordKey::parse(rkey).value(),
                      cid_of(collection + rkey), as_bytes(rkey));
    });
  }
  static std::string keys(const std::vector<StoredRecord>& list) {
    std::string out;
    for (const auto& r : list) out += r.rkey + " ";
    return out;
  }
};

TEST_P(Records, AreListedByKeyInBothDirections) {
  const auto nsid = Nsid::parse("com.example.note").value();
  for (const char* rkey : {"b", "d", "a", "c", "Z"}) put(1, "com.example.note", rkey);
  put(1, "com.example.other", "x");
  put(2, "com.example.note", "y");
  read([&](Tx& tx) {
    using enum records::Order;
    EXPECT_EQ(keys(records::list(tx, 1, nsid, 10, std::nullopt, newest_first)), "d c b a Z ");
    EXPECT_EQ(keys(records::list(tx, 1, nsid, 2, std::nullopt, newest_first)), "d c ");
    EXPECT_EQ(keys(records::list(tx, 1, nsid, 2, "c", newest_first)), "b a ");
    EXPECT_EQ(keys(records::list(tx, 1, nsid, 2, std::nullopt, oldest_first)), "Z a ");
    EXPECT_EQ(keys(records::list(tx, 1, nsid, 10, "a", oldest_first)), "b c d ");
    EXPECT_EQ(records::collections(tx, 1),
              (std::vector<std::string>{"com.example.note", "com.example.other"}));
    EXPECT_TRUE(records::collections(tx, 3).empty());
  });
}

TEST_P(Records, LeavesComeInPathOrder) {
  // '-' and '.' sort before the '/' that ends a collection, so rows and paths differ in order.
  put(1, "com.example.note", "a");
  put(1, "com.example.note-x.y", "a");
  put(1, "com.example.note.y", "a");
  const auto leaves = read([](Tx& tx) { return records::leaves(tx, 1); });
  std::vector<std::string> paths;
  for (const auto& leaf : leaves) paths.push_back(leaf.path);
  EXPECT_TRUE(std::ranges::is_sorted(paths));
  EXPECT_EQ(paths.size(), 3u);
}

TEST_P(Records, AreReplacedAndRemoved) {
  const auto nsid = Nsid::parse("com.example.note").value();
  const auto rkey = RecordKey::parse("a").value();
  put(1, "com.example.note", "a");
  write([&](Tx& tx) { records::update(tx, 1, nsid, rkey, cid_of("new"), as_bytes("new")); });
  EXPECT_EQ(read([&](Tx& tx) { return records::get(tx, 1, nsid, rkey)->value; }), to_bytes("new"));
  write([&](Tx& tx) { records::remove(tx, 1, nsid, rkey); });
  EXPECT_FALSE(read([&](Tx& tx) { return records::get(tx, 1, nsid, rkey); }));
}

TEST_P(Records, ChangingOneThatIsNotThereIsABug) {
  const auto nsid = Nsid::parse("com.example.note").value();
  const auto rkey = RecordKey::parse("a").value();
  EXPECT_THROW(write([&](Tx& tx) { records::update(tx, 1, nsid, rkey, cid_of("x"), as_bytes("x")); }),
               std::logic_error);
  EXPECT_THROW(write([&](Tx& tx) { records::remove(tx, 1, nsid, rkey); }), std::logic_error);
}

class Events : public Aggregates {};

TEST_P(Events, AreNumberedInTheOrderOfTheirCommits) {
  const auto engine = GetParam();
  for (int i = 0; i < 5; ++i)
    write([&](Tx& tx) {
      events::append(tx, engine, 1, EventKind::commit, to_bytes("event " + std::to_string(i)), k_now);
    });
  std::int64_t numbered = 0;
  while (auto n = write([](Tx& tx) { return events::number_pending(tx, 2); })) numbered += n;
  EXPECT_EQ(numbered, engine == store::Engine::sqlite ? 0 : 5);
  read([](Tx& tx) {
    const auto all = events::after(tx, 0, 100);
    ASSERT_EQ(all.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(as_text(all[i].payload), "event " + std::to_string(i));
      if (i > 0) EXPECT_GT(all[i].seq, all[i - 1].seq);
    }
    EXPECT_EQ(events::last_seq(tx), all.back().seq);
    EXPECT_EQ(events::after(tx, all[2].seq, 1).at(0).payload, all[3].payload);
    EXPECT_EQ(all[0].created_at, k_now);
  });
}

TEST_P(Events, OfARolledBackChangeAreGone) {
  (void)write([&](Tx& tx) -> Result<void, int> {
    events::append(tx, GetParam(), 1, EventKind::commit, to_bytes("lost"), k_now);
    return fail(1);
  });
  write([](Tx& tx) { return events::number_pending(tx, 10); });
  EXPECT_EQ(read([](Tx& tx) { return events::last_seq(tx); }), 0);
}

class Sessions : public Aggregates {
 protected:
  static constexpr auto k_grace = std::chrono::hours(2);
  static constexpr auto k_life = std::chrono::hours(90 * 24);
  void add(const std::string& id, std::int64_t account = 1) {
    write([&](Tx& tx) {
      sessions::insert(tx, {.id = id, .account_id = account, .expires_at = k_now + k_life});
    });
  }
  std::optional<std::string> rotate(const std::string& id, const std::string& next, Time now) {
    auto token =
        write([&](Tx& tx) { return sessions::rotate(tx, id, next, now, now + k_grace, now + k_life); });
    return token ? std::optional(token->id) : std::nullopt;
  }
};

TEST_P(Sessions, RepeatInsideTheGraceGivesTheSameSuccessor) {
  add("a");
  EXPECT_EQ(rotate("a", "b", k_now), "b");
  EXPECT_EQ(rotate("a", "other", k_now + k_grace - std::chrono::seconds(1)), "b");
  EXPECT_EQ(rotate("a", "other", k_now + k_grace), std::nullopt);
  EXPECT_EQ(rotate("b", "c", k_now + k_grace), "c");
}

TEST_P(Sessions, RepeatsDoNotLengthenTheGrace) {
  add("a");
  rotate("a", "b", k_now);
  for (int minutes = 0; minutes < 120; minutes += 30)
    EXPECT_EQ(rotate("a", "x", k_now + std::chrono::minutes(minutes)), "b");
  EXPECT_EQ(rotate("a", "x", k_now + k_grace), std::nullopt);
}

TEST_P(Sessions, EndAfterTheirLifetime) {
  add("a");
  EXPECT_EQ(rotate("a", "b", k_now + k_life), std::nullopt);
  EXPECT_EQ(rotate("a", "b", k_now + k_life - std::chrono::seconds(1)), "b");
}

TEST_P(Sessions, RevokingAnOldTokenEndsItsSuccessors) {
  add("a");
  rotate("a", "b", k_now);
  rotate("b", "c", k_now);
  write([](Tx& tx) { sessions::revoke(tx, "a"); });
  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(rotate(id, "x", k_now), std::nullopt) << id;
}

TEST_P(Sessions, RevokedSuccessorIsNotBroughtBackByTheOldToken) {
  add("a");
  rotate("a", "b", k_now);
  write([](Tx& tx) { sessions::revoke(tx, "b"); });
  EXPECT_EQ(rotate("a", "x", k_now), std::nullopt);
}

TEST_P(Sessions, OfOneAccountEndTogether) {
  add("a");
  add("b");
  add("other", 2);
  write([](Tx& tx) { sessions::revoke_all(tx, 1); });
  EXPECT_EQ(rotate("a", "x", k_now), std::nullopt);
  EXPECT_EQ(rotate("b", "y", k_now), std::nullopt);
  EXPECT_EQ(rotate("other", "z", k_now), "z");
}

INSTANTIATE_TEST_SUITE_P(Store, Accounts, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, RepoHeads, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, Records, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, Events, store::engines(), store::engine_name);
INSTANTIATE_TEST_SUITE_P(Store, Sessions, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::pds
