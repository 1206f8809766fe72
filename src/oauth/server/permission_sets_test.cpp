#include "oauth/server/permission_sets.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "oauth/server/schema.h"
#include "store/testing.h"

namespace latchkey::oauth {
namespace {
using namespace std::chrono_literals;
using For = PermissionSets::For;

constexpr const char* k_basic = "com.example.calendar.authBasic";
constexpr std::chrono::microseconds k_instant{1};

json::Object lexicon_with(std::string_view nsid, json::Array collections) {
  return {
      {"lexicon", 1},
      {"id", nsid},
      {"defs",
       json::Object{{"main", json::Object{{"type", "permission-set"},
                                          {"permissions", json::Array{json::Object{
                                                              {"type", "permission"},
                                                              {"resource", "repo"},
                                                              {"collection", std::move(collections)}}}}}}}}};
}

/// Knows some lexicons; may have trouble, or take its time.
class FakeResolver final : public lexicon::Resolver {
 public:
  std::map<std::string, json::Value> lexicons;
  std::optional<lexicon::LexiconError> trouble;
  std::vector<std::string> asked;
  std::map<std::string, Completion<bool>> gates;  // the answer waits until the test opens them

  Task<Result<lexicon::Resolved, lexicon::LexiconError>> resolve(Nsid nsid) override {
    asked.push_back(nsid.str());
    if (const auto gate = gates.find(nsid.str()); gate != gates.end()) co_await gate->second;
    if (trouble) co_return fail(*trouble);
    const auto found = lexicons.find(nsid.str());
    if (found == lexicons.end())
      co_return fail(lexicon::LexiconError{lexicon::Error::not_found, "nobody knows it"});
    const std::string text = found->second.dump();
    co_return lexicon::Resolved{nsid, *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
                                Cid::of_dag_cbor(as_bytes(text)), "at://…", found->second};
  }
};

class PermissionSetCache : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
    restart();
    publish("com.example.calendar.event");
  }
  void restart() { sets_ = std::make_unique<PermissionSets>(**db_, &resolver_, clock_); }
  void publish(std::string collection, std::string nsid = k_basic) {
    resolver_.lexicons[nsid] = lexicon_with(nsid, {std::move(collection)});
  }
  void author_is(lexicon::Error trouble) { resolver_.trouble = {trouble, "trouble \xff"}; }
  void author_is_back() { resolver_.trouble.reset(); }

  static ScopeSet scopes(std::string_view text) { return *ScopeSet::parse(text); }
  Result<PermissionSets::Sets, Fault> load(For use, std::string_view scope) {
    return run(sets_->load(scopes(scope), use));
  }
  /// What a token would say; the fault's description when there would be none.
  std::string granted(For use, std::string_view scope = "atproto include:com.example.calendar.authBasic") {
    const auto sets = load(use, scope);
    if (!sets) {
      EXPECT_EQ(sets.error().code, Error::invalid_scope);
      return sets.error().description;
    }
    return PermissionSets::expand(scopes(scope), *sets).str();
  }
  /// A request that runs beside others, on executor_.
  void begin(For use, std::string scope) {
    executor_.post([this, use, scope] { spawn(load_into(this, use, scope)); });
  }
  static Task<void> load_into(PermissionSetCache* test, For use, std::string scope) {
    const auto sets = co_await test->sets_->load(scopes(scope), use);
    test->results_.push_back(sets ? PermissionSets::expand(scopes(scope), *sets).str()
                                  : sets.error().description);
  }
  void hold(const std::string& nsid) { resolver_.gates.try_emplace(nsid); }
  std::size_t asked() const { return resolver_.asked.size(); }
  std::int64_t rows() {
    static constexpr store::Sql k_count{"SELECT count(*) FROM oauth_permission_set"};
    return run((*db_)->read([](store::Tx& tx) { return tx.one(k_count)->int64(0); }));
  }

  static constexpr const char* k_event = "atproto repo:com.example.calendar.event";
  static constexpr const char* k_todo = "atproto repo:com.example.calendar.todo";
  static constexpr const char* k_refused = "Could not resolve permission set com.example.calendar.authBasic";

  std::unique_ptr<store::TestDatabase> db_;
  FakeClock clock_;
  FakeResolver resolver_;
  std::unique_ptr<PermissionSets> sets_;
  InlineExecutor executor_;
  std::vector<std::string> results_;  // of begin()
};

TEST_P(PermissionSetCache, ResolvesOnceForEverybody) {
  EXPECT_EQ(granted(For::new_session), k_event);
  EXPECT_EQ(granted(For::refresh), k_event);
  restart();
  EXPECT_EQ(granted(For::new_session), k_event);
  EXPECT_EQ(asked(), 1u);
}

