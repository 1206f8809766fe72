#include "oauth/dpop/nonces.h"

#include <gtest/gtest.h>

namespace latchkey::oauth {
namespace {

using namespace std::chrono_literals;

const Time k_start = from_unix_seconds(1'750'000'050);  // the first second of a window of 150 s
Secret<Bytes> secret(std::uint8_t fill = 7) { return Secret<Bytes>(Bytes(32, fill)); }

TEST(Nonces, StayTheSameWithinAWindowAndRotateAfterIt) {
  const Nonces n(secret());
  EXPECT_EQ(n.current(k_start), n.current(k_start + 149s));
  EXPECT_NE(n.current(k_start), n.current(k_start + 150s));
  EXPECT_NE(n.current(k_start), n.current(k_start - 1us));
}

TEST(Nonces, PreviousAndNextAreAccepted) {
  const Nonces n(secret());
  const auto nonce = n.current(k_start);
  EXPECT_TRUE(n.accepts(nonce, k_start));
  EXPECT_TRUE(n.accepts(nonce, k_start + 299s));
  EXPECT_TRUE(n.accepts(nonce, k_start - 150s));
}

TEST(NonceAttack, OldNonceIsRefused) {
  const Nonces n(secret());
  EXPECT_FALSE(n.accepts(n.current(k_start), k_start + 300s));
  EXPECT_FALSE(n.accepts(n.current(k_start), k_start - 151s));
}

TEST(NonceAttack, MadeUpNonceIsRefused) {
  const Nonces n(secret());
  std::string nonce = n.current(k_start);
  EXPECT_FALSE(n.accepts("", k_start));
  EXPECT_FALSE(n.accepts(nonce + "A", k_start));
  EXPECT_FALSE(n.accepts(nonce.substr(1), k_start));
  EXPECT_FALSE(n.accepts(Nonces(secret(8)).current(k_start), k_start));
  nonce[3] = nonce[3] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(n.accepts(nonce, k_start));
  EXPECT_FALSE(n.accepts(std::string(1 << 20, 'A'), k_start));
}

TEST(Nonces, AreSharedByProcessesWithTheSameSecretAndSurviveARestart) {
  EXPECT_TRUE(Nonces(secret()).accepts(Nonces(secret()).current(k_start), k_start));
}

TEST(Nonces, WantAStrongSecretAndAShortWindow) {
  EXPECT_THROW(Nonces(Secret<Bytes>(Bytes(31))), std::invalid_argument);
  EXPECT_THROW(Nonces(secret(), 0s), std::invalid_argument);
  EXPECT_THROW(Nonces(secret(), 301s), std::invalid_argument);
  EXPECT_NO_THROW(Nonces(secret(), 1s));
  EXPECT_NO_THROW(Nonces(secret(), 300s));
}

}  // namespace
}  // namespace latchkey::oauth
