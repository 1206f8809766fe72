#include "signin/hand_over.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "store/testing.h"

namespace latchkey::signin {
namespace {
using namespace std::chrono_literals;

constexpr const char* k_key = "a callback secret of 32 bytes or more";
constexpr const char* k_request = "urn:ietf:params:oauth:request_uri:req-0123456789abcdef";
const Time k_now = from_unix_seconds(1'750'000'000);

Secret<Bytes> key() { return Secret<Bytes>(to_bytes(std::string_view(k_key))); }

// Python: hmac.new(key, "\n".join([request_uri, email, approved, new_account, ts]).encode(),
// hashlib.sha256).hexdigest(), with the values below; the third with "5f3a" after ts.
constexpr const char* k_existing = "8312b84a0c3b5afc8612d85f228323b64f4919bd162a554e3eb5f10e3018e8e7";
constexpr const char* k_new = "dbdd846bda9a5865d0037d173359dfa0c3ce7a3aed52f5af8642a0dca3eefdba";
constexpr const char* k_with_id = "0594f221928605e8a0f806ac76a13eb8a1b8198521734badcb941a4c3b8b5ec4";

FormFields query(std::string sig = k_existing) {
  return {{"request_uri", k_request}, {"email", "alice@example.com"}, {"approved", "1"},
          {"new_account", "0"},       {"ts", "1750000000"},           {"sig", std::move(sig)}};
}
FormFields with(FormFields fields, std::string_view name, std::string value) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  fields.emplace_back(name, std::move(value));
  return fields;
}
FormFields without(FormFields fields, std::string_view name) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}
// Signed anew, as somebody with the secret would.
FormFields sign(FormFields fields) {
  std::string text;
  for (const char* name : {"request_uri", "email", "approved", "new_account", "ts", "id"})
    if (const auto value = single(fields, name)) text += (text.empty() ? "" : "\n") + *value;
  return with(std::move(fields), "sig", hex(crypto::hmac_sha256(key().reveal(), as_bytes(text))));
}

std::string answer(const FormFields& fields, Time now = k_now) {
  const auto handed = read_hand_over(fields, key(), now);
  return handed ? "ok" : std::to_string(handed.error().status) + " " + std::string(handed.error().error);
}

TEST(HandOverQuery, IsSignedAsEpdsDoes) {
  auto handed = read_hand_over(query(), key(), k_now);
  ASSERT_TRUE(handed.has_value()) << handed.error().error;
  EXPECT_EQ(handed->request_uri, k_request);
  EXPECT_EQ(handed->email, "alice@example.com");
  EXPECT_FALSE(handed->new_account);
  EXPECT_EQ(handed->until, k_now + 301s);
  handed = read_hand_over(with(query(k_new), "new_account", "1"), key(), k_now);
  ASSERT_TRUE(handed.has_value());
  EXPECT_TRUE(handed->new_account);
}

TEST(HandOverQuery, MayCarryAnIdThatIsSigned) {
  const auto fields = with(query(k_with_id), "id", "5f3a");
  EXPECT_EQ(answer(fields), "ok");
  EXPECT_EQ(answer(with(fields, "id", "5f3b")), "403 Invalid callback signature");
  EXPECT_EQ(answer(without(fields, "id")), "403 Invalid callback signature");
  EXPECT_EQ(answer(with(query(), "id", "5f3a")), "403 Invalid callback signature");
  EXPECT_EQ(answer(sign(with(query(), "id", std::string(128, 'a')))), "ok");
  EXPECT_EQ(answer(sign(with(query(), "id", std::string(129, 'a')))), "400 Invalid parameters");
}

TEST(HandOverQuery, NeedsEveryParameterOnce) {
  constexpr const char* k_missing = "400 Missing required parameters";
  EXPECT_EQ(answer({}), k_missing);
  for (const char* name : {"request_uri", "email", "approved", "new_account"}) {
    EXPECT_EQ(answer(sign(without(query(), name))), k_missing) << name;
    EXPECT_EQ(answer(sign(with(query(), name, ""))), k_missing) << name;
  }
  EXPECT_EQ(answer(sign(with(query(), "approved", "0"))), k_missing);
  EXPECT_EQ(answer(sign(with(query(), "approved", "true"))), k_missing);
  EXPECT_EQ(answer(sign(with(query(), "new_account", "2"))), k_missing);
  for (const auto& field : query()) {
    auto twice = query();
    twice.push_back(field);
    EXPECT_EQ(answer(twice), k_missing) << field.first;
  }
}

TEST(HandOverQuery, AttackForgery_AnyChangeBreaksTheSignature) {
  constexpr const char* k_invalid = "403 Invalid callback signature";
  EXPECT_EQ(answer(without(query(), "sig")), "403 Missing signature");
  EXPECT_EQ(answer(without(query(), "ts")), "403 Missing signature");
  EXPECT_EQ(answer(with(query(), "request_uri", std::string(k_request) + "0")), k_invalid);
  EXPECT_EQ(answer(with(query(), "email", "bob@example.com")), k_invalid);
  EXPECT_EQ(answer(with(query(), "new_account", "1")), k_invalid);
  EXPECT_EQ(answer(with(query(), "ts", "1750000001"), k_now + 1s), k_invalid);
  std::string flipped = k_existing;
  flipped.back() = '6';
  for (const std::string& sig : {flipped, std::string("00"), std::string("zz"), std::string(64, '0'),
                                 std::string(k_existing).substr(0, 62), k_existing + std::string("00")})
    EXPECT_EQ(answer(with(query(), "sig", sig)), k_invalid) << sig;
  const Secret<Bytes> other(Bytes(32, 7));
  EXPECT_FALSE(read_hand_over(query(), other, k_now).has_value());
}

TEST(HandOverQuery, AttackSplitting_ValuesHoldNoControlCharacters) {
  for (const char c : {'\n', '\r', '\0', '\t', '\x1b', '\x1f', '\x7f'})
    for (const char* name : {"request_uri", "email", "id", "ts"}) {
      const std::string value = "a" + std::string(1, c) + "b";
      EXPECT_EQ(answer(sign(with(query(), name, value))), "400 Invalid parameters") << name << int{c};
    }
  // The same text, cut at another place.
  auto moved = with(query(), "request_uri", std::string(k_request) + "\nalice@example.com");
  EXPECT_EQ(answer(with(moved, "email", "1")), "400 Invalid parameters");
}

TEST(HandOverQuery, AttackOldLink_IsGoodForFiveMinutes) {
  EXPECT_EQ(answer(query(), k_now - 1us), "403 Invalid callback signature") << "from the future";
  EXPECT_EQ(answer(query(), k_now), "ok");
  EXPECT_EQ(answer(query(), k_now + 300s), "ok");
  EXPECT_EQ(answer(query(), k_now + 301s - 1us), "ok") << "ages are whole seconds";
  EXPECT_EQ(answer(query(), k_now + 301s), "400 Callback signature expired");
  // A forger learns nothing of the clock.
  EXPECT_EQ(answer(with(query(), "email", "bob@example.com"), k_now + 301s),
            "403 Invalid callback signature");
}

TEST(HandOverQuery, TimesAreDigits) {
  for (const char* ts : {"1750000000.0", "+1750000000", "-1", " 1750000000", "0x68", "175000000000", "now",
                         "999999999999999999999999"})
    EXPECT_EQ(answer(sign(with(query(), "ts", ts))), "403 Invalid callback signature") << ts;
}

// --- Once

class HandOvers : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam(), hand_over_migrations());
  }
  bool spend(const FormFields& fields, Time now = k_now) {
    const auto handed = read_hand_over(fields, key(), now);
    EXPECT_TRUE(handed.has_value());
    return run((*db_)->write([&](store::Tx& tx) { return hand_overs::spend(tx, *handed); }));
  }
  void clean(Time now) {
    run((*db_)->write([&](store::Tx& tx) { hand_overs::clean(tx, now); }));
  }
  std::unique_ptr<store::TestDatabase> db_;
};

