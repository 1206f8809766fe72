// latchkey_load: what a request costs the server, measured from outside over the loopback interface.
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "people.h"

namespace latchkey::bench {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string server, filter;
  std::size_t scale = 1;   // times as many requests
  std::size_t rounds = 3;  // of each case; the cheapest is printed
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "latchkey-load-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string path() const { return path_; }
  std::uintmax_t size_of(const std::string& prefix) const {
    std::uintmax_t sum = 0;
    for (const auto& entry : fs::directory_iterator(path_))
      if (entry.path().filename().string().starts_with(prefix)) sum += entry.file_size();
    return sum;
  }

 private:
  std::string path_;
};

// How fast the machine is right now: a neighbour on the same processor makes every figure larger. The budget
// was set where one ES256 verification takes 82 µs.
void print_speed() {
  OsRng rng;
  const auto key = crypto::PrivateKey::generate(crypto::Curve::p256, rng);
  const auto pub = key.public_key();
  const Bytes message(200, 'x');
  const auto signature = key.sign(message);
  const auto thread_us = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
  };
  std::vector<double> took;
  for (int i = 0; i < 1000; ++i) {
    const double before = thread_us();
    if (!pub.verify(message, signature, crypto::HighS::accept))
      throw std::runtime_error("a signature does not verify");
    took.push_back(thread_us() - before);
  }
  std::ranges::sort(took);
  fmt::print("ES256 verification here and now: {:.0f} µs of CPU; the budget assumes 82.\n",
             took[took.size() / 2]);
}

// The columns of DESIGN's budget; empty where it sets none.
void print_head() {
  fmt::print("{:<48} {:>8} {:>9} {:>10} {:>8} {:>6} {:>9} {:>9}\n", "case", "requests", "requests/s",
             "CPU µs/req", "budget", "ratio", "p50 ms", "p99 ms");
}
std::string ratio_text(double measured, std::optional<double> budget) {
  return budget ? fmt::format("{:.2f}{}", measured / *budget, measured > *budget ? "!" : " ") : "";
}
void print_row(const std::string& name, const Figures& f, std::optional<double> budget = {}) {
  const auto ms = [](std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1e6; };
  fmt::print("{:<48} {:>8} {:>9.0f} {:>10.1f} {:>8} {:>6} {:>9.2f} {:>9.2f}\n", name, f.requests,
             f.per_second(), f.cpu_us(), budget ? fmt::format("{:.0f}", *budget) : "",
             ratio_text(f.cpu_us(), budget), ms(f.percentile(0.5)), ms(f.percentile(0.99)));
  std::fflush(stdout);
}
void print_value(const std::string& name, double value, std::string_view unit,
                 std::optional<double> budget = {}) {
  fmt::print("{:<48} {:>8.1f} {:<20} {:>8} {:>6}\n", name, value, unit,
             budget ? fmt::format("{:.0f}", *budget) : "", ratio_text(value, budget));
  std::fflush(stdout);
}

class Cases {
 public:
  explicit Cases(Options options)
      : options_(std::move(options)),
        server_(options_.server, data_.path()),
        host_(server_.pds_host()),
        driver_(server_),
        app_(server_, rng_, clock_) {}

  void run() {
    print_head();
    try {
      reading();
      blobs();
      sessions();
      writing();
      oauth();
    } catch (const std::exception& e) {
      throw std::runtime_error(std::string(e.what()) + "\nThe server said:\n" +
                               ServerProcess::complaints(data_.path()));
    }
  }

 private:
  bool wanted(std::string_view name) const { return name.find(options_.filter) != std::string_view::npos; }
  // The cheapest of some rounds: what disturbs a round only ever adds to it.
  template <class F>
  Figures best(F round) {
    Figures found = round();
    for (std::size_t i = 1; i < options_.rounds; ++i)
      if (Figures next = round(); next.cpu_us() < found.cpu_us()) found = std::move(next);
    return found;
  }
  Figures best(const Load& load, const Script& script) {
    return best([&] { return driver_.run(load, script); });
  }
  // 8 connections; the same request again and again.
  void repeat(const std::string& name, std::optional<double> budget, std::size_t each,
              const std::string& request) {
    const auto script = [&](std::size_t, std::size_t, const Answer*) { return request; };
    driver_.run({.each = std::max<std::size_t>(1, each / 20)}, script);  // warm
    print_row(name, best({.each = each * options_.scale}, script), budget);
  }
  std::string get(const std::string& target, const std::string& headers = {}) const {
    return request_text("GET", host_, target, headers);
  }
  std::string post(const std::string& target, const std::string& headers,
                   const std::string& body = {}) const {
    return request_text("POST", host_, target, headers, body);
  }
  std::string fresh_name() { return fmt::format("load{}", ++names_); }
  Account fresh_account() { return create_account(driver_.connection(0), host_, fresh_name()); }

  const Account& small() {
    if (!small_) {
      small_ = fresh_account();
      write_posts(driver_.connection(0), host_, *small_, 60);
    }
    return *small_;
  }
  const Account& large() {  // 2,000 records
    if (!large_) {
      large_ = fresh_account();
      write_posts(driver_.connection(0), host_, *large_, 2000);
    }
    return *large_;
  }
  std::vector<Account>& crowd() {
    while (crowd_.size() < 64) crowd_.push_back(fresh_account());
    return crowd_;
  }
  std::vector<Person>& people() {  // signed in
    if (people_.empty()) {
      for (int i = 0; i < 32; ++i) people_.emplace_back(fresh_name() + "@example.com", rng_);
      const auto steps = app_.sign_in(driver_, people_);
      if (wanted("login")) print_login("login by e-mail code, new account", steps, {});
    }
    return people_;
  }

  void reading() {
    if (wanted("_health")) repeat("_health", 8, 2000, get("/xrpc/_health"));
    if (wanted("resolveHandle"))
      repeat("resolveHandle (local)", 12, 1500,
             get("/xrpc/com.atproto.identity.resolveHandle?handle=" + small().handle));
    if (wanted("getRecord") || wanted("listRecords")) {
      const auto list =
          "/xrpc/com.atproto.repo.listRecords?repo=" + small().did + "&collection=app.bsky.feed.post";
      const auto page = expect_json(driver_.connection(0).ask(get(list)));
      const auto* records = page.find("records");
      if (!records || !records->array() || records->array()->empty())
        throw std::runtime_error("listRecords gives no records");
      const auto uri = string_of(records->array()->front(), "uri");
      if (wanted("getRecord"))
        repeat("getRecord", 20, 1500,
               get("/xrpc/com.atproto.repo.getRecord?repo=" + small().did +
                   "&collection=app.bsky.feed.post&rkey=" + uri.substr(uri.rfind('/') + 1)));
      if (wanted("listRecords")) repeat("listRecords (50)", 100, 400, get(list + "&limit=50"));
    }
    if (wanted("getRepo"))
      repeat("getRepo, 2,000 records", 1000, 15, get("/xrpc/com.atproto.sync.getRepo?did=" + large().did));
  }

  void blobs() {
    if (!wanted("Blob")) return;
    const auto& account = small();
    const std::string upload = "/xrpc/com.atproto.repo.uploadBlob";
    const std::string headers = "Content-Type: application/octet-stream\r\n" + bearer(account.access_jwt);
    if (wanted("uploadBlob 100 KB")) {
      // Each of its own, and few: a thousand that no record refers to are the limit.
      std::size_t n = 0;
      const auto script = [&](std::size_t, std::size_t, const Answer*) {
        return post(upload, headers, std::to_string(++n) + std::string(100'000, 'b'));
      };
      driver_.run({.each = 5}, script);
      print_row("uploadBlob 100 KB", best({.each = 20}, script), 250);
    }
    if (wanted("getBlob 1 MB")) {
      const auto kept =
          expect_json(driver_.connection(0).ask(post(upload, headers, std::string(1'000'000, 'b'))));
      const json::Object record{{"repo", account.did},
                                {"collection", "com.example.file"},
                                {"record", json::Object{{"file", *kept.find("blob")}}}};
      const auto written = driver_.connection(0).ask(
          post("/xrpc/com.atproto.repo.createRecord", std::string(k_json_type) + bearer(account.access_jwt),
               json::Value(record).dump()));
      expect_json(written);
      repeat("getBlob 1 MB", 250, 50,
             get("/xrpc/com.atproto.sync.getBlob?did=" + account.did +
                 "&cid=" + string_of(*kept.find("blob")->find("ref"), "$link")));
    }
  }

  void sessions() {
    if (wanted("getSession (Bearer)"))
      repeat("getSession (Bearer)", 15, 1500,
             get("/xrpc/com.atproto.server.getSession", bearer(small().access_jwt)));
    if (wanted("refreshSession")) {
      auto& accounts = crowd();
      const auto figures =
          best({.each = 60 * options_.scale,
                .seen =
                    [&](std::size_t c, std::size_t, const Answer& answer) {
                      accounts[c].refresh_jwt = string_of(expect_json(answer), "refreshJwt");
                    }},
               [&](std::size_t c, std::size_t, const Answer*) {
                 return post("/xrpc/com.atproto.server.refreshSession", bearer(accounts[c].refresh_jwt));
               });
      crowd_.clear();  // their tokens are used up
      print_row("refreshSession", figures, 80);
    }
  }

  void writing() {
    const std::string create = "/xrpc/com.atproto.repo.createRecord";
    if (wanted("createRecord, many accounts")) {
      auto& accounts = crowd();
      const auto script = [&](std::size_t c, std::size_t i, const Answer*) {
        const auto& account = accounts[(c + 8 * i) % accounts.size()];
        return post(create, std::string(k_json_type) + bearer(account.access_jwt), post_body(account, i));
      };
      driver_.run({.each = 20}, script);
      print_row("createRecord, many accounts, 8 connections", best({.each = 200 * options_.scale}, script),
                130);
    }
    if (wanted("createRecord, one account")) {
      const auto& account = large();
      const auto script = [&](std::size_t, std::size_t i, const Answer*) {
        return post(create, std::string(k_json_type) + bearer(account.access_jwt), post_body(account, i));
      };
      driver_.run({.each = 10}, script);
      print_row("createRecord, one account of 2,000 records, 8 c.",
                best({.each = 100 * options_.scale}, script), 150);
      print_row("createRecord, one account of 2,000 records, 1 c.",
                best({.connections = 1, .each = 200 * options_.scale}, script), 150);
    }
    if (wanted("applyWrites")) {
      auto& accounts = crowd();
      json::Array writes;
      for (std::size_t i = 0; i < 50; ++i)
        writes.push_back(json::Object{{"$type", "com.atproto.repo.applyWrites#create"},
                                      {"collection", "app.bsky.feed.post"},
                                      {"value", post_record(i)}});
      std::vector<std::string> requests;
      for (std::size_t c = 0; c < 8; ++c)
        requests.push_back(post(
            "/xrpc/com.atproto.repo.applyWrites", std::string(k_json_type) + bearer(accounts[c].access_jwt),
            json::Value(json::Object{{"repo", accounts[c].did}, {"writes", writes}}).dump()));
      print_row("applyWrites, 50 creates",
                best({.each = 10 * options_.scale},
                     [&](std::size_t c, std::size_t, const Answer*) { return requests[c]; }),
                1000);
    }
  }

  // Requests made before the clock starts: proofs are the client's cost. A nonce ages, so each round asks
  // anew.
  Figures prepared(
      Load load,
      const std::function<std::string(std::size_t c, std::size_t i, const std::string& nonce)>& make) {
    load.each *= options_.scale;
    return best([&] {
      const auto nonce = app_.nonce(driver_.connection(0));
      std::vector<std::vector<std::string>> requests(load.connections);
      for (std::size_t c = 0; c < load.connections; ++c)
        for (std::size_t i = 0; i < load.each; ++i) requests[c].push_back(make(c, i, nonce));
      return driver_.run(load, [&](std::size_t c, std::size_t i, const Answer*) { return requests[c][i]; });
    });
  }

  void oauth() {
    if (wanted("PAR")) {
      Person person("", rng_);
      print_row("PAR",
                prepared({.each = 100, .expected_status = 201},
                         [&](std::size_t, std::size_t, const std::string& nonce) {
                           return app_.pushed_request(person, nonce);
                         }),
                120);
    }
    if (wanted("refresh grant")) {
      auto& users = people();
      const std::size_t each = 60 * options_.scale;
      const auto figures = best([&] {
        const auto nonce = app_.nonce(driver_.connection(0));
        std::vector<std::vector<std::string>> proofs(8);
        for (std::size_t c = 0; c < 8; ++c)
          for (std::size_t i = 0; i < each; ++i)
            proofs[c].push_back(app_.proof(users[c], "POST", "/oauth/token", nonce));
        const auto keep = [&](std::size_t c, std::size_t, const Answer& answer) {
          const auto tokens = expect_json(answer);
          users[c].access_token = string_of(tokens, "access_token");
          users[c].refresh_token = string_of(tokens, "refresh_token");
        };
        return driver_.run({.each = each, .seen = keep}, [&](std::size_t c, std::size_t i, const Answer*) {
          return app_.token_request(proofs[c][i], app_.refresh_form(users[c].refresh_token));
        });
      });
      print_row("refresh grant with DPoP", figures, 170);
    }
    if (wanted("getSession with DPoP")) {
      const std::string path = "/xrpc/com.atproto.server.getSession";
      auto& users = people();
      print_row("getSession with DPoP",
                prepared({.each = 100},
                         [&](std::size_t c, std::size_t, const std::string& nonce) {
                           return get(path, app_.resource_headers(users[c], "GET", path, nonce));
                         }),
                100);
    }
    if (wanted("createRecord with DPoP")) {
      const std::string path = "/xrpc/com.atproto.repo.createRecord";
      auto& users = people();
      print_row(
          "createRecord with DPoP",
          prepared({.each = 100},
                   [&](std::size_t c, std::size_t i, const std::string& nonce) {
                     const auto& user = users[c];
                     return post(
                         path, std::string(k_json_type) + app_.resource_headers(user, "POST", path, nonce),
                         post_body({.did = user.did, .handle = {}, .access_jwt = {}, .refresh_jwt = {}}, i));
                   }),
          220);
    }
    if (wanted("login"))
      print_login("login by e-mail code, known account", app_.sign_in(driver_, people()), 1200);
  }

  static Figures sum(const std::vector<App::Step>& steps) {
    Figures whole;
    for (const auto& step : steps) {
      whole.server_cpu += step.figures.server_cpu;
      whole.wall += step.figures.wall;
      whole.requests = step.figures.requests;  // logins
    }
    return whole;
  }
  void print_login(const std::string& name, const std::vector<App::Step>& steps,
                   std::optional<double> budget) {
    for (const auto& step : steps) print_row("  " + step.name, step.figures);
    print_row(name, sum(steps), budget);
  }

  Options options_;
  TemporaryFolder data_;
  OsRng rng_;
  SystemClock clock_;
  ServerProcess server_;
  std::string host_;
  Driver driver_;
  App app_;
  std::size_t names_ = 0;
  std::optional<Account> small_, large_;
  std::vector<Account> crowd_;
  std::vector<Person> people_;
};

void footprint(const Options& options) {
  const auto wanted = [&](std::string_view name) {
    return name.find(options.filter) != std::string_view::npos;
  };
  if (!wanted("start") && !wanted("memory") && !wanted("disk")) return;
  TemporaryFolder data;
  const auto first_answer = [&] {
    const auto begin = std::chrono::steady_clock::now();
    ServerProcess server(options.server, data.path());
    Connection connection(server.pds_port());
    expect_json(connection.ask(request_text("GET", server.pds_host(), "/xrpc/_health", "")));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    return took.count();
  };
  const double first = first_answer();  // makes secrets and tables
  if (wanted("start")) {
    print_value("first start ever, to first answer", first, "ms");
    std::vector<double> starts;
    for (int i = 0; i < 7; ++i) starts.push_back(first_answer());
    std::sort(starts.begin(), starts.end());
    print_value("start to first answer", starts[starts.size() / 2], "ms", 50);
  }
  {
    ServerProcess server(options.server, data.path());
    Connection connection(server.pds_port());
    expect_json(connection.ask(request_text("GET", server.pds_host(), "/xrpc/_health", "")));
    if (wanted("memory")) {
      print_value("resident memory idle", static_cast<double>(server.resident_kib()) / 1024, "MiB", 15);
      print_value("  of it the program's own pages",
                  static_cast<double>(server.resident_kib("RssAnon")) / 1024, "MiB");
    }
  }
  if (wanted("disk")) {
    // From 100 accounts to 600: whole files, the server ended, so that nothing waits in a log.
    std::uintmax_t before = 0;
    constexpr int k_few = 100, k_many = 600;
    for (int upto : {k_few, k_many}) {
      {
        ServerProcess server(options.server, data.path());
        Connection connection(server.pds_port());
        for (int i = upto == k_few ? 0 : k_few; i < upto; ++i)
          create_account(connection, server.pds_host(), fmt::format("disk{}", i));
      }
      const auto size = data.size_of("pds.sqlite");
      if (upto == k_many)
        print_value("disk per empty account, events and one session",
                    static_cast<double>(size - before) / 1024 / (k_many - k_few), "KiB", 4);
      before = size;
    }
  }
}

int usage() {
  fmt::print(stderr,
             "usage: latchkey_load --server <latchkey binary> [--scale <n>] [--rounds <n>] [filter]\n"
             "  filter: only cases whose name contains it\n"
             "  --scale: n times as many requests\n"
             "  --rounds: the cheapest of n (3) is printed\n");
  return 2;
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--server" && i + 1 < argc)
      options.server = argv[++i];
    else if (word == "--scale" && i + 1 < argc)
      options.scale = std::max(1, std::atoi(argv[++i]));
    else if (word == "--rounds" && i + 1 < argc)
      options.rounds = std::max(1, std::atoi(argv[++i]));
    else if (!word.starts_with("--") && options.filter.empty())
      options.filter = word;
    else
      return usage();
  }
  if (options.server.empty()) return usage();
  ::signal(SIGPIPE, SIG_IGN);
  try {
    print_speed();
    Cases(options).run();
    footprint(options);
    print_speed();
  } catch (const std::exception& e) {
    fmt::print(stderr, "latchkey_load: {}\n", e.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace latchkey::bench

int main(int argc, char** argv) { return latchkey::bench::run(argc, argv); }
