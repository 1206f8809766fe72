// The directory as its clients see it, on both engines.
#include "dev/plc_directory/directory.h"

#include <gtest/gtest.h>

#include "atproto/identity/did_document.h"
#include "store/testing.h"

namespace latchkey::dev {
namespace {

using plc::Operation;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Answer {
  int status;
  std::string type;
  std::string body;
  json::Value json() const {
    auto v = json::parse(body);
    EXPECT_TRUE(v) << body;
    return v ? *std::move(v) : json::Value();
  }
  std::string message() const {
    const auto v = json();
    const auto* m = v.string_at("message");
    return m ? *m : "no message in " + body;
  }
};

Answer answer_of(web::Response r) {
  return {r.status, std::string(r.headers.get("content-type")), std::move(r.body)};
}

class Directory : public store::EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    db = std::make_unique<store::TestDatabase>(GetParam(), plc_migrations());
    start({});
    for (int i = 0; i < 4; ++i)
      keys.push_back(crypto::PrivateKey::generate(i % 2 ? crypto::Curve::p256 : crypto::Curve::k256, rng));
  }
  void start(PlcOptions options) {
    directory = std::make_unique<PlcDirectory>(**db, clock, options);
    router = std::make_unique<web::Router>();
    directory->add_routes(*router);
  }
  Answer get(std::string target) { return answer_of(run(router->handle(web::Request::make("GET", target)))); }
  Answer post(const std::string& did, std::string body) {
    auto request =
        web::Request::make("POST", "/" + did, std::move(body), {{"content-type", "application/json"}});
    auto answer = answer_of(run(router->handle(std::move(request))));
    clock.advance(milliseconds(1));
    return answer;
  }
  Answer post(const Did& did, const Operation& op) {
    return post(did.str(), json::Value(op.to_json()).dump());
  }

  plc::Data state(std::string_view handle) const {
    return plc::atproto_data(
        {keys[0].public_key().did_key(), keys[1].public_key().did_key(), keys[2].public_key().did_key()},
        keys[3].public_key(), handle, "https://pds.test");
  }
  Operation genesis(std::string_view handle = "alice.test", std::size_t signer = 2) const {
    return Operation::sign(plc::PlcOperation{state(handle), std::nullopt}, keys[signer]);
  }
  Operation update(const Operation& prev, std::string_view handle, std::size_t signer = 2) const {
    return Operation::sign(plc::PlcOperation{state(handle), prev.cid()}, keys[signer]);
  }
  Operation tombstone(const Operation& prev, std::size_t signer = 2) const {
    return Operation::sign(plc::PlcTombstone{prev.cid()}, keys[signer]);
  }
  std::string handle_of(const Did& did) {
    const auto document = identity::DidDocument::parse(did, get("/" + did.str()).body);
    return document && document->handle() ? document->handle()->str() : "";
  }
  std::vector<plc::LogEntry> audit(const Did& did) {
    auto log = plc::audit_log_from_json(did, get("/" + did.str() + "/log/audit").json());
    EXPECT_TRUE(log);
    EXPECT_TRUE(plc::validate_log(did, *log)) << "what the directory accepted, anybody can verify";
    return *std::move(log);
  }

  FakeClock clock;
  SeededRng rng;
  std::unique_ptr<store::TestDatabase> db;
  std::unique_ptr<PlcDirectory> directory;
  std::unique_ptr<web::Router> router;
  std::vector<crypto::PrivateKey> keys;  // three rotation keys, the most powerful first, and a signing key
};

TEST_P(Directory, RegistersAndResolves) {
  const auto op = genesis();
  const Did did = plc::did_of(op);
  EXPECT_EQ(get("/" + did.str()).status, 404);
  const auto created = post(did, op);
  EXPECT_EQ(created.status, 200) << created.body;

  const auto answer = get("/" + did.str());
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.type.starts_with("application/did+ld+json")) << answer.type;
  const auto document = identity::DidDocument::parse(did, answer.body);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->handle()->str(), "alice.test");
  EXPECT_EQ(document->pds(), "https://pds.test");
  EXPECT_EQ(document->signing_key(), keys[3].public_key());

  const auto data = get("/" + did.str() + "/data").json();
  EXPECT_EQ(*data.string_at("did"), did.str());
  EXPECT_EQ(data.find("rotationKeys")->array()->size(), 3U);
  EXPECT_EQ(get("/" + did.str() + "/log").json(), json::Value(json::Array{op.to_json()}));
  EXPECT_EQ(get("/" + did.str() + "/log/last").json(), json::Value(op.to_json()));
  const auto log = audit(did);
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].cid, op.cid());
  EXPECT_EQ(log[0].created_at, FakeClock().now());
}