TEST_P(HandOvers, AttackReplay_AreSpentByTheirFirstUse) {
  EXPECT_TRUE(spend(query()));
  EXPECT_FALSE(spend(query()));
  std::string upper = k_existing;
  for (char& c : upper)
    if (c >= 'a') c = static_cast<char>(c - 32);
  EXPECT_FALSE(spend(query(upper))) << "the same signature in other letters";
  EXPECT_TRUE(spend(with(query(k_new), "new_account", "1")));
}

TEST_P(HandOvers, AttackReplay_AnIdIsSpentWhateverElseIsSigned) {
  EXPECT_TRUE(spend(sign(with(query(), "id", "5f3a"))));
  EXPECT_FALSE(spend(sign(with(with(query(), "id", "5f3a"), "email", "bob@example.com"))));
  EXPECT_TRUE(spend(sign(with(query(), "id", "5f3b"))));
  EXPECT_TRUE(spend(query())) << "an id is no signature";
}

TEST_P(HandOvers, AreRememberedUntilTheyAreTooOld) {
  EXPECT_TRUE(spend(query()));
  clean(k_now + 301s - 1us);
  EXPECT_FALSE(spend(query(), k_now + 301s - 1us)) << "still good, still spent";
  clean(k_now + 301s);
  EXPECT_TRUE(spend(query())) << "forgotten; by now its time refuses it";
}

INSTANTIATE_TEST_SUITE_P(Store, HandOvers, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::signin
