#include "auth/core/verifications.h"

#include <fmt/format.h>

#include "auth/core/users.h"

namespace latchkey::auth {
namespace {

store::Sql statement(const Models& models, std::string_view text) {
  return store::Sql::at_start(
      fmt::format(fmt::runtime(text), fmt::arg("verification", quoted(models.names.verification))));
}

}  // namespace

Verifications::Verifications(const Models& models, Rng& rng)
    : rng_(rng),
      newest_(
          statement(models,
                    "SELECT \"id\", \"identifier\", \"value\", \"expiresAt\", \"createdAt\", \"updatedAt\" "
                    "FROM {verification} WHERE \"identifier\" = ?1 "
                    "ORDER BY \"createdAt\" DESC, \"expiresAt\" DESC, \"id\" LIMIT 1")),
      insert_(statement(models,
                        "INSERT INTO {verification} "
                        "(\"id\", \"identifier\", \"value\", \"expiresAt\", \"createdAt\", \"updatedAt\") "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?5)")),
      remove_(statement(models, "DELETE FROM {verification} WHERE \"identifier\" = ?1")),
      clean_(statement(models, "DELETE FROM {verification} WHERE \"expiresAt\" <= ?1")) {}

void Verifications::put(store::Tx& tx, std::string_view identifier, std::string_view value, Time expires_at,
                        Time now) const {
  // Two rows of one millisecond would leave open which is the newer.
  Time at = store::Date(now).at;
  if (const auto before = newest(tx, identifier); before && before->created_at >= at)
    at = before->created_at + std::chrono::milliseconds(1);
  tx.exec(insert_, random_id(rng_), identifier, value, store::Date(expires_at), store::Date(at));
}

std::optional<Verification> Verifications::newest(store::Tx& tx, std::string_view identifier) const {
  const auto row = tx.one(newest_, identifier);
  if (!row) return std::nullopt;
  return Verification{.id = row->text(0),
                      .identifier = row->text(1),
                      .value = row->text(2),
                      .expires_at = row->date(3),
                      .created_at = row->date(4),
                      .updated_at = row->date(5)};
}

std::optional<Verification> Verifications::find(store::Tx& tx, std::string_view identifier, Time now) const {
  auto found = newest(tx, identifier);
  if (found && found->expires_at <= now) found.reset();
  return found;
}

std::optional<Verification> Verifications::take(store::Tx& tx, std::string_view identifier, Time now) const {
  auto found = find(tx, identifier, now);
  tx.exec(remove_, identifier);
  return found;
}

void Verifications::remove(store::Tx& tx, std::string_view identifier) const { tx.exec(remove_, identifier); }

std::int64_t Verifications::clean(store::Tx& tx, Time now) const { return tx.exec(clean_, store::Date(now)); }

}  // namespace latchkey::auth
