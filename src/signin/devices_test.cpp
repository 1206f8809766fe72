#include "signin/devices.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "signin/agent.h"
#include "signin/schema.h"
#include "store/testing.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;

constexpr std::string_view k_cookie = "__Host-latchkey_device";
constexpr std::string_view k_firefox =
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

Secret<Bytes> key(std::uint8_t byte) { return Secret<Bytes>(Bytes(32, byte)); }

Task<void> ask(Devices* devices, web::Request request, std::optional<Visit>* out, int* left) {
  *out = co_await devices->visit(std::move(request));
  --*left;
}

class DevicesTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), migrations());
    devices_ = std::make_unique<Devices>(**db_, clock_, rng_, key(1), true);
  }
  static web::Request request(const std::string& cookie, std::string ip = "192.0.2.1") {
    web::Headers headers{{"user-agent", std::string(k_firefox)}};
    if (!cookie.empty()) headers.add("cookie", fmt::format("{}={}", k_cookie, cookie));
    auto made = web::Request::make("GET", "https://auth.pds.test/account", "", std::move(headers));
    made.remote_ip = std::move(ip);
    return made;
  }
  std::optional<Visit> visit(const std::string& cookie) { return run(devices_->visit(request(cookie))); }
  Visit sign_in(const std::string& cookie, std::string did, Stay stay = Stay::signed_in) {
    return run(devices_->sign_in(request(cookie), std::move(did), stay, "email"));
  }
  std::vector<std::string> dids(const std::string& device) {
    std::vector<std::string> out;
    for (const auto& a : run(devices_->accounts(device))) out.push_back(a.did);
    return out;
  }
  using Dids = std::vector<std::string>;
  std::int64_t rows(const store::Sql& count) {
    return run((*db_)->read([&](store::Tx& tx) { return tx.one(count)->int64(0); }));
  }
  std::int64_t device_rows() { return rows("SELECT count(*) FROM signin_device"); }
  std::int64_t account_rows() { return rows("SELECT count(*) FROM signin_device_account"); }

  FakeClock clock_;
  SeededRng rng_;
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<Devices> devices_;
};

TEST_P(DevicesTest, ASignInMakesADeviceAndItsCookieFindsIt) {
  const Visit made = sign_in("", "did:plc:alice");
  ASSERT_TRUE(made.cookie.has_value());
  const auto again = visit(*made.cookie);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->device, made.device);
  EXPECT_FALSE(again->cookie.has_value()) << "nothing to change yet";
  const auto accounts = run(devices_->accounts(made.device));
  ASSERT_EQ(accounts.size(), 1u);
  EXPECT_EQ(accounts[0].did, "did:plc:alice");
  EXPECT_EQ(accounts[0].proven_at, clock_.now());
  EXPECT_EQ(accounts[0].last_used_at, clock_.now());
  EXPECT_EQ(accounts[0].expires_at, clock_.now() + 7 * 24h);
  EXPECT_TRUE(accounts[0].remembered);
}

TEST_P(DevicesTest, ASignInTellsWhetherTheAccountIsNewToTheBrowserAndWhatProvedIt) {
  const Visit first = sign_in("", "did:plc:alice");
  EXPECT_TRUE(first.new_here);
  const Visit again = sign_in(*first.cookie, "did:plc:alice");
  EXPECT_FALSE(again.new_here);
  EXPECT_TRUE(sign_in(*again.cookie, "did:plc:bob").new_here) << "another account";
  EXPECT_TRUE(sign_in("", "did:plc:alice").new_here) << "another browser";
  EXPECT_EQ(run(devices_->accounts(first.device)).at(0).proven_by, "email");
}