TEST_P(PermissionSetCache, AsksNobodyWithoutIncludes) {
  EXPECT_EQ(granted(For::new_session, "atproto repo:com.example.note"), "atproto repo:com.example.note");
  EXPECT_EQ(granted(For::new_session, "atproto include:not-an-nsid includes:com.example.calendar.authBasic"),
            "atproto include:not-an-nsid includes:com.example.calendar.authBasic")
      << "what is no include stays what it was";
  EXPECT_EQ(asked(), 0u);
}

TEST_P(PermissionSetCache, IsAskedForAgainAfterADay) {
  EXPECT_EQ(granted(For::new_session), k_event);
  publish("com.example.calendar.todo");
  clock_.advance(24h - k_instant);
  EXPECT_EQ(granted(For::refresh), k_event);
  EXPECT_EQ(asked(), 1u);
  clock_.advance(k_instant);
  EXPECT_EQ(granted(For::refresh), k_todo);
  EXPECT_EQ(granted(For::new_session), k_todo);
  EXPECT_EQ(asked(), 2u);
}

TEST_P(PermissionSetCache, KeepsTheOldOneWhenARefreshFails) {
  EXPECT_EQ(granted(For::new_session), k_event);
  for (const auto trouble :
       {lexicon::Error::unreachable, lexicon::Error::not_found, lexicon::Error::invalid}) {
    clock_.advance(24h);
    author_is(trouble);
    EXPECT_EQ(granted(For::refresh), k_event);
    EXPECT_EQ(granted(For::new_session), k_event);
  }
  EXPECT_EQ(asked(), 4u);
}

TEST_P(PermissionSetCache, KeepsTheOldOneWhenTheNewOneIsNoPermissionSet) {
  EXPECT_EQ(granted(For::new_session), k_event);
  clock_.advance(24h);
  resolver_.lexicons[k_basic] = json::Object{
      {"lexicon", 1}, {"id", k_basic}, {"defs", json::Object{{"main", json::Object{{"type", "record"}}}}}};
  EXPECT_EQ(granted(For::new_session), k_event);
  EXPECT_EQ(asked(), 2u);
}

TEST_P(PermissionSetCache, PausesAfterAFailedRefresh) {
  EXPECT_EQ(granted(For::new_session), k_event);
  clock_.advance(24h);
  author_is(lexicon::Error::unreachable);
  granted(For::refresh);
  EXPECT_EQ(asked(), 2u);
  publish("com.example.calendar.todo");
  author_is_back();
  clock_.advance(k_set_refresh_pause - k_instant);
  EXPECT_EQ(granted(For::refresh), k_event);
  EXPECT_EQ(asked(), 2u);
  clock_.advance(k_instant);
  EXPECT_EQ(granted(For::refresh), k_todo);
  EXPECT_EQ(asked(), 3u);
}

TEST_P(PermissionSetCache, IsTooOldForANewSessionAfterNinetyDays) {
  EXPECT_EQ(granted(For::new_session), k_event);
  author_is(lexicon::Error::unreachable);
  clock_.advance(90 * 24h - k_instant);
  EXPECT_EQ(granted(For::new_session), k_event);
  clock_.advance(k_instant);
  EXPECT_EQ(granted(For::new_session), k_refused);
  EXPECT_EQ(granted(For::refresh), k_event) << "sessions that exist are not impacted";
  author_is_back();
  clock_.advance(k_set_refresh_pause);
  EXPECT_EQ(granted(For::new_session), k_event);
}

TEST_P(PermissionSetCache, AttackIncludeToAnUnresolvableLexicon) {
  for (const auto trouble :
       {lexicon::Error::unreachable, lexicon::Error::not_found, lexicon::Error::invalid}) {
    author_is(trouble);
    EXPECT_EQ(granted(For::new_session), k_refused);
    clock_.advance(k_set_failure_memory);
  }
  EXPECT_EQ(asked(), 3u);
  PermissionSets alone(**db_, nullptr, clock_);
  clock_.advance(k_set_failure_memory);
  const auto nobody_to_ask =
      run(alone.load(scopes("atproto include:com.example.calendar.authBasic"), For::new_session));
  ASSERT_FALSE(nobody_to_ask);
  EXPECT_EQ(nobody_to_ask.error().description, k_refused);
}

TEST_P(PermissionSetCache, NamesTheSetThatIsMissing) {
  EXPECT_EQ(granted(For::new_session,
                    "atproto include:com.example.calendar.authBasic include:com.example.other.authFull"),
            "Could not resolve permission set com.example.other.authFull");
}