TEST_P(Directory, SaysThatItDoesNotKnow) {
  const std::string did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
  for (const auto* rest : {"", "/data", "/log", "/log/last", "/log/audit"}) {
    const auto answer = get("/" + did + rest);
    EXPECT_EQ(answer.status, 404) << rest;
    EXPECT_EQ(answer.message(), "DID not registered: " + did);
  }
  EXPECT_EQ(get("/did:web:example.com").status, 404);
  EXPECT_EQ(get("/favicon.ico").status, 404);
}

TEST_P(Directory, FollowsUpdates) {
  const auto first = genesis();
  const Did did = plc::did_of(first);
  const auto second = update(first, "bob.test", 1);
  ASSERT_EQ(post(did, first).status, 200);
  ASSERT_EQ(post(did, second).status, 200);
  EXPECT_EQ(handle_of(did), "bob.test");
  EXPECT_EQ(get("/" + did.str() + "/log").json().array()->size(), 2U);
  EXPECT_EQ(get("/" + did.str() + "/log/last").json(), json::Value(second.to_json()));
}

TEST_P(Directory, RefusesWhatTheRulesForbid) {
  const auto first = genesis();
  const Did did = plc::did_of(first);
  ASSERT_EQ(post(did, first).status, 200);
  const auto second = update(first, "bob.test");
  ASSERT_EQ(post(did, second).status, 200);
  struct Row {
    Operation op;
    const char* message;
  };
  const Row rows[] = {
      {update(first, "x.test", 2), "Invalid signature"},        // a fork by no stronger key
      {update(second, "x.test", 3), "Invalid signature"},       // the signing key rotates nothing
      {genesis("x.test"), "Operations not correctly ordered"},  // a second genesis
      {update(genesis("y.test"), "x.test"), "Operations not correctly ordered"},
  };
  for (const auto& row : rows) {
    const auto answer = post(did, row.op);
    EXPECT_EQ(answer.status, 400);
    EXPECT_TRUE(answer.message().starts_with(row.message)) << answer.message();
  }
  const auto other = post(*Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz"), first);
  EXPECT_EQ(other.status, 400);
  EXPECT_TRUE(other.message().starts_with("Hash of genesis operation")) << other.message();
  EXPECT_EQ(audit(did).size(), 2U) << "nothing was kept of them";
}

TEST_P(Directory, RefusesMalformedRequests) {
  const auto op = genesis();
  const Did did = plc::did_of(op);
  for (const auto* body : {"", "{}", "[]", "null", "{\"type\":\"plc_operation\"}", "not json"}) {
    const auto answer = post(did.str(), body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_FALSE(answer.message().empty());
  }
  const std::string good = json::Value(op.to_json()).dump();
  EXPECT_EQ(post("did:web:example.com", good).status, 400);
  EXPECT_EQ(post("did:plc:short", good).status, 400);
  auto changed = op.to_json();
  changed.set("alsoKnownAs", json::Array{"at://mallory.test"});
  EXPECT_EQ(post(did.str(), json::Value(changed).dump()).status, 400);
}

TEST_P(Directory, AcceptsTheSameOperationAgain) {
  const auto first = genesis();
  const Did did = plc::did_of(first);
  EXPECT_EQ(post(did, first).status, 200);
  EXPECT_EQ(post(did, first).status, 200);
  const auto second = update(first, "bob.test");
  EXPECT_EQ(post(did, second).status, 200);
  EXPECT_EQ(post(did, second).status, 200);
  EXPECT_EQ(post(did, first).status, 200) << "the one before, too: it counts";
  EXPECT_EQ(audit(did).size(), 2U);
  EXPECT_EQ(handle_of(did), "bob.test");
}

TEST_P(Directory, LetsAStrongerKeyRewriteHistoryFor72Hours) {
  for (const auto late : {milliseconds(0), milliseconds(1)}) {
    const auto first = genesis(late.count() ? "late.test" : "intime.test");
    const Did did = plc::did_of(first);
    ASSERT_EQ(post(did, first).status, 200);
    const Time stolen_at = clock.now();
    const auto stolen = update(first, "stolen.test", 2);
    ASSERT_EQ(post(did, stolen).status, 200);
    const auto more = update(stolen, "more.test", 2);
    ASSERT_EQ(post(did, more).status, 200);
    clock.advance(stolen_at + hours(72) + late - clock.now());
    const auto answer = post(did, update(first, "mine.test", 0));
    if (late.count() == 0) {
      EXPECT_EQ(answer.status, 200) << answer.body;
      EXPECT_EQ(handle_of(did), "mine.test");
      const auto log = audit(did);
      ASSERT_EQ(log.size(), 4U);
      EXPECT_TRUE(log[1].nullified && log[2].nullified);
      EXPECT_FALSE(log[0].nullified || log[3].nullified);
      EXPECT_EQ(get("/" + did.str() + "/log").json().array()->size(), 2U) << "nullified ones are not in /log";
      EXPECT_EQ(post(did, stolen).status, 400) << "a nullified operation does not come back";
    } else {
      EXPECT_EQ(answer.status, 400);
      EXPECT_TRUE(answer.message().starts_with("Recovery operation occurred outside")) << answer.message();
      EXPECT_EQ(handle_of(did), "more.test");
    }
  }
}

TEST_P(Directory, EndsWithATombstone) {
  const auto first = genesis();
  const Did did = plc::did_of(first);
  ASSERT_EQ(post(did, first).status, 200);
  const auto end = tombstone(first);
  ASSERT_EQ(post(did, end).status, 200);
  EXPECT_EQ(get("/" + did.str()).status, 410);
  EXPECT_EQ(get("/" + did.str()).message(), "DID not available: " + did.str());
  EXPECT_EQ(get("/" + did.str() + "/data").status, 410);
  EXPECT_EQ(get("/" + did.str() + "/log/last").json(), json::Value(end.to_json()));
  EXPECT_EQ(post(did, update(end, "x.test", 0)).status, 400);
  EXPECT_EQ(post(did, update(first, "back.test", 0)).status, 200) << "a stronger key recovers";
  EXPECT_EQ(handle_of(did), "back.test");
}

TEST_P(Directory, LimitsOperationsOfOneDid) {
  start({.limits = {.per_hour = 3, .per_day = 4, .per_week = 5}});
  auto op = genesis();
  const Did did = plc::did_of(op);
  ASSERT_EQ(post(did, op).status, 200);
  const auto next = [&] {
    const auto following = update(op, "a" + std::to_string(clock.now().time_since_epoch().count()) + ".test");
    const auto answer = post(did, following);
    if (answer.status == 200) op = following;
    return answer;
  };
  EXPECT_EQ(next().status, 200);
  EXPECT_EQ(next().status, 200);
  EXPECT_EQ(next().message(), "Too many operations within the last hour (max 3)");
  EXPECT_EQ(post(did, op).status, 200) << "the same again adds nothing";
  clock.advance(hours(1));
  EXPECT_EQ(next().status, 200);
  EXPECT_EQ(next().message(), "Too many operations within the last day (max 4)");
  clock.advance(hours(24));
  EXPECT_EQ(next().status, 200);
  EXPECT_EQ(next().message(), "Too many operations within the last week (max 5)");
  EXPECT_EQ(post(did, update(genesis(), "mine.test", 0)).status, 200) << "a recovery is never locked out";
}

TEST_P(Directory, ExportsEverythingInOrder) {
  const auto alice = genesis("alice.test");
  const auto bob = genesis("bob.test");
  const auto alice2 = update(alice, "alice2.test");
  ASSERT_EQ(post(plc::did_of(alice), alice).status, 200);
  const Time between = clock.now() - milliseconds(1);
  ASSERT_EQ(post(plc::did_of(bob), bob).status, 200);
  ASSERT_EQ(post(plc::did_of(alice), alice2).status, 200);

  const auto lines = [&](const std::string& query) {
    const auto answer = get("/export" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(answer.type.starts_with("application/jsonlines"));
    std::vector<json::Value> out;
    std::size_t at = 0;
    while (at < answer.body.size()) {
      const auto end = std::min(answer.body.find('\n', at), answer.body.size());
      out.push_back(*json::parse(answer.body.substr(at, end - at)));
      at = end + 1;
    }
    return out;
  };
  const auto all = lines("");
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(*all[0].string_at("cid"), alice.cid().str());
  EXPECT_EQ(*all[1].string_at("did"), plc::did_of(bob).str());
  EXPECT_EQ(*all[2].find("operation"), json::Value(alice2.to_json()));
  EXPECT_EQ(all[0].find("seq"), nullptr);

  EXPECT_EQ(lines("?count=2").size(), 2U);
  EXPECT_EQ(lines("?after=" + percent_encode(rfc3339(between))).size(), 2U) << "strictly after";
  EXPECT_EQ(lines("?count=5000").size(), 3U) << "more than 1000 means 1000";
  const auto by_seq = lines("?after=1");
  ASSERT_EQ(by_seq.size(), 2U);
  EXPECT_EQ(*by_seq[0].find("seq")->integer(), 2);

  // Walking page by page meets every operation once.
  std::vector<std::string> walked;
  std::string after;
  for (auto page = lines("?count=1"); !page.empty(); page = lines("?count=1&after=" + percent_encode(after)))
    for (const auto& line : page) {
      walked.push_back(*line.string_at("cid"));
      after = *line.string_at("createdAt");
    }
  EXPECT_EQ(walked, (std::vector<std::string>{alice.cid().str(), bob.cid().str(), alice2.cid().str()}));

  for (const auto* query : {"?count=0", "?count=-1", "?count=x", "?after=yesterday", "?count=1&count=2"}) {
    EXPECT_EQ(get(std::string("/export") + query).status, 400) << query;
    EXPECT_FALSE(get(std::string("/export") + query).message().empty());
  }
}

Task<void> submit_into(web::Router* router, std::string target, std::string body,
                       std::vector<int>* statuses) {
  const auto answer = co_await router->handle(web::Request::make("POST", target, std::move(body)));
  statuses->push_back(answer.status);
}

TEST_P(Directory, ExportsOperationsOfOneMomentTogether) {
  std::vector<int> statuses;
  InlineExecutor executor;
  for (const auto* handle : {"a.test", "b.test", "c.test"}) {
    const auto op = genesis(handle);
    executor.post([&, op] {
      spawn(submit_into(router.get(), "/" + plc::did_of(op).str(), json::Value(op.to_json()).dump(),
                        &statuses));
    });
  }
  executor.run_until([&] { return statuses.size() == 3; });
  EXPECT_EQ(statuses, (std::vector<int>{200, 200, 200}));
  const auto body = get("/export?count=1").body;
  EXPECT_EQ(std::ranges::count(body, '\n'), 2) << "a cursor cannot point between them";
}

TEST_P(Directory, TakesOneOfManyAtOnce) {
  const auto first = genesis();
  const Did did = plc::did_of(first);
  ASSERT_EQ(post(did, first).status, 200);
  std::vector<int> statuses;
  InlineExecutor executor;
  for (int i = 0; i < 8; ++i) {
    const auto op = update(first, "a" + std::to_string(i) + ".test", 2);
    executor.post([&, op] {
      spawn(submit_into(router.get(), "/" + did.str(), json::Value(op.to_json()).dump(), &statuses));
    });
  }
  executor.run_until([&] { return statuses.size() == 8; });
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(std::ranges::count(statuses, 400), 7) << "judged again after the first one";
  EXPECT_EQ(audit(did).size(), 2U);
}

TEST_P(Directory, TakesOneOfTwoFromTwoProcesses) {
  if (GetParam() != store::Engine::postgres) GTEST_SKIP() << "one process owns an SQLite file";
  const auto first = genesis();
  const Did did = plc::did_of(first);
  ASSERT_EQ(post(did, first).status, 200);
  const auto other_db = db->open_again();
  PlcDirectory other(*other_db, clock);
  web::Router other_router;
  other.add_routes(other_router);
  std::vector<int> statuses;
  InlineExecutor executor;
  for (int i = 0; i < 8; ++i) {
    const auto op = update(first, "a" + std::to_string(i) + ".test", 2);
    auto* to = i % 2 ? router.get() : &other_router;
    executor.post([&, op, to] {
      spawn(submit_into(to, "/" + did.str(), json::Value(op.to_json()).dump(), &statuses));
    });
  }
  executor.run_until([&] { return statuses.size() == 8; });
  EXPECT_EQ(std::ranges::count(statuses, 200), 1);
  EXPECT_EQ(audit(did).size(), 2U);
}

TEST_P(Directory, IsHealthyAndOpenToBrowsers) {
  EXPECT_EQ(*get("/_health").json().string_at("version"), "0.1.0");
  const auto response = run(router->handle(web::Request::make("GET", "/did:plc:ewvi7nxzyoun6zhxrhs64oiz")));
  EXPECT_EQ(response.headers.get("access-control-allow-origin"), "*");
  EXPECT_EQ(run(router->handle(web::Request::make("OPTIONS", "/did:plc:x"))).status, 200);
  EXPECT_EQ(run(router->handle(web::Request::make("DELETE", "/did:plc:x"))).status, 405);
}

INSTANTIATE_TEST_SUITE_P(Store, Directory, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::dev
