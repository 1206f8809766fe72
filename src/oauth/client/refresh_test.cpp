// One refresh at a time, whoever asks: threads, two clients over one database, and a second process (this
// very program, started again). A spent refresh token must reach the server only as the repetition of a lost
// answer.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "oauth/client/client_world.h"
#include "oauth/client/database_stores.h"
#include "store/testing.h"

extern char** environ;  // NOLINT: what a child inherits

namespace latchkey::oauth::client {
namespace {

using namespace testing;
using std::chrono::seconds;

constexpr const char* k_token_url = "https://as.test/oauth/token";
constexpr const char* k_scope = "atproto transition:generic";

crypto::Sealer sealer() { return crypto::Sealer(Secret<Bytes>(Bytes(32, 7))); }

/// The network of a World, for several threads. An answer of the token endpoint waits until `go` says so.
class Shared final : public Fetch {
 public:
  explicit Shared(Network& net) : net_(net) {}
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override { co_return answer(request); }
  Result<FetchResponse, FetchError> answer(const FetchRequest& request) {
    std::unique_lock lock(mutex_);
    if (request.url == k_token_url) {
      ++arrived_;
      changed_.notify_all();
      changed_.wait_for(lock, seconds(5), [&] { return !waits_ || arrived_ > 1 || others_ > 0; });
    }
    return run(net_.fetch(request));
  }
  /// From here on the first token request is answered when somebody else was seen: at the lease, or with a
  /// token request of its own, which would be one too many.
  void new_round() {
    std::lock_guard lock(mutex_);
    waits_ = true;
    arrived_ = others_ = 0;
  }
  void saw_another() {
    std::lock_guard lock(mutex_);
    ++others_;
    changed_.notify_all();
  }

 private:
  Network& net_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool waits_ = false;
  int arrived_ = 0, others_ = 0;
};

/// Tells when a lease was taken by somebody else.
class Watched final : public SessionStore {
 public:
  Watched(SessionStore& store, std::function<void()> busy) : store_(store), busy_(std::move(busy)) {}
  Task<void> insert(SessionData data) override { return store_.insert(std::move(data)); }
  Task<std::optional<StoredSession>> load(std::string id) override { return store_.load(std::move(id)); }
  Task<bool> replace(SessionData data, std::int64_t version) override {
    if (dies_before_storing) throw std::runtime_error("the process is gone");
    co_return co_await store_.replace(std::move(data), version);
  }
  Task<bool> erase(std::string id) override { return store_.erase(std::move(id)); }
  Task<std::vector<std::string>> ids_of(Did sub) override { return store_.ids_of(std::move(sub)); }
  Task<bool> lease(std::string id, std::string owner, Time now, Time until) override {
    if (before_lease) std::exchange(before_lease, nullptr)();
    const bool taken = co_await store_.lease(std::move(id), std::move(owner), now, until);
    if (!taken) busy_();
    co_return taken;
  }
  Task<void> release(std::string id, std::string owner) override {
    if (dies_before_storing) co_return;
    co_await store_.release(std::move(id), std::move(owner));
  }
  bool dies_before_storing = false;
  std::function<void()> before_lease;  // once

 private:
  SessionStore& store_;
  std::function<void()> busy_;
};

std::string text(const Result<void, Fault>& r) {
  return r ? "ok" : r.error().message + " / " + r.error().detail;
}

// --- one process ---

class SharedSession : public store::EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    db.emplace(GetParam(), client_migrations());
    if (GetParam() == store::Engine::postgres) other_db = (*db).open_again();
    a.emplace(**db, sealer(), w.rng);
    b.emplace(other_db ? *other_db : **db, sealer(), w.rng);
    watched_a.emplace(*a, [this] { net.saw_another(); });
    watched_b.emplace(*b, [this] { net.saw_another(); });
    first.emplace(ClientOptions{.metadata = w.client.metadata()}, parts(*watched_a));
    second.emplace(ClientOptions{.metadata = w.client.metadata()}, parts(*watched_b));
    auto started = run(first->authorize("alice.test", {}));
    auto signed_in = run(first->callback(w.answer(*started), ""));
    ASSERT_TRUE(signed_in) << signed_in.error().detail;
    id = signed_in->session.id();
  }
  ClientParts parts(SessionStore& sessions) { return {net, w.resolver, w.clock, w.rng, w.states, sessions}; }
  void expect_one_rotation(int issued_before) {
    EXPECT_EQ(w.server.issued, issued_before + 1);
    EXPECT_EQ(w.server.replays, 0);
  }