TEST_P(DevicesTest, CookiesThatAreNotOursMakeNoRowAndFindNone) {
  const Visit made = sign_in("", "did:plc:alice");
  Devices other(**db_, clock_, rng_, key(2), true);
  const std::string cookie = *made.cookie, id = made.device, mac = cookie.substr(cookie.rfind('.') + 1);
  for (const std::string& odd :
       {std::string(), std::string("x"), std::string("."), std::string(".."), id, id + ".1", id + ".1.",
        id + ".1." + std::string(43, 'A'), id + ".2." + mac, id + ".0." + mac, id + "..", id + ".+1." + mac,
        id + ".01." + mac, id + ".99999999999999999999." + mac, cookie + "x", cookie + ".x", cookie.substr(1),
        std::string(5000, 'a')}) {
    EXPECT_FALSE(visit(odd).has_value()) << odd;
  }
  EXPECT_FALSE(run(other.visit(request(cookie))).has_value()) << "another server's key";
  EXPECT_TRUE(visit(cookie).has_value()) << "nothing ended";
  EXPECT_EQ(device_rows(), 1);
}

TEST_P(DevicesTest, TheCookieIsHostOnlySecureHttpOnlyLaxFor400Days) {
  web::Response response;
  devices_->set_cookie(response, {"d", "id.1.mac"});
  EXPECT_EQ(response.headers.get("set-cookie"),
            "__Host-latchkey_device=id.1.mac; Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Lax");
  web::Response unchanged;
  devices_->set_cookie(unchanged, {"d", std::nullopt});
  EXPECT_FALSE(unchanged.headers.has("set-cookie"));
  web::Response plain;
  Devices(**db_, clock_, rng_, key(1), false).set_cookie(plain, {"d", "id.1.mac"});
  EXPECT_EQ(plain.headers.get("set-cookie"),
            "latchkey_device=id.1.mac; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax");
}

TEST_P(DevicesTest, TheDatabaseHoldsNoSecret) {
  const Visit made = sign_in("", "did:plc:alice");
  const std::string mac = made.cookie->substr(made.cookie->rfind('.') + 1);
  EXPECT_EQ(rows("SELECT count(*) FROM signin_device WHERE generation = 1"), 1);
  const bool found = run((*db_)->read([&](store::Tx& tx) {
    static constexpr store::Sql k_all{"SELECT id, agent FROM signin_device"};
    const auto row = tx.one(k_all);
    return row->text(0).find(mac) != std::string::npos || row->text(1).find(mac) != std::string::npos;
  }));
  EXPECT_FALSE(found);
}

// --- Rotation

TEST_P(DevicesTest, TheSecretChangesOnceADay) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h - 1us);
  EXPECT_FALSE(visit(*made.cookie)->cookie.has_value());
  clock_.advance(1us);
  const auto rotated = visit(*made.cookie);
  ASSERT_TRUE(rotated && rotated->cookie);
  EXPECT_NE(*rotated->cookie, *made.cookie);
  EXPECT_EQ(rotated->device, made.device);
  EXPECT_FALSE(visit(*rotated->cookie)->cookie.has_value());
  EXPECT_EQ(dids(made.device), Dids{"did:plc:alice"});
}

TEST_P(DevicesTest, TwoTabsDuringARotationBothGoOnForAMinute) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  const auto first = visit(*made.cookie), second = visit(*made.cookie);
  ASSERT_TRUE(first && second && first->cookie && second->cookie);
  EXPECT_EQ(*first->cookie, *second->cookie) << "whichever answer arrives last, the browser has the newest";
  clock_.advance(60s);
  ASSERT_TRUE(visit(*made.cookie).has_value());
  EXPECT_EQ(visit(*made.cookie)->cookie, first->cookie) << "an answer lost on its way is given again";
  EXPECT_TRUE(visit(*first->cookie).has_value());
}

TEST_P(DevicesTest, RequestsAtOnceRotateOnce) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  InlineExecutor executor;
  constexpr int k_requests = 20;
  std::vector<std::optional<Visit>> answers(k_requests);
  int left = k_requests;
  for (auto& answer : answers)
    executor.post([task = ask(devices_.get(), request(*made.cookie), &answer, &left)]() mutable {
      spawn(std::move(task));
    });
  executor.run_until([&] { return left == 0; });
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer && answer->cookie);
    EXPECT_EQ(*answer->cookie, *answers[0]->cookie);
  }
  EXPECT_EQ(rows("SELECT generation FROM signin_device"), 2);
}

