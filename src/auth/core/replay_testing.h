#pragma once
// The set-up of each profile of tests/fixtures/better-auth (its README says what they are), and what is not
// replayed yet.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/core/auth.h"
#include "auth/plugins/social/testing.h"
#include "base/rng.h"
#include "base/time.h"
#include "store/testing.h"

namespace latchkey::auth::replay {

/// What a scenario runs against.
struct World {
  World(store::Engine engine, const std::string& profile, const std::string& base_url);

  FakeClock clock;
  SeededRng rng;
  /// What was mailed: "otp:TYPE:EMAIL" is the newest code, "mail:KIND:EMAIL:token" the token of the newest
  /// link of KIND (verify, reset, delete, magic).
  std::map<std::string, std::string> mail;
  testing::Network network;
  testing::ToyProvider identity_provider;  // at k_idp
  store::TestDatabase db;
  std::unique_ptr<Auth> auth;

  /// A callback that keeps the token under mail:KIND:…
  SendLink keeps(std::string kind);
  /// What a `note` says was written to the database by hand.
  void prepare(std::string_view label);
};

inline constexpr std::string_view k_secret = "transcript-secret-0123456789abcdef0123456789";
inline constexpr std::string_view k_idp = "https://idp.example.test";  // {{idp}}

/// Scenarios (file names without .json) that are not replayed, with the reason; "" when it is replayed.
std::string_view skipped_scenario(std::string_view name);
/// Paths of plugins that are not there: such a step must answer 404 and is not compared.
bool missing_route(std::string_view path);

}  // namespace latchkey::auth::replay