  World w;
  Shared net{w.net};
  std::optional<store::TestDatabase> db;
  std::unique_ptr<store::Database> other_db;
  std::optional<DatabaseSessionStore> a, b;
  std::optional<Watched> watched_a, watched_b;
  std::optional<OauthClient> first, second;
  std::string id;
};

TEST_P(SharedSession, AttackParallelRefresh_TwoClientsOverOneDatabaseRotateOnce) {
  auto one = *run(first->restore(id));
  auto two = *run(second->restore(id));
  for (int round = 0; round < 3; ++round) {
    const int before = w.server.issued;
    net.new_round();
    Result<void, Fault> r1, r2;
    std::thread t1([&] { r1 = run(one.refresh()); });
    std::thread t2([&] { r2 = run(two.refresh()); });
    t1.join();
    t2.join();
    EXPECT_TRUE(r1) << text(r1);
    EXPECT_TRUE(r2) << text(r2);
    expect_one_rotation(before);
    EXPECT_EQ(run(one.call("GET", "com.example.echo", {}))->status, 200);
    EXPECT_EQ(run(two.call("GET", "com.example.echo", {}))->status, 200);
  }
}

TEST_P(SharedSession, AttackParallelRefresh_ManyThreadsRotateOnce) {
  const auto session = *run(first->restore(id));
  const int before = w.server.issued;
  net.new_round();
  constexpr int k_threads = 8;
  std::atomic<int> good = 0, started = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < k_threads; ++i)
    threads.emplace_back([&] {
      auto mine = session;
      if (++started == k_threads) net.saw_another();
      good += run(mine.refresh()).has_value();
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, k_threads);
  expect_one_rotation(before);
}

TEST_P(SharedSession, AttackParallelRefresh_LooksAgainWithTheLeaseInHand) {
  auto one = *run(first->restore(id));
  auto two = *run(second->restore(id));
  // Between our look at the store and our lease another client begins and ends.
  watched_a->before_lease = [&] { EXPECT_TRUE(run(two.refresh())); };
  EXPECT_TRUE(run(one.refresh()));
  expect_one_rotation(1);
  EXPECT_EQ(run(one.call("GET", "com.example.echo", {}))->status, 200);
}

TEST_P(SharedSession, RecoversWhenAProcessDiedBetweenAnswerAndStore) {
  w.server.grace = true;
  watched_a->dies_before_storing = true;
  auto dying = *run(first->restore(id));
  EXPECT_THROW((void)run(dying.refresh()), std::runtime_error);
  ASSERT_EQ(w.server.issued, 2) << "the server has rotated, and nobody knows the new token";
  auto next = *run(second->restore(id));
  // The lease of the dead is over after the time of one request and five seconds: well inside of the 30 s in
  // which our server gives the same answer again.
  w.clock.advance(seconds(15) - std::chrono::milliseconds(1));
  EXPECT_EQ(run(next.refresh()).error().code, Error::unreachable) << "perhaps it lives";
  w.clock.advance(std::chrono::milliseconds(1));
  const auto recovered = run(next.refresh());
  EXPECT_TRUE(recovered) << text(recovered);
  EXPECT_EQ(w.server.issued, 2);
  EXPECT_EQ(run(next.call("GET", "com.example.echo", {}))->status, 200);
  EXPECT_TRUE(run(next.refresh())) << "and the session goes on";
}

TEST_P(SharedSession, EndsCleanlyWhenTheDeadCannotBeReplaced) {
  watched_a->dies_before_storing = true;  // and the server has no grace, or it is over
  auto dying = *run(first->restore(id));
  EXPECT_THROW((void)run(dying.refresh()), std::runtime_error);
  auto next = *run(second->restore(id));
  w.clock.advance(seconds(15));
  EXPECT_EQ(run(next.refresh()).error().code, Error::session_ended);
  EXPECT_TRUE(run(b->ids_of(*Did::parse(k_alice))).empty());
}

INSTANTIATE_TEST_SUITE_P(Store, SharedSession, store::engines(), store::engine_name);

