// The small parts: PLC over HTTP, DID documents, tree cache, account queue.
#include <gtest/gtest.h>

#include <deque>

#include "pds/account_queue.h"
#include "pds/did_docs.h"
#include "pds/plc_client.h"
#include "pds/testing.h"
#include "pds/tree_cache.h"

namespace latchkey::pds {
namespace {

class ScriptedFetch final : public Fetch {
 public:
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    asked.push_back(request.method + " " + request.url);
    auto next = answers.front();
    answers.pop_front();
    if (next.first == 0) co_return fail(FetchError{FetchError::Kind::timeout, "timeout"});
    co_return FetchResponse{.status = next.first, .headers = {}, .body = next.second};
  }
  std::deque<std::pair<int, std::string>> answers;  // status 0: no answer
  std::vector<std::string> asked;
};

struct PlcRow {
  std::deque<std::pair<int, std::string>> answers;
  const char* outcome;
  const char* why;
};

TEST(HttpPlcClient, ReadsTheDirectorysAnswers) {
  const std::string document = R"({"id":"did:plc:x"})";
  for (const auto& [answers, outcome, why] : {
           PlcRow{{{200, ""}}, "ok", "taken"},
           PlcRow{{{400, ""}, {200, document}}, "ok", "it has it already: an earlier try got through"},
           PlcRow{{{0, ""}, {200, document}}, "ok", "the answer was lost"},
           PlcRow{{{400, ""}, {404, ""}}, "refused", "its last word"},
           PlcRow{{{400, ""}, {410, ""}}, "refused", "tombstoned"},
           PlcRow{{{400, ""}, {500, ""}}, "unreachable", "nobody knows"},
           PlcRow{{{500, ""}, {404, ""}}, "unreachable", "a server in trouble may recover"},
           PlcRow{{{429, ""}, {404, ""}}, "unreachable", "asks for patience"},
           PlcRow{{{0, ""}, {404, ""}}, "unreachable", "the request may still be on its way"},
           PlcRow{{{0, ""}, {0, ""}}, "unreachable", "down"},
       }) {
    ScriptedFetch fetch;
    fetch.answers = answers;
    HttpPlcClient plc(fetch, "https://plc.test/");
    const auto result = run(plc.submit("did:plc:x", "{}"));
    const std::string got = result                                           ? "ok"
                            : result.error().kind == PlcFault::Kind::refused ? "refused"
                                                                             : "unreachable";
    EXPECT_EQ(got, outcome) << why;
    EXPECT_EQ(fetch.asked.at(0), "POST https://plc.test/did:plc:x");
    EXPECT_TRUE(fetch.answers.empty()) << why;
  }
}

TEST(HttpPlcClient, FindsInTheLogWhetherAnOperationGotThrough) {
  SeededRng rng(12);
  const auto key = crypto::PrivateKey::generate(crypto::Curve::k256, rng);
  const auto sign = [&](const char* handle, std::optional<Cid> prev) {
    return plc::Operation::sign(
        plc::PlcOperation{.data = plc::atproto_data({key.public_key().did_key()}, key.public_key(), handle,
                                                    "https://pds.test"),
                          .prev = std::move(prev)},
        key);
  };
  const auto first = sign("alice.test", std::nullopt);
  const auto next = sign("wonder.test", first.cid()), other = sign("land.test", first.cid());
  const Did did = plc::did_of(first);
  const auto log_of = [&](std::initializer_list<plc::Operation> operations) {
    json::Array entries;
    for (const auto& operation : operations)
      entries.push_back(plc::audit_json(
          did,
          {.operation = operation, .cid = operation.cid(), .created_at = from_unix_seconds(1'700'000'000)}));
    return json::Value(std::move(entries)).dump();
  };
  const auto without = log_of({first}), with = log_of({first, next}), overtaken = log_of({first, other});
  for (const auto& [answers, outcome, why] : {
           PlcRow{{{200, ""}}, "ok", "taken"},
           PlcRow{{{400, ""}, {200, with}}, "ok", "it has it already"},
           PlcRow{{{0, ""}, {200, with}}, "ok", "the answer was lost"},
           PlcRow{{{400, ""}, {200, without}}, "refused", "its last word"},
           PlcRow{{{400, ""}, {200, overtaken}}, "refused", "another one was first"},
           PlcRow{{{400, ""}, {404, ""}}, "refused", "no such DID"},
           PlcRow{{{400, ""}, {500, ""}}, "unreachable", "nobody knows"},
           PlcRow{{{400, ""}, {200, "[]"}}, "unreachable", "a log without a beginning"},
           PlcRow{{{400, ""}, {200, log_of({next})}}, "unreachable", "a log of some other DID"},
           PlcRow{{{409, ""}, {200, without}}, "unreachable", "busy"},
           PlcRow{{{429, ""}, {200, without}}, "unreachable", "asks for patience"},
           PlcRow{{{500, ""}, {200, without}}, "unreachable", "a server in trouble may recover"},
           PlcRow{{{0, ""}, {200, without}}, "unreachable", "the request may still be on its way"},
       }) {
    ScriptedFetch fetch;
    fetch.answers = answers;
    HttpPlcClient plc(fetch, "https://plc.test/");
    const auto result = run(plc.append(did, next));
    const std::string got = result                                           ? "ok"
                            : result.error().kind == PlcFault::Kind::refused ? "refused"
                                                                             : "unreachable";
    EXPECT_EQ(got, outcome) << why;
    EXPECT_EQ(fetch.asked.at(0), "POST https://plc.test/" + did.str());
    if (fetch.asked.size() > 1) EXPECT_EQ(fetch.asked[1], "GET https://plc.test/" + did.str() + "/log/audit");
    EXPECT_TRUE(fetch.answers.empty()) << why;
  }
}

TEST(HttpPlcClient, ResolvesDocuments) {
  ScriptedFetch fetch;
  HttpPlcClient plc(fetch, "https://plc.test");
  fetch.answers = {{200, R"({"id":"did:plc:x"})"}, {404, ""}, {200, "[]"}, {200, "{"}, {503, ""}};
  EXPECT_EQ(*run(plc.resolve("did:plc:x")).value()->string_at("id"), "did:plc:x");
  EXPECT_FALSE(run(plc.resolve("did:plc:x")).value());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(run(plc.resolve("did:plc:x")));
}

TEST(DidDocs, AreKeptForAWhile) {
  World w;
  const auto alice = w.sign_up("alice");
  DidDocs docs(w.plc, w.clock, std::chrono::hours(1), 2);
  w.plc.resolves = 0;
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_EQ(w.plc.resolves, 1);
  w.clock.advance(std::chrono::hours(1));
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_EQ(w.plc.resolves, 2);
  docs.forget(alice.did.str());
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_EQ(w.plc.resolves, 3);
}

TEST(DidDocs, OutliveADirectoryThatIsDown) {
  World w;
  const auto alice = w.sign_up("alice");
  DidDocs docs(w.plc, w.clock, std::chrono::hours(1), 10);
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  w.plc.mode = MemoryPlc::Mode::unreachable;
  w.plc.resolves = 0;
  w.clock.advance(std::chrono::hours(1));
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_FALSE(run(docs.get("did:plc:unknown")));
  EXPECT_EQ(w.plc.resolves, 2);
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_FALSE(run(docs.get("did:plc:unknown")));
  EXPECT_EQ(w.plc.resolves, 2) << "no second wait within half a minute";
  w.clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(run(docs.get(alice.did.str())));
  EXPECT_EQ(w.plc.resolves, 3);
  w.clock.advance(std::chrono::hours(23) - std::chrono::seconds(31));
  EXPECT_TRUE(run(docs.get(alice.did.str()))) << "just under a day old";
  w.clock.advance(std::chrono::seconds(30));
  EXPECT_FALSE(run(docs.get(alice.did.str()))) << "a day is too old to be told as true";
  w.plc.mode = MemoryPlc::Mode::normal;
  w.clock.advance(std::chrono::seconds(30));
  EXPECT_TRUE(run(docs.get(alice.did.str())));
}

TEST(DidDocs, AreBounded) {
  World w;
  std::vector<SignedIn> people;
  for (const char* name : {"alice", "bob", "carol"}) people.push_back(w.sign_up(name));
  DidDocs docs(w.plc, w.clock, std::chrono::hours(1), 2);
  for (const auto& who : people) run(docs.get(who.did.str()));
  w.plc.resolves = 0;
  run(docs.get(people[1].did.str()));
  run(docs.get(people[2].did.str()));
  EXPECT_EQ(w.plc.resolves, 0);
  run(docs.get(people[0].did.str()));
  EXPECT_EQ(w.plc.resolves, 1) << "the oldest made room";
}

CachedRepoPtr cached(int records) {
  static SeededRng rng(4);
  static const auto key = crypto::PrivateKey::generate(crypto::Curve::k256, rng);
  mst::Tree tree;
  for (int i = 0; i < records; ++i)
    tree = tree.put("com.example.note/k" + std::to_string(i), Cid::of_dag_cbor(as_bytes("x")));
  const auto cid = Cid::of_dag_cbor(as_bytes("commit"));
  return std::make_shared<const CachedRepo>(CachedRepo{
      .head = {.rev = "", .commit = cid, .data = cid, .block = {}}, .tree = tree, .signing_key = key});
}

TEST(TreeCache, DropsWhatWasNotUsedForLongest) {
  TreeCache one(std::size_t{1} << 30);
  one.put(1, cached(10));
  const auto each = one.bytes();
  TreeCache cache(each * 2);
  cache.put(1, cached(10));
  cache.put(2, cached(10));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_TRUE(cache.get(1));
  cache.put(3, cached(10));
  EXPECT_TRUE(cache.get(1));
  EXPECT_FALSE(cache.get(2));
  EXPECT_TRUE(cache.get(3));
  EXPECT_LE(cache.bytes(), each * 2);
  cache.put(3, cached(10));
  EXPECT_EQ(cache.bytes(), each * 2) << "replaced, not counted twice";
  cache.put(4, cached(1000));
  EXPECT_FALSE(cache.get(4)) << "larger than the whole budget";
  EXPECT_TRUE(cache.get(1));
  cache.erase(1);
  cache.erase(3);
  EXPECT_EQ(cache.bytes(), 0u);
}

Task<void> take_turn(AccountQueue* queue, std::int64_t account, int number, std::vector<int>* order) {
  auto turn = co_await queue->enter(account);
  if (!turn) {
    order->push_back(-number);
    co_return;
  }
  co_await sleep_for(std::chrono::milliseconds(10));
  order->push_back(number);
}

TEST(AccountQueue, KeepsOrderWithinAnAccountAndABound) {
  AccountQueue queue(2);
  InlineExecutor executor;
  std::vector<int> order;
  executor.post([&] {
    for (int i = 1; i <= 4; ++i) spawn(take_turn(&queue, 7, i, &order));
    spawn(take_turn(&queue, 8, 9, &order));
  });
  executor.run_until([&] { return order.size() == 5; });
  EXPECT_EQ(order, (std::vector<int>{-4, 1, 9, 2, 3})) << "one at work, two waiting, the fourth refused";
  order.clear();
  executor.post([&] { spawn(take_turn(&queue, 7, 5, &order)); });
  executor.run_until([&] { return order.size() == 1; });
  EXPECT_EQ(order, std::vector<int>{5});
}

}  // namespace
}  // namespace latchkey::pds