TEST_P(DevicesTest, AttackTheft_AnOldSecretEndsEverySignInOfTheDevice) {
  const Visit made = sign_in("", "did:plc:alice");
  const Visit elsewhere = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  const auto rotated = visit(*made.cookie);
  clock_.advance(60s + 1us);
  EXPECT_FALSE(visit(*made.cookie).has_value());
  EXPECT_FALSE(visit(*rotated->cookie).has_value()) << "thief or victim: both are out";
  EXPECT_TRUE(dids(made.device).empty());
  EXPECT_EQ(dids(elsewhere.device), Dids{"did:plc:alice"}) << "other devices stay";
  EXPECT_EQ(account_rows(), 1);
}

TEST_P(DevicesTest, AttackTheft_TwoGenerationsBackIsOldAtOnce) {
  Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  const auto second = visit(*made.cookie);
  clock_.advance(24h);
  const auto third = visit(*second->cookie);
  ASSERT_TRUE(third && third->cookie);
  EXPECT_TRUE(visit(*second->cookie).has_value());
  EXPECT_FALSE(visit(*made.cookie).has_value());
  EXPECT_FALSE(visit(*third->cookie).has_value());
}

TEST_P(DevicesTest, AttackTheft_SigningInWithAnOldSecretEndsTheDeviceAndStartsAnother) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  const auto rotated = visit(*made.cookie);
  clock_.advance(2min);
  const Visit mallory = sign_in(*made.cookie, "did:plc:mallory");
  EXPECT_NE(mallory.device, made.device);
  EXPECT_EQ(dids(mallory.device), Dids{"did:plc:mallory"});
  EXPECT_FALSE(visit(*rotated->cookie).has_value());
}

TEST_P(DevicesTest, AttackFixation_APlantedCookieIsWorthNothingAfterASignIn) {
  const Visit planted = sign_in("", "did:plc:mallory");
  const Visit victim = sign_in(*planted.cookie, "did:plc:alice");
  EXPECT_EQ(victim.device, planted.device) << "the browser keeps who was signed in there";
  EXPECT_NE(*victim.cookie, *planted.cookie);
  // Not even within the minute, and then it also gives itself away.
  EXPECT_FALSE(visit(*planted.cookie).has_value());
  EXPECT_TRUE(visit(*victim.cookie).has_value());
  clock_.advance(60s);
  EXPECT_FALSE(visit(*planted.cookie).has_value());
  EXPECT_TRUE(visit(*victim.cookie).has_value());
  const Visit again = sign_in(*planted.cookie, "did:plc:mallory");
  EXPECT_NE(again.device, victim.device) << "nor does it lead there by signing in";
  EXPECT_EQ(dids(again.device), Dids{"did:plc:mallory"});
  clock_.advance(1us);
  EXPECT_FALSE(visit(*planted.cookie).has_value());
  EXPECT_FALSE(visit(*victim.cookie).has_value());
  EXPECT_TRUE(dids(victim.device).empty());
}

TEST_P(DevicesTest, SigningInDuringADailyRotationStaysOnTheDevice) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h);
  visit(*made.cookie);
  const Visit second = sign_in(*made.cookie, "did:plc:bob");
  EXPECT_EQ(second.device, made.device);
  clock_.advance(24h);
  const Visit third = sign_in(*second.cookie, "did:plc:carol");
  EXPECT_EQ(third.device, made.device);
  EXPECT_EQ(dids(made.device), (Dids{"did:plc:carol", "did:plc:bob", "did:plc:alice"}));
}

TEST_P(DevicesTest, ACookieNewerThanTheDatabaseEndsNothing) {
  const Visit made = sign_in("", "did:plc:alice");
  const Visit later = sign_in(*made.cookie, "did:plc:alice");
  run((*db_)->write([&](store::Tx& tx) {  // as after a backup was restored
    static constexpr store::Sql k_back{"UPDATE signin_device SET generation = 1"};
    tx.exec(k_back);
  }));
  EXPECT_FALSE(visit(*later.cookie).has_value());
  EXPECT_EQ(account_rows(), 1);
}

// --- Accounts