TEST(LostAnswer, IsAskedForOnceMoreAtOnce) {
  World w;
  w.server.grace = true;
  auto session = w.session();
  w.net.lost[k_token_url] = 1;
  const auto result = run(session.refresh());
  EXPECT_TRUE(result) << text(result);
  EXPECT_EQ(w.server.issued, 2) << "the same answer";
  EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200);
}

TEST(LostAnswer, LeavesTheSessionForLater) {
  World w;
  w.server.grace = true;
  auto session = w.session();
  w.net.requests.clear();
  w.net.lost[k_token_url] = 2;
  const auto fault = run(session.refresh()).error();
  EXPECT_EQ(fault.code, Error::unreachable);
  EXPECT_EQ(fault.network, FetchError::Kind::timeout);
  EXPECT_EQ(w.net.to(k_token_url).size(), 2U) << "once more, not more";
  EXPECT_EQ(w.stored_sessions(), 1U);
  EXPECT_TRUE(run(session.refresh())) << "inside of the grace";
  EXPECT_EQ(w.server.issued, 2);
}

TEST(LostAnswer, ABrokenAnswerIsALostOne) {
  World w;
  w.server.grace = true;
  auto session = w.session();
  const auto genuine = w.net.pages[k_token_url];
  w.net.pages[k_token_url] = [&](const FetchRequest& r) {
    auto answer = genuine(r);
    answer.body.pop_back();
    return answer;
  };
  EXPECT_EQ(run(session.refresh()).error().code, Error::unreachable);
  EXPECT_EQ(w.stored_sessions(), 1U);
  w.net.pages[k_token_url] = genuine;
  EXPECT_TRUE(run(session.refresh()));
}

TEST(LostAnswer, TroubleOnTheWayNeverEndsASession) {
  using Kind = FetchError::Kind;
  for (const auto* url : {k_token_url, "https://as.test/.well-known/oauth-authorization-server",
                          "https://pds.test/.well-known/oauth-protected-resource",
                          "https://plc.test/did:plc:ewvi7nxzyoun6zhxrhs64oiz"}) {
    for (const auto kind :
         {Kind::refused_by_guard, Kind::unreachable, Kind::timeout, Kind::too_large, Kind::bad_answer}) {
      World w;
      auto session = w.session();
      w.clock.advance(seconds(301));  // past what the client remembers of servers
      w.net.broken[url] = kind;
      (void)run(session.refresh());
      EXPECT_EQ(w.stored_sessions(), 1U) << url;
      w.net.broken.clear();
      EXPECT_EQ(run(session.call("GET", "com.example.echo", {}))->status, 200) << url;
    }
    for (const int status : {301, 403, 404, 429, 500, 502, 503}) {
      World w;
      auto session = w.session();
      w.clock.advance(seconds(301));
      const auto genuine = w.net.pages[url];
      w.net.pages[url] = [=](const FetchRequest&) { return json_answer(status, {}); };
      (void)run(session.refresh());
      EXPECT_EQ(w.stored_sessions(), 1U) << url << " " << status;
      w.net.pages[url] = genuine;
      EXPECT_TRUE(run(session.refresh())) << url << " " << status;
    }
  }
}

TEST(LeaseLost, NothingMoreIsSent) {
  // Our process slept through its lease, and another one has it: the second attempt is not ours to make.
  World w;
  auto session = w.session();
  w.net.requests.clear();
  w.server.nonce = "another";
  const auto genuine = w.net.pages[k_token_url];
  w.net.pages[k_token_url] = [&](const FetchRequest& r) {
    auto answer = genuine(r);
    w.clock.advance(seconds(15));
    EXPECT_TRUE(run(w.sessions.lease(session.id(), "other", w.clock.now(), w.clock.now() + seconds(15))));
    return answer;
  };
  EXPECT_EQ(run(session.refresh()).error().code, Error::unreachable);
  EXPECT_EQ(w.net.to(k_token_url).size(), 1U);
  EXPECT_EQ(w.stored_sessions(), 1U);
}

TEST(LeaseLost, ARefusalEndsNothingThatIsAnothers) {
  World w;
  auto session = w.session();
  w.server.live_refresh = "what the other one has just got";
  const auto genuine = w.net.pages[k_token_url];
  w.net.pages[k_token_url] = [&](const FetchRequest& r) {
    auto answer = genuine(r);
    w.clock.advance(seconds(15));
    EXPECT_TRUE(run(w.sessions.lease(session.id(), "other", w.clock.now(), w.clock.now() + seconds(15))));
    return answer;
  };
  EXPECT_EQ(run(session.refresh()).error().code, Error::unreachable);
  EXPECT_EQ(w.stored_sessions(), 1U) << "the other one is about to store it";
  w.net.pages[k_token_url] = genuine;
  w.clock.advance(seconds(15));
  EXPECT_EQ(run(session.refresh()).error().code, Error::session_ended) << "nobody did";
}