TEST_P(PermissionSetCache, ARefreshWithoutTheSetGrantsNothingOfIt) {
  author_is(lexicon::Error::unreachable);
  EXPECT_EQ(granted(For::refresh, "atproto include:com.example.calendar.authBasic repo:com.example.note"),
            "atproto repo:com.example.note");
}

TEST_P(PermissionSetCache, RemembersAFailureForAMinute) {
  author_is(lexicon::Error::not_found);
  EXPECT_EQ(granted(For::new_session), k_refused);
  author_is_back();
  clock_.advance(1min - k_instant);
  EXPECT_EQ(granted(For::new_session), k_refused);
  EXPECT_EQ(asked(), 1u);
  clock_.advance(k_instant);
  EXPECT_EQ(granted(For::new_session), k_event);
  EXPECT_EQ(asked(), 2u);
}

TEST_P(PermissionSetCache, AttackCaseChangedNsidIsAnotherSet) {
  EXPECT_EQ(granted(For::new_session), k_event);
  for (const std::string other : {"com.example.calendar.AuthBasic", "Com.example.calendar.authBasic"})
    EXPECT_EQ(granted(For::new_session, "atproto include:" + other),
              "Could not resolve permission set " + other);
}

TEST_P(PermissionSetCache, AttackALexiconThatIsNoPermissionSet) {
  resolver_.lexicons[k_basic] = json::Object{
      {"lexicon", 1}, {"id", k_basic}, {"defs", json::Object{{"main", json::Object{{"type", "record"}}}}}};
  EXPECT_EQ(granted(For::new_session), k_refused);
}

TEST_P(PermissionSetCache, AttackADocumentOfAnySize) {
  auto document = lexicon_with(k_basic, {"com.example.calendar.event"});
  document.set("description", "");
  const std::size_t room = k_max_set_bytes - json::Value(document).dump().size();
  document.set("description", std::string(room + 1, 'x'));
  resolver_.lexicons[k_basic] = document;
  EXPECT_EQ(granted(For::new_session), k_refused);
  document.set("description", std::string(room, 'x'));
  resolver_.lexicons[k_basic] = document;
  clock_.advance(k_set_failure_memory);
  EXPECT_EQ(granted(For::new_session), k_event);
}

TEST_P(PermissionSetCache, AttackManySetsInOneRequest) {
  const auto request = [&](std::size_t count) {
    std::string scope = "atproto";
    for (std::size_t i = 0; i < count; ++i) {
      const std::string nsid = fmt::format("com.example.calendar.set{}", i);
      publish("com.example.calendar.event", nsid);
      scope += " include:" + nsid + " include:" + nsid + "?aud=did:web:api.example.com%23svc";
    }
    return scope;
  };
  EXPECT_EQ(granted(For::new_session, request(k_max_sets_of_request)), k_event);
  EXPECT_EQ(asked(), k_max_sets_of_request) << "the same set with another audience is one set";
  EXPECT_EQ(granted(For::new_session, request(k_max_sets_of_request + 1)),
            "Too many permission sets in one request");
  EXPECT_EQ(asked(), k_max_sets_of_request) << "nobody is asked for a request that is refused";
}

TEST_P(PermissionSetCache, AttackAnExpansionThatFitsIntoNoHeader) {
  // Collections that make one token of exactly so many bytes: repo?collection=…&collection=…
  const auto publish_filling = [&](const std::string& nsid, std::size_t bytes) {
    const std::string group = nsid.substr(0, nsid.rfind('.') + 1);
    json::Array names;
    for (std::size_t left = bytes - 4; left > 0;) {
      const std::size_t part = left > 93 ? 60 : left;
      const std::size_t i = names.size();
      std::string name{static_cast<char>('a' + i / 26), static_cast<char>('a' + i % 26)};
      name.resize(part - 12 - group.size(), 'x');
      names.emplace_back(group + name);
      left -= part;
    }
    resolver_.lexicons[nsid] = lexicon_with(nsid, std::move(names));
  };
  const std::string first = "com.example.tasks.authBasic", second = "com.example.notes.authBasic",
                    scope = "atproto include:" + first + " include:" + second;
  const std::size_t half = k_max_expanded_bytes / 2, rest = k_max_expanded_bytes - 8 - (half + 1) - 1;
  publish_filling(first, half);
  publish_filling(second, rest + 1);
  EXPECT_EQ(granted(For::new_session, scope), "The permission sets hold too much together");
  const std::string only_first = granted(For::refresh, scope);
  EXPECT_EQ(only_first.size(), 8 + half) << "a set that has grown does not end the session";
  clock_.advance(k_set_stale_after);
  publish_filling(second, rest);
  const std::string both = granted(For::new_session, scope);
  EXPECT_EQ(both.size(), k_max_expanded_bytes - 1);
  EXPECT_TRUE(both.starts_with(only_first));
}

