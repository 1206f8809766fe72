#pragma once
// Rows of `verification`: codes, links and states that are good once. Every statement on it is in
// verifications_sql.cpp.

#include <optional>
#include <string>

#include "auth/core/models.h"
#include "base/rng.h"

namespace latchkey::auth {

class Verifications {
 public:
  Verifications(const Models& models, Rng& rng);

  /// Appends; the newest row of an identifier is the one that counts.
  void put(store::Tx& tx, std::string_view identifier, std::string_view value, Time expires_at,
           Time now) const;
  /// The newest, when it has not expired.
  std::optional<Verification> find(store::Tx& tx, std::string_view identifier, Time now) const;
  /// The newest, expired or not: for those that answer differently to an expired code.
  std::optional<Verification> newest(store::Tx& tx, std::string_view identifier) const;
  /// Single use: removes all rows of the identifier and returns what find() would have. Of two racing
  /// requests one gets it.
  std::optional<Verification> take(store::Tx& tx, std::string_view identifier, Time now) const;
  void remove(store::Tx& tx, std::string_view identifier) const;
  std::int64_t clean(store::Tx& tx, Time now) const;

 private:
  Rng& rng_;
  store::Sql newest_, insert_, remove_, clean_;
};

}  // namespace latchkey::auth