// --- a second process ---

/// Messages of JSON with their length in front, over a socket.
void write_message(int fd, const json::Value& value) {
  const std::string body = value.dump();
  std::string all = std::to_string(body.size()) + "\n" + body;
  for (std::string_view rest = all; !rest.empty();) {
    const auto n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}
std::optional<json::Value> read_message(int fd) {
  std::string digits, body;
  for (char c; ::recv(fd, &c, 1, 0) == 1 && c != '\n';) digits += c;
  if (digits.empty()) return std::nullopt;
  body.resize(std::stoul(digits));
  if (::recv(fd, body.data(), body.size(), MSG_WAITALL) != static_cast<ssize_t>(body.size()))
    return std::nullopt;
  auto value = json::parse(body);
  return value ? std::optional(*std::move(value)) : std::nullopt;
}

json::Object to_json(const FetchRequest& r) {
  json::Array headers;
  for (const auto& [name, value] : r.headers) headers.push_back(json::Array{name, value});
  return {{"method", r.method}, {"url", r.url}, {"headers", headers}, {"body", r.body}};
}
HeaderList headers_from(const json::Value& message) {
  HeaderList headers;
  for (const auto& h : *message.find("headers")->array())
    headers.emplace_back(*(*h.array())[0].string(), *(*h.array())[1].string());
  return headers;
}

/// The child's network: its parent.
class Through final : public Fetch {
 public:
  explicit Through(int fd) : fd_(fd) {}
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override {
    write_message(fd_, json::Object{{"fetch", to_json(request)}});
    const auto answer = read_message(fd_);
    if (!answer) co_return fail(FetchError{FetchError::Kind::unreachable, "the parent is gone"});
    co_return FetchResponse{static_cast<int>(*answer->find("status")->integer()), headers_from(*answer),
                            *answer->string_at("body")};
  }

 private:
  int fd_;
};

std::unique_ptr<store::Database> open_by_name(const std::string& location, const std::string& schema) {
  if (schema.empty()) return store::open_sqlite(location);
  return store::open_postgres(location, {.connections = 2, .schema = schema});
}

/// What the second process runs: refreshes when told, and says how it went.
TEST(SecondProcess, DISABLED_Runs) {
  const int fd = std::stoi(std::getenv("LATCHKEY_TEST_FD"));
  const auto db = open_by_name(std::getenv("LATCHKEY_TEST_DB"), std::getenv("LATCHKEY_TEST_SCHEMA"));
  FakeClock clock;
  OsRng rng;
  Through net(fd);
  identity::Resolver resolver({.plc_url = "https://plc.test", .development = true}, net, nullptr, clock);
  MemoryStateStore states;
  DatabaseSessionStore store(*db, sealer(), rng);
  Watched sessions(store, [&] { write_message(fd, json::Object{{"busy", true}}); });
  OauthClient client({.metadata = *ClientMetadata::loopback({k_redirect}, k_scope)},
                     {net, resolver, clock, rng, states, sessions});
  auto session = *run(client.restore(std::getenv("LATCHKEY_TEST_SESSION")));
  while (const auto order = read_message(fd)) {
    const auto refreshed = run(session.refresh());
    const auto answer = run(session.call("GET", "com.example.echo", {}));
    write_message(fd, json::Object{{"result", text(refreshed)}, {"status", answer ? answer->status : 0}});
  }
}

class TwoProcesses : public store::EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    if (GetParam() == store::Engine::postgres) {
      postgres.emplace(GetParam(), client_migrations());
      location = store::test_postgres();
      schema = postgres->schema();
    } else {
      folder = ::testing::TempDir() + "latchkey-refresh-" + std::to_string(getpid());
      std::filesystem::create_directory(folder);
      location = folder + "/db";
      store::migrate(*store::open_sqlite(location), client_migrations());
    }
    db = open_by_name(location, schema);
    store.emplace(*db, sealer(), w.rng);
    watched.emplace(*store, [this] { net.saw_another(); });
    client.emplace(ClientOptions{.metadata = w.client.metadata()},
                   ClientParts{net, w.resolver, w.clock, w.rng, w.states, *watched});
    auto started = run(client->authorize("alice.test", {}));
    session.emplace(run(client->callback(w.answer(*started), ""))->session);
    start_child();
  }
  void TearDown() override {
    if (child > 0) {
      ::close(fd);
      int status = 0;
      ::waitpid(child, &status, 0);
      if (!killed) {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
      }
    }
    db.reset();
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
  void start_child() {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ::fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fd = pair[0];
    std::vector<std::string> env{"LATCHKEY_TEST_FD=" + std::to_string(pair[1]),
                                 "LATCHKEY_TEST_DB=" + location, "LATCHKEY_TEST_SCHEMA=" + schema,
                                 "LATCHKEY_TEST_SESSION=" + session->id()};
    for (char** e = environ; *e; ++e) env.emplace_back(*e);
    std::vector<char*> envp, argv;
    for (auto& e : env) envp.push_back(e.data());
    envp.push_back(nullptr);
    std::vector<std::string> args{"refresh_test", "--gtest_filter=SecondProcess.DISABLED_Runs",
                                  "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
    for (auto& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    ASSERT_EQ(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), envp.data()), 0);
    ::close(pair[1]);
  }
  /// Serves the child until it reports.
  std::optional<json::Value> serve() {
    while (auto message = read_message(fd)) {
      if (message->find("result")) return message;
      if (message->find("busy")) {
        net.saw_another();
        continue;
      }
      const auto& asked = *message->find("fetch");
      FetchRequest request{.method = *asked.string_at("method"),
                           .url = *asked.string_at("url"),
                           .headers = headers_from(asked),
                           .body = *asked.string_at("body")};
      const auto answer = net.answer(request);
      if (kill_instead_of_answering && request.url == k_token_url && answer->status == 200) {
        ::kill(child, SIGKILL);
        killed = true;
        return std::nullopt;
      }
      json::Array headers;
      for (const auto& [name, value] : answer->headers) headers.push_back(json::Array{name, value});
      write_message(fd,
                    json::Object{{"status", answer->status}, {"headers", headers}, {"body", answer->body}});
    }
    return std::nullopt;
  }

  World w;
  Shared net{w.net};
  std::string folder, location, schema;
  std::optional<store::TestDatabase> postgres;
  std::unique_ptr<store::Database> db;
  std::optional<DatabaseSessionStore> store;
  std::optional<Watched> watched;
  std::optional<OauthClient> client;
  std::optional<Session> session;
  pid_t child = 0;
  int fd = -1;
  bool killed = false, kill_instead_of_answering = false;
};