TEST_P(PermissionSetCache, ConcurrentRequestsFetchOnce) {
  hold(k_basic);
  constexpr std::size_t k_requests = 20;
  for (std::size_t i = 0; i < k_requests; ++i)
    begin(For::new_session, "atproto include:com.example.calendar.authBasic");
  executor_.run_until([&] { return asked() > 0; });
  // When nothing else is left to run, so that the others wait too.
  executor_.post_after(1ms, [&] { resolver_.gates.at(k_basic).deliver(true); });
  executor_.run_until([&] { return results_.size() == k_requests; });
  EXPECT_EQ(results_, std::vector<std::string>(k_requests, k_event));
  EXPECT_EQ(asked(), 1u);
}

TEST_P(PermissionSetCache, FetchesTheSetsOfARequestAtTheSameTime) {
  const std::string other = "com.example.tasks.authBasic";
  publish("com.example.tasks.item", other);
  hold(k_basic);
  hold(other);
  begin(For::new_session, "atproto include:com.example.calendar.authBasic include:" + other);
  executor_.run_until([&] { return asked() == 2; });  // neither was answered yet
  resolver_.gates.at(other).deliver(true);
  resolver_.gates.at(k_basic).deliver(true);
  executor_.run_until([&] { return !results_.empty(); });
  EXPECT_EQ(results_[0], std::string(k_event) + " repo:com.example.tasks.item");
}

TEST_P(PermissionSetCache, PassesTheAudienceOnAndKeepsTheOrder) {
  resolver_.lexicons[k_basic] = json::Object{
      {"lexicon", 1},
      {"id", k_basic},
      {"defs",
       json::Object{{"main", json::Object{{"type", "permission-set"},
                                          {"permissions",
                                           json::Array{json::Object{
                                               {"type", "permission"},
                                               {"resource", "rpc"},
                                               {"inheritAud", true},
                                               {"lxm", json::Array{"com.example.calendar.list"}}}}}}}}}};
  EXPECT_EQ(granted(For::new_session,
                    "include:com.example.calendar.authBasic?aud=did:web:api.example.com%23svc atproto"),
            "rpc:com.example.calendar.list?aud=did:web:api.example.com%23svc atproto");
  EXPECT_EQ(granted(For::new_session), "atproto") << "no audience to inherit";
}

TEST_P(PermissionSetCache, ForgetsWhatNobodyUses) {
  EXPECT_EQ(granted(For::new_session), k_event);
  author_is(lexicon::Error::unreachable);
  clock_.advance(k_set_forget_after - k_instant);
  run(sets_->clean());
  EXPECT_EQ(granted(For::refresh), k_event) << "which is a use";
  clock_.advance(k_set_forget_after - k_instant);
  run(sets_->clean());
  EXPECT_EQ(rows(), 1);
  clock_.advance(k_instant);
  run(sets_->clean());
  EXPECT_EQ(rows(), 0);
}

TEST_P(PermissionSetCache, ForgetsFailuresThatAreOver) {
  author_is(lexicon::Error::not_found);
  granted(For::new_session);
  clock_.advance(k_set_failure_memory - k_instant);
  run(sets_->clean());
  EXPECT_EQ(rows(), 1);
  clock_.advance(k_instant);
  run(sets_->clean());
  EXPECT_EQ(rows(), 0);
}

TEST_P(PermissionSetCache, AttackAFloodOfSetsIsCutBackToTheNewest) {
  const auto store = [&](int from, int count) {
    run((*db_)->write([&](store::Tx& tx) {
      for (int i = from; i < from + count; ++i) {
        const auto nsid = *Nsid::parse(fmt::format("com.example.flood.set{}", i));
        stored_sets::store(tx,
                           {nsid, *Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
                            Cid::of_dag_cbor(as_bytes("x")), "", json::Value()},
                           "{}", clock_.now());
      }
    }));
  };
  granted(For::new_session);
  clock_.advance(1s);
  store(0, k_max_stored_sets - 1);
  run(sets_->clean());
  EXPECT_EQ(rows(), k_max_stored_sets);
  store(k_max_stored_sets, 1);
  run(sets_->clean());
  EXPECT_EQ(rows(), k_max_stored_sets);
  author_is(lexicon::Error::unreachable);
  EXPECT_EQ(granted(For::refresh), "atproto") << "the one used longest ago went";
}

INSTANTIATE_TEST_SUITE_P(Store, PermissionSetCache, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth
