// GET /metrics: for the operator alone.
#include <gtest/gtest.h>

#include <regex>

#include "base/encoding.h"
#include "dev/world/world.h"

namespace latchkey::dev::world {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_password = "x7Qm2vR9tLpZ";

Page metrics(World& w, const std::string& credentials, std::string origin = {}) {
  web::Headers headers;
  if (!credentials.empty()) headers.add("authorization", "Basic " + base64(as_bytes(credentials)));
  if (origin.empty()) origin = w.options.pds;
  return w.send(web::Request::make("GET", origin + "/metrics", "", std::move(headers)));
}

Page metrics(World& w) { return metrics(w, std::string("admin:") + k_password); }

std::string value(const Page& page, const std::string& name) {
  std::smatch found;
  return std::regex_search(page.body, found, std::regex("\n" + name + "(?:\\{[^}]*\\})? ([^\n]+)\n"))
             ? found[1].str()
             : "";
}

TEST(Metrics, AreInPrometheusFormat) {
  World w({.admin_password = k_password});
  const Page page = metrics(w);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(page.header("cache-control"), "no-store");
  const std::regex line(
      R"(# HELP [a-z_]+ [^\n]+|# TYPE [a-z_]+ gauge|[a-z_]+(\{[a-z]+="[^"\\\n]*"\})? [0-9]+(\.[0-9]+)?(e[+-][0-9]+)?)");
  ASSERT_TRUE(page.body.ends_with('\n'));
  std::size_t lines = 0;
  for (std::size_t at = 0; at < page.body.size(); ++lines) {
    const auto end = page.body.find('\n', at);
    EXPECT_TRUE(std::regex_match(page.body.substr(at, end - at), line)) << page.body.substr(at, end - at);
    at = end + 1;
  }
  EXPECT_EQ(lines, 27u);
  EXPECT_TRUE(page.shows("latchkey_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_GT(std::stoll(value(page, "process_resident_memory_bytes")), 1'000'000);
}

class MetricsOf : public store::EngineTest {};

TEST_P(MetricsOf, Count) {
  World w({.engine = GetParam(), .admin_password = k_password, .rate_limits = web::RateLimitOptions{}});
  App app(w);
  Browser browser(w), waiting(w);
  EXPECT_EQ(value(metrics(w), "latchkey_accounts"), "0");
  sign_in(app, browser, "alice@example.com");
  const auto login = app.start();
  EXPECT_EQ(value(metrics(w), "latchkey_pending_flows"), "0") << "no browser came with it yet";
  waiting.get(app.authorize_url(login));
  w.clock.advance(90s);
  const Page page = metrics(w);
  EXPECT_EQ(value(page, "latchkey_accounts"), "1");
  EXPECT_EQ(value(page, "latchkey_pending_flows"), "1");
  EXPECT_EQ(value(page, "latchkey_backup_emails"), "0");
  EXPECT_EQ(value(page, "latchkey_mails_waiting"), "0");
  EXPECT_NE(value(page, "latchkey_rate_limit_entries"), "0");
  EXPECT_EQ(value(page, "latchkey_uptime_seconds"), "90");
  w.clock.advance(10min);
  EXPECT_EQ(value(metrics(w), "latchkey_pending_flows"), "0") << "given up";
}

INSTANTIATE_TEST_SUITE_P(Store, MetricsOf, store::engines(), store::engine_name);

TEST(Metrics, AttackSnooping_OnlyTheOperatorSeesThem) {
  World w({.admin_password = k_password});
  for (const std::string wrong : {"", "admin:", "admin", "admin:x7Qm2vR9tLp", "admin:x7Qm2vR9tLpZ ",
                                  "root:x7Qm2vR9tLpZ", ":x7Qm2vR9tLpZ"}) {
    const Page page = metrics(w, wrong);
    EXPECT_EQ(page.status, 401) << wrong;
    EXPECT_TRUE(page.header("www-authenticate").starts_with("Basic realm=")) << wrong;
    EXPECT_FALSE(page.shows("latchkey_")) << wrong;
  }
  EXPECT_EQ(metrics(w, std::string("admin:") + k_password, w.options.auth).status, 404) << "no page";
}

TEST(Metrics, AttackDefaults_WithoutAPasswordThereIsNothing) {
  World two, one(one_origin());
  for (World* w : {&two, &one})
    for (const char* credentials : {"", "admin:", "admin:admin"})
      EXPECT_EQ(metrics(*w, credentials).status, 404) << credentials;
}

}  // namespace
}  // namespace latchkey::dev::world