TEST_P(DevicesTest, ARememberedAccountStaysSevenDaysSinceItsLastUse) {
  const Visit made = sign_in("", "did:plc:alice");
  clock_.advance(24h - 1us);
  run(devices_->used(made.device, "did:plc:alice", "192.0.2.9", Devices::Note::daily));
  EXPECT_EQ(run(devices_->devices_of("did:plc:alice"))[0].ip, "192.0.2.1") << "noted at most daily";
  clock_.advance(1us);
  run(devices_->used(made.device, "did:plc:alice", "192.0.2.9", Devices::Note::daily));
  EXPECT_EQ(run(devices_->devices_of("did:plc:alice"))[0].ip, "192.0.2.9");
  EXPECT_EQ(run(devices_->accounts(made.device))[0].expires_at, clock_.now() + 7 * 24h);
  clock_.advance(7 * 24h - 1us);
  EXPECT_EQ(dids(made.device), Dids{"did:plc:alice"});
  clock_.advance(1us);
  EXPECT_TRUE(dids(made.device).empty());
  EXPECT_TRUE(run(devices_->devices_of("did:plc:alice")).empty());
  run(devices_->used(made.device, "did:plc:alice", "192.0.2.9", Devices::Note::now));
  EXPECT_TRUE(dids(made.device).empty()) << "what is over stays over";
}

TEST_P(DevicesTest, AnAccountForThisTimeStaysAnHourWhateverItDoes) {
  const Visit made = sign_in("", "did:plc:alice", Stay::this_time);
  clock_.advance(1h - 1us);
  run(devices_->used(made.device, "did:plc:alice", "192.0.2.9", Devices::Note::now));
  ASSERT_EQ(dids(made.device), Dids{"did:plc:alice"});
  EXPECT_FALSE(run(devices_->accounts(made.device))[0].remembered);
  clock_.advance(1us);
  EXPECT_TRUE(dids(made.device).empty());
}

TEST_P(DevicesTest, ChoosingAnAccountPutsItFirst) {
  Visit at = sign_in("", "did:plc:alice");
  clock_.advance(1s);
  at = sign_in(*at.cookie, "did:plc:bob");
  EXPECT_EQ(dids(at.device), (Dids{"did:plc:bob", "did:plc:alice"}));
  clock_.advance(1s);
  run(devices_->used(at.device, "did:plc:alice", "192.0.2.1", Devices::Note::daily));
  EXPECT_EQ(dids(at.device), (Dids{"did:plc:bob", "did:plc:alice"}));
  run(devices_->used(at.device, "did:plc:alice", "192.0.2.1", Devices::Note::now));
  EXPECT_EQ(dids(at.device), (Dids{"did:plc:alice", "did:plc:bob"}));
  run(devices_->used(at.device, "did:plc:nobody", "192.0.2.1", Devices::Note::now));
  EXPECT_EQ(dids(at.device).size(), 2u);
}

TEST_P(DevicesTest, TenAccountsFitAndTheEleventhPushesOutTheOldest) {
  Visit at = sign_in("", "did:plc:a0");
  for (int i = 1; i < 10; ++i) {
    clock_.advance(1s);
    at = sign_in(*at.cookie, fmt::format("did:plc:a{}", i));
  }
  EXPECT_EQ(dids(at.device).size(), 10u);
  EXPECT_EQ(dids(at.device).back(), "did:plc:a0");
  clock_.advance(1s);
  run(devices_->used(at.device, "did:plc:a0", "192.0.2.1", Devices::Note::now));
  clock_.advance(1s);
  at = sign_in(*at.cookie, "did:plc:a10");
  EXPECT_EQ(dids(at.device).size(), 10u);
  EXPECT_EQ(dids(at.device)[0], "did:plc:a10");
  EXPECT_EQ(dids(at.device)[1], "did:plc:a0");
  EXPECT_EQ(dids(at.device).back(), "did:plc:a2") << "a1 was not used for longest";
}

