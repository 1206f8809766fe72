#pragma once
// OAuth sessions: what a code grants, kept alive by its chain of refresh tokens. Every statement on
// oauth_session is in sessions_sql.cpp.
//
// A refresh token is derived from (session, generation) and a server key, so the database holds none; the row
// holds only the number of the newest one. That makes rotation one conditional UPDATE, recognises every older
// token as ours, and lets an answer lost on the wire be given again unchanged.

#include <variant>
#include <vector>

#include "base/secret.h"
#include "oauth/server/requests.h"
#include "oauth/server/standing.h"

namespace latchkey::oauth {

inline constexpr std::chrono::hours k_public_session_lifetime{14 * 24};  // the session and its refresh tokens
inline constexpr std::chrono::hours k_confidential_idle_lifetime{90 * 24};  // since the last refresh
inline constexpr std::chrono::seconds k_refresh_grace{30};  // for the directly preceding token

struct Session {
  std::string id, did, client_id, scope, dpop_jkt;
  ClientBinding auth;
  Time created_at, last_used_at, expires_at;
  std::int64_t generation = 0;
  Time rotated_at;
  std::string ip = {};      // that last asked for a token; "" when made before this was noted
  std::string device = {};  // of the browser it was approved in; "" when none
};

/// What a client proved when it presents a refresh token.
struct RefreshProof {
  std::string client_id;
  std::string dpop_jkt;
  ClientBinding auth;
  std::string ip = {};
};

class RefreshTokens {
 public:
  explicit RefreshTokens(Secret<Bytes> key) : key_(std::move(key)) {}
  struct Parts {
    std::string session_id;
    std::int64_t generation;
  };
  std::string token(std::string_view session_id, std::int64_t generation) const;
  /// Only tokens this server made.
  std::optional<Parts> parse(std::string_view token) const;

 private:
  Secret<Bytes> key_;
};

namespace sessions {
void insert(store::Tx&, const Session&);
/// Neither revoked nor expired.
std::optional<Session> find_living(store::Tx&, std::string_view id, Time now);
void revoke(store::Tx&, std::string_view id, Time now);
/// The living ones of an account, the last used first.
std::vector<Session> of_account(store::Tx&, std::string_view did, Time now);
/// True when it was this account's and alive.
bool end(store::Tx&, std::string_view did, std::string_view id, Time now);
/// Every living one of an account: "sign out everywhere", and in the transaction that resets a password,
/// takes an account down or deletes it. A code that waits to be redeemed dies with them. Returns how many
/// sessions ended.
std::int64_t end_all(store::Tx&, std::string_view did, Time now);

/// The account was deleted: nothing of its sessions and codes is kept.
void remove_all(store::Tx&, std::string_view did);

struct Rotated {
  Session session;  // with the generation whose token to answer
};
struct Ended {  // now: an older token was used, or the account is no more
  const char* why;
};
struct Refused {  // nothing changed: no such session, presented by somebody else, or the account sleeps
  const char* why;
};
struct OtherClientKey {  // by the client and with the DPoP key, but not by the key the session began with
  Session session;
};
using Rotation = std::variant<Rotated, Ended, Refused, OtherClientKey>;
/// One step of rotation, atomic. A repeat of the directly preceding token within the grace, by the same
/// client, client key and DPoP key, gets the same successor; every other reuse ends the session (RFC 9700
/// §4.14.2).
Rotation rotate(store::Tx&, const RefreshTokens::Parts& presented, const RefreshProof& proof,
                const StandingOf& standing, Time now);
std::int64_t clean(store::Tx&, Time now);
}  // namespace sessions

}  // namespace latchkey::oauth
