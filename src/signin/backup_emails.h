#pragma once
// Addresses beside the primary one, from which an account can be recovered (epds-flows, section 7). An
// address counts once its mailbox confirmed it: a link with 256 random bits, kept as SHA-256, good for 24
// hours. Statements: backup_emails_sql.cpp.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "mail/address.h"
#include "store/database.h"

namespace latchkey::signin {

inline constexpr std::chrono::hours k_backup_link_life{24};
inline constexpr std::size_t k_max_backup_emails = 5;  // of an account, confirmed or not

struct BackupEmail {
  std::string id, did, email;
  std::optional<Time> verified_at = {};
  Time created_at = {};
};

namespace backup_emails {

/// What the link in the mail carries, and what the row keeps of it.
struct Link {
  std::string token;
  Bytes hash;
};
Link new_link(Rng& rng);
/// std::nullopt for what no link of ours carries.
std::optional<Bytes> hash_of(std::string_view token);

enum class Added {
  pending,           // confirm it with the new link; an older link of this address is void
  already_verified,  // nothing changed
  too_many,          // nothing changed
};
/// The caller has seen to it that the address is not the account's primary one.
Added add(store::Tx&, const BackupEmail&, const Bytes& token_hash, Time expires_at);
/// The address a link would confirm.
std::optional<BackupEmail> find_pending(store::Tx&, const Bytes& token_hash, Time now);
/// The same, confirmed by this call. A link works once.
std::optional<BackupEmail> verify(store::Tx&, const Bytes& token_hash, Time now);
/// Of one account, the oldest first, without links that have expired.
std::vector<BackupEmail> of_account(store::Tx&, std::string_view did, Time now);
/// The accounts this address may recover: it was confirmed for them.
std::vector<std::string> accounts_of(store::Tx&, std::string_view email);
/// What was removed; nothing when it is not this account's.
std::optional<BackupEmail> remove(store::Tx&, std::string_view did, std::string_view id);
/// The account is gone.
void remove_all(store::Tx&, std::string_view did);
/// It became the account's primary address.
void remove_address(store::Tx&, std::string_view did, std::string_view email);
/// Deletes addresses whose link has expired.
void clean(store::Tx&, Time now);
/// Of everybody, confirmed or not.
std::int64_t count(store::Tx&);

}  // namespace backup_emails

// A recovery that has to wait (Options::recovery_delay): whoever still reads the primary mailbox can stop it.
namespace recoveries {

inline constexpr std::chrono::hours k_open_for{7 * 24};  // after the wait

struct Recovery {
  std::string did;
  Time ready_at, expires_at;
};
/// Keeps one that is under way.
Recovery begin(store::Tx&, const Recovery&, const Bytes& cancel_hash, Time now);
std::optional<Recovery> find(store::Tx&, std::string_view did, Time now);
std::optional<Recovery> find_by_link(store::Tx&, const Bytes& cancel_hash, Time now);
/// What was called off.
std::optional<Recovery> cancel(store::Tx&, const Bytes& cancel_hash, Time now);
void remove(store::Tx&, std::string_view did);
void clean(store::Tx&, Time now);

}  // namespace recoveries
}  // namespace latchkey::signin
