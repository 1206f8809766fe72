#include "auth/plugins/jwt/keys.h"

namespace latchkey::auth::jwks {
namespace {
constexpr store::Sql k_all{
    R"(SELECT "id", "publicKey", "privateKey", "createdAt", "expiresAt", "alg", "crv"
FROM "jwks" ORDER BY "createdAt" DESC, "id")"};
constexpr store::Sql k_add{
    R"(INSERT INTO "jwks" ("id", "publicKey", "privateKey", "createdAt", "expiresAt", "alg", "crv")
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7))"};
}  // namespace

Table table() {
  return {"jwks",
          {{.name = "publicKey", .required = true},
           {.name = "privateKey", .required = true},
           {.name = "createdAt", .type = FieldType::date, .required = true},
           {.name = "expiresAt", .type = FieldType::date},
           {.name = "alg"},
           {.name = "crv"}}};
}

std::vector<Key> all(store::Tx& tx) {
  std::vector<Key> out;
  for (const store::Row& row : tx.query(k_all))
    out.push_back({.id = row.text(0),
                   .public_key = row.text(1),
                   .private_key = row.text(2),
                   .created_at = row.date(3),
                   .expires_at = row.opt_date(4),
                   .alg = row.opt_text(5),
                   .crv = row.opt_text(6)});
  return out;
}

void add(store::Tx& tx, const Key& key) {
  store::Params params;
  params.add(key.id).add(key.public_key).add(key.private_key).add(store::Date(key.created_at));
  params.add(key.expires_at ? std::optional(store::Date(*key.expires_at)) : std::nullopt);
  params.add(key.alg).add(key.crv);
  tx.exec(k_add, params);
}

}  // namespace latchkey::auth::jwks
