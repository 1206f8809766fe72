#pragma once
// Rows of `jwks`. Every statement on it is in keys_sql.cpp.

#include <vector>

#include "auth/core/fields.h"
#include "auth/core/models.h"
#include "store/database.h"

namespace latchkey::auth::jwks {

struct Key {
  std::string id;           // the `kid`
  std::string public_key;   // a JWK as JSON text
  std::string private_key;  // a JSON string with the private JWK, encrypted under the secret
  Time created_at;
  std::optional<Time> expires_at;  // signs until then
  std::optional<std::string> alg, crv;
};

Table table();
/// Newest first.
std::vector<Key> all(store::Tx& tx);
void add(store::Tx& tx, const Key& key);

}  // namespace latchkey::auth::jwks
