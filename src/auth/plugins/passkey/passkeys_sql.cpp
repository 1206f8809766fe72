#include "auth/plugins/passkey/passkeys.h"

namespace latchkey::auth::passkeys {
namespace {

constexpr store::Sql k_list{
    R"(SELECT "id", "name", "publicKey", "userId", "credentialID", "counter", "deviceType", "backedUp",
"transports", "createdAt", "aaguid", "lastUsedAt", "userHandle"
FROM "passkey" WHERE "userId" = ?1 ORDER BY "createdAt", "id")"};
constexpr store::Sql k_find_by_credential{
    R"(SELECT "id", "name", "publicKey", "userId", "credentialID", "counter", "deviceType", "backedUp",
"transports", "createdAt", "aaguid", "lastUsedAt", "userHandle"
FROM "passkey" WHERE "credentialID" = ?1 ORDER BY "createdAt", "id" LIMIT 1)"};
constexpr store::Sql k_add{
    R"(INSERT INTO "passkey" ("id", "name", "publicKey", "userId", "credentialID", "counter", "deviceType",
"backedUp", "transports", "createdAt", "aaguid", "lastUsedAt", "userHandle")
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13))"};
constexpr store::Sql k_use{
    R"(UPDATE "passkey" SET "counter" = ?3, "backedUp" = ?4, "lastUsedAt" = ?5
WHERE "id" = ?1 AND "counter" = ?2)"};
constexpr store::Sql k_rename{R"(UPDATE "passkey" SET "name" = ?2 WHERE "id" = ?1)"};
constexpr store::Sql k_remove{R"(DELETE FROM "passkey" WHERE "id" = ?1)"};

Passkey read(const store::Row& row) {
  return {.id = row.text(0),
          .name = row.opt_text(1),
          .public_key = row.text(2),
          .user_id = row.text(3),
          .credential_id = row.text(4),
          .counter = row.int64(5),
          .multi_device = row.text(6) == "multiDevice",
          .backed_up = row.boolean(7),
          .transports = row.opt_text(8).value_or(""),
          .created_at = row.opt_date(9),
          .aaguid = row.opt_text(10),
          .last_used_at = row.opt_date(11),
          .user_handle = row.opt_text(12)};
}

std::string_view device_type(const Passkey& p) { return p.multi_device ? "multiDevice" : "singleDevice"; }

std::optional<store::Date> date(const std::optional<Time>& time) {
  return time ? std::optional(store::Date(*time)) : std::nullopt;
}
json::Value or_null(const std::optional<std::string>& text) {
  return text ? json::Value(*text) : json::Value();
}
json::Value or_null(const std::optional<Time>& time) {
  return time ? json::Value(rfc3339(*time)) : json::Value();
}

}  // namespace

Table table() {
  return {"passkey",
          {{.name = "name"},
           {.name = "publicKey", .required = true},
           {.name = "userId", .required = true, .index = true, .references = "user"},
           {.name = "credentialID", .required = true, .index = true},
           {.name = "counter", .type = FieldType::number, .required = true},
           {.name = "deviceType", .required = true},
           {.name = "backedUp", .type = FieldType::boolean, .required = true},
           {.name = "transports"},
           {.name = "createdAt", .type = FieldType::date},
           {.name = "aaguid"},
           {.name = "lastUsedAt", .type = FieldType::date},
           {.name = "userHandle"}}};
}

std::vector<Passkey> list(store::Tx& tx, std::string_view user_id) {
  std::vector<Passkey> out;
  for (const auto& row : tx.query(k_list, user_id)) out.push_back(read(row));
  return out;
}

std::optional<Passkey> find_by_credential(store::Tx& tx, std::string_view credential_id) {
  const auto row = tx.one(k_find_by_credential, credential_id);
  if (!row) return std::nullopt;
  return read(*row);
}

void add(store::Tx& tx, const Passkey& p) {
  tx.exec(k_add, p.id, p.name, p.public_key, p.user_id, p.credential_id, p.counter, device_type(p),
          store::Boolean{p.backed_up}, p.transports, date(p.created_at), p.aaguid, date(p.last_used_at),
          p.user_handle);
}

bool use(store::Tx& tx, const Passkey& p, std::int64_t counter, bool backed_up, Time now) {
  return tx.exec(k_use, p.id, p.counter, counter, store::Boolean{backed_up}, store::Date(now)) == 1;
}

void rename(store::Tx& tx, std::string_view id, std::string_view name) { tx.exec(k_rename, id, name); }
void remove(store::Tx& tx, std::string_view id) { tx.exec(k_remove, id); }

json::Object to_json(const Passkey& p) {
  return {{"id", p.id},
          {"name", or_null(p.name)},
          {"publicKey", p.public_key},
          {"userId", p.user_id},
          {"credentialID", p.credential_id},
          {"counter", p.counter},
          {"deviceType", device_type(p)},
          {"backedUp", p.backed_up},
          {"transports", p.transports},
          {"createdAt", or_null(p.created_at)},
          {"aaguid", or_null(p.aaguid)},
          {"lastUsedAt", or_null(p.last_used_at)}};
}

}  // namespace latchkey::auth::passkeys