TEST_P(DevicesTest, TheNewestSignInDecidesWhetherToStay) {
  Visit at = sign_in("", "did:plc:alice", Stay::this_time);
  at = sign_in(*at.cookie, "did:plc:alice", Stay::signed_in);
  EXPECT_TRUE(run(devices_->accounts(at.device))[0].remembered);
  at = sign_in(*at.cookie, "did:plc:alice", Stay::this_time);
  EXPECT_FALSE(run(devices_->accounts(at.device))[0].remembered);
  EXPECT_EQ(account_rows(), 1);
}

TEST_P(DevicesTest, SigningOutIsForOneAccountOnOneDevice) {
  Visit here = sign_in("", "did:plc:alice");
  here = sign_in(*here.cookie, "did:plc:bob");
  const Visit there = sign_in("", "did:plc:alice");
  EXPECT_FALSE(run(devices_->sign_out(there.device, "did:plc:bob"))) << "not signed in there";
  EXPECT_FALSE(run(devices_->sign_out("nowhere", "did:plc:alice")));
  EXPECT_TRUE(run(devices_->sign_out(here.device, "did:plc:alice")));
  EXPECT_FALSE(run(devices_->sign_out(here.device, "did:plc:alice")));
  EXPECT_EQ(dids(here.device), Dids{"did:plc:bob"});
  EXPECT_EQ(dids(there.device), Dids{"did:plc:alice"});
}

TEST_P(DevicesTest, AnAccountSeesItsDevicesAndLeavesAllOthers) {
  Visit here = sign_in("", "did:plc:alice");
  clock_.advance(1s);
  const Visit there = sign_in("", "did:plc:alice", Stay::this_time);
  clock_.advance(1s);
  here = sign_in(*here.cookie, "did:plc:bob");
  const auto seen = run(devices_->devices_of("did:plc:alice"));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].device, there.device);
  EXPECT_FALSE(seen[0].remembered);
  EXPECT_EQ(seen[1].device, here.device);
  EXPECT_EQ(seen[1].agent, "Firefox on Linux");
  EXPECT_EQ(seen[1].ip, "192.0.2.1");
  EXPECT_EQ(seen[1].last_used_at, clock_.now() - 2s);
  EXPECT_EQ(run(devices_->sign_out_others("did:plc:alice", here.device)), 1u);
  EXPECT_EQ(run(devices_->devices_of("did:plc:alice")).size(), 1u);
  EXPECT_EQ(dids(here.device), (Dids{"did:plc:bob", "did:plc:alice"}));
  EXPECT_EQ(run(devices_->sign_out_others("did:plc:alice", here.device)), 0u);
}

TEST_P(DevicesTest, CleaningDropsWhatIsOverAndDevicesNobodyUses) {
  Visit here = sign_in("", "did:plc:alice", Stay::this_time);
  sign_in("", "did:plc:bob");
  clock_.advance(1h - 1us);
  run(devices_->clean());
  EXPECT_EQ(device_rows(), 2);
  clock_.advance(1us);
  run(devices_->clean());
  EXPECT_EQ(device_rows(), 1);
  EXPECT_EQ(account_rows(), 1);
  EXPECT_FALSE(visit(*here.cookie).has_value());
  EXPECT_NE(sign_in(*here.cookie, "did:plc:alice").device, here.device);
}

INSTANTIATE_TEST_SUITE_P(Store, DevicesTest, store::engines(), store::engine_name);

TEST(AgentWords, SayWhatAPersonWouldSay) {
  const struct {
    std::string_view agent, words;
  } rows[] = {
      {k_firefox, "Firefox on Linux"},
      {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
       "Safari/537.36",
       "Chrome on Windows"},
      {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
       "Safari/537.36 Edg/140.0.0.0",
       "Edge on Windows"},
      {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
       "Version/18.5 "
       "Safari/605.1.15",
       "Safari on macOS"},
      {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
       "CriOS/140.0.0.0 Mobile/15E148 Safari/604.1",
       "Chrome on iPhone"},
      {"Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) "
       "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
       "Samsung Internet on Android"},
      {"curl/8.5.0", "A browser"},
      {"", "A browser"},
      {"<script>alert(1)</script> Windows", "A browser on Windows"},
  };
  for (const auto& row : rows) EXPECT_EQ(agent_words(row.agent), row.words) << row.agent;
}

}  // namespace
}  // namespace latchkey::signin
