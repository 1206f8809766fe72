#pragma once
// Rows of `passkey`. Every statement on it is in passkeys_sql.cpp.

#include <optional>
#include <string>
#include <vector>

#include "auth/core/fields.h"
#include "base/json.h"
#include "store/database.h"

namespace latchkey::auth {

/// A credential record (WebAuthn Level 3 §4) in the columns of @better-auth/passkey.
struct Passkey {
  std::string id;
  std::optional<std::string> name;  // ours always have one
  std::string public_key;           // base64 of the COSE_Key
  std::string user_id;
  std::string credential_id;  // base64url
  std::int64_t counter = 0;
  bool multi_device = false;  // eligible for backup; on the wire "multiDevice", else "singleDevice"
  bool backed_up = false;
  std::string transports;  // joined with ','
  std::optional<Time> created_at;
  std::optional<std::string> aaguid;
  // Columns of ours. Programs in JavaScript leave them null.
  std::optional<Time> last_used_at;
  std::optional<std::string> user_handle;  // base64url
};

namespace passkeys {

/// What the column `counter` holds.
inline constexpr std::int64_t k_max_counter = 0x7fffffff;

Table table();

/// Of a user, oldest first.
std::vector<Passkey> list(store::Tx& tx, std::string_view user_id);
std::optional<Passkey> find_by_credential(store::Tx& tx, std::string_view credential_id);
/// No index keeps credential IDs unique (the table is Better Auth's): look with find_by_credential first, in
/// the same transaction.
void add(store::Tx& tx, const Passkey& fresh);
/// Notes a sign-in. False when the passkey is gone or was used since it was read.
bool use(store::Tx& tx, const Passkey& read, std::int64_t counter, bool backed_up, Time now);
void rename(store::Tx& tx, std::string_view id, std::string_view name);
void remove(store::Tx& tx, std::string_view id);

/// As clients see it.
json::Object to_json(const Passkey&);

}  // namespace passkeys
}  // namespace latchkey::auth
