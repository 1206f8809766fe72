#pragma once
// Refresh tokens of legacy sessions. Statements: sessions_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

struct RefreshToken {
  std::string id;  // the jti claim
  std::int64_t account_id;
  Time expires_at;
  std::optional<std::string> next_id;       // what it was exchanged for; set once
  std::optional<std::string> app_password;  // the name of the app password that began the session
};

namespace sessions {

void insert(store::Tx&, const RefreshToken&);
std::optional<RefreshToken> get(store::Tx&, std::string_view id);

/// Exchanges a token: its life shrinks to the grace period and it names its successor, which is inserted. A
/// token that was exchanged before keeps the successor it has. Gives the successor's id; std::nullopt when
/// the token is revoked or its life (or grace) is over.
std::optional<RefreshToken> rotate(store::Tx&, std::string_view id, const std::string& proposed_next_id,
                                   Time now, Time grace_until, Time next_expires_at);

/// The token and every successor it led to.
void revoke(store::Tx&, std::string_view id);
void revoke_all(store::Tx&, std::int64_t account_id);
/// Those an app password began.
void revoke_of_app_password(store::Tx&, std::int64_t account_id, std::string_view name);
void remove_expired(store::Tx&, std::int64_t account_id, Time now);

}  // namespace sessions
}  // namespace latchkey::pds
