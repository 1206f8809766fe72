#pragma once
// Invite codes: each is good for some number of accounts. Statements: invites_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

inline constexpr std::int64_t k_max_invite_uses = 1'000'000;

struct Invite {
  std::string code;
  std::int64_t max_uses;
  std::int64_t uses = 0;
  std::string for_account;  // a DID, or "admin"
  std::string created_by;   // the same
  Time created_at;
  std::optional<Time> disabled_at = std::nullopt;
};

namespace invites {

void insert(store::Tx&, const Invite&);
std::optional<Invite> get(store::Tx&, std::string_view code);
/// The newest first.
std::vector<Invite> list(store::Tx&, std::int64_t limit);
/// False when there is none; disabling twice changes nothing.
bool disable(store::Tx&, std::string_view code, Time now);
/// One use for this account. Of two that race for the last use one gets it. False when it is unknown, used up
/// or disabled.
bool spend(store::Tx&, std::string_view code, std::int64_t account_id, Time now);
/// The account did not come to be: what it spent can be used again.
void give_back(store::Tx&, std::int64_t account_id);
/// Who used the code is forgotten; that it was used is not.
void forget_account(store::Tx&, std::int64_t account_id);

}  // namespace invites

class Invites {
 public:
  /// `magic` is good any number of times and has no row.
  Invites(std::string_view public_url, std::optional<Secret<std::string>> magic);

  /// pds-example-com-abcde-fghij: the host's name and 50 random bits.
  std::string new_code(Rng& rng) const;
  bool is_good(store::Tx& tx, std::string_view code) const;
  bool spend(store::Tx& tx, std::string_view code, std::int64_t account_id, Time now) const;

 private:
  bool is_magic(std::string_view code) const;
  std::string prefix_;
  std::optional<Secret<std::string>> magic_;
};

}  // namespace latchkey::pds