TEST_P(TwoProcesses, AttackParallelRefresh_RotateOnceAndBothHaveAWorkingToken) {
  for (int round = 0; round < 5; ++round) {
    const int before = w.server.issued;
    net.new_round();
    Result<void, Fault> mine;
    std::thread here([&] { mine = run(session->refresh()); });
    write_message(fd, json::Object{{"refresh", round}});
    const auto theirs = serve();
    here.join();
    EXPECT_TRUE(mine) << text(mine);
    ASSERT_TRUE(theirs);
    EXPECT_EQ(*theirs->string_at("result"), "ok");
    EXPECT_EQ(*theirs->find("status")->integer(), 200);
    EXPECT_EQ(run(session->call("GET", "com.example.echo", {}))->status, 200);
    EXPECT_EQ(w.server.issued, before + 1) << "one rotation";
    EXPECT_EQ(w.server.replays, 0);
  }
}

TEST_P(TwoProcesses, RecoverFromAKillBetweenAnswerAndStore) {
  w.server.grace = true;
  kill_instead_of_answering = true;
  write_message(fd, json::Object{{"refresh", 1}});
  EXPECT_FALSE(serve());
  ASSERT_TRUE(killed);
  ASSERT_EQ(w.server.issued, 2);
  w.clock.advance(seconds(15));
  const auto recovered = run(session->refresh());
  EXPECT_TRUE(recovered) << text(recovered);
  EXPECT_EQ(w.server.issued, 2) << "the answer that died with the other process";
  EXPECT_EQ(run(session->call("GET", "com.example.echo", {}))->status, 200);
}

INSTANTIATE_TEST_SUITE_P(Store, TwoProcesses, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::oauth::client
