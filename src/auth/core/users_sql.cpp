#include <fmt/format.h>

#include <algorithm>

#include "auth/core/idle_users.h"
#include "auth/core/users.h"

namespace latchkey::auth {
namespace {

constexpr std::string_view k_columns[] = {"id",    "name",      "email",    "emailVerified",
                                          "image", "createdAt", "updatedAt"};
constexpr std::size_t k_own = std::size(k_columns);

store::Sql select_by(const Users& users, const std::string& table, std::string_view column) {
  return store::Sql::at_start(
      fmt::format("SELECT {} FROM {} u WHERE u.{} = ?1", users.columns("u"), quoted(table), quoted(column)));
}

store::Sql insert_into(const Models& models) {
  std::string columns, values;
  int n = 0;
  const auto add = [&](std::string_view name) {
    columns += (n ? ", " : "") + quoted(name);
    values += fmt::format("{}?{}", n ? ", " : "", n + 1);
    ++n;
  };
  for (const auto name : k_columns) add(name);
  for (const Field& f : models.user_fields) add(f.name);
  return store::Sql::at_start(
      fmt::format("INSERT INTO {} ({}) VALUES ({})", quoted(models.names.user), columns, values));
}

store::Sql update_of(const Models& models) {
  std::string set;
  int n = 1;
  const auto add = [&](std::string_view name) {
    set += fmt::format("{}{} = ?{}", n > 1 ? ", " : "", quoted(name), n + 1);
    ++n;
  };
  for (const auto name : k_columns)
    if (name != "id" && name != "createdAt") add(name);
  for (const Field& f : models.user_fields) add(f.name);
  return store::Sql::at_start(
      fmt::format("UPDATE {} SET {} WHERE \"id\" = ?1", quoted(models.names.user), set));
}

void bind_fields(store::Params& params, const Models& models, const User& user) {
  for (const Field& f : models.user_fields) {
    const json::Value* v = user.fields.find(f.name);
    bind(params, f, v ? *v : json::Value());
  }
}

}  // namespace

Users::Users(const Models& models, Rng& rng)
    : models_(models),
      rng_(rng),
      find_(select_by(*this, models.names.user, "id")),
      find_by_email_(select_by(*this, models.names.user, "email")),
      insert_(insert_into(models)),
      update_(update_of(models)),
      remove_(
          store::Sql::at_start(fmt::format("DELETE FROM {} WHERE \"id\" = ?1", quoted(models.names.user)))) {
  for (const Field& f : models.user_fields)
    if (f.unique && f.type == FieldType::string)
      find_by_.emplace_back(f.name, select_by(*this, models.names.user, f.name));
  for (const Table& t : models.plugin_tables)
    for (const Field& f : t.fields)
      if (f.references == "user")
        remove_plugin_rows_.push_back(store::Sql::at_start(
            fmt::format("DELETE FROM {} WHERE {} = ?1", quoted(t.name), quoted(f.name))));
}

std::string Users::columns(std::string_view alias) const {
  std::string out;
  const auto add = [&](std::string_view name) {
    out += fmt::format("{}{}.{}", out.empty() ? "" : ", ", alias, quoted(name));
  };
  for (const auto name : k_columns) add(name);
  for (const Field& f : models_.user_fields) add(f.name);
  return out;
}

User Users::read(const store::Row& row, std::size_t i) const {
  User user{.id = row.text(i),
            .name = row.text(i + 1),
            .email = row.text(i + 2),
            .email_verified = row.boolean(i + 3),
            .image = row.opt_text(i + 4),
            .created_at = row.date(i + 5),
            .updated_at = row.date(i + 6)};
  i += k_own;
  for (const Field& f : models_.user_fields) user.fields.append(f.name, auth::read(f, row, i++));
  return user;
}

std::optional<User> Users::find(store::Tx& tx, std::string_view id) const {
  const auto row = tx.one(find_, id);
  return row ? std::optional(read(*row, 0)) : std::nullopt;
}

std::optional<User> Users::find_by_email(store::Tx& tx, std::string_view email) const {
  const auto row = tx.one(find_by_email_, lower_case(email));
  return row ? std::optional(read(*row, 0)) : std::nullopt;
}

std::optional<User> Users::find_by(store::Tx& tx, std::string_view field, std::string_view value) const {
  const auto it = std::ranges::find(find_by_, field, [](const auto& p) { return std::string_view(p.first); });
  if (it == find_by_.end())
    throw store::Error(store::Error::Kind::misuse, fmt::format("no unique text field {} of users", field));
  const auto row = tx.one(it->second, value);
  return row ? std::optional(read(*row, 0)) : std::nullopt;
}

User Users::invented(NewUser fresh, Time now) const {
  const Time at = store::Date(now).at;
  User user{.id = random_id(rng_),
            .name = std::move(fresh.name),
            .email = lower_case(fresh.email),
            .email_verified = fresh.email_verified,
            .image = std::move(fresh.image),
            .created_at = at,
            .updated_at = at};
  for (const Field& f : models_.user_fields) {
    const json::Value* given = fresh.fields.find(f.name);
    user.fields.append(f.name, given ? *given : f.default_value);
  }
  return user;
}

Result<User, Fault> Users::create(store::Tx& tx, NewUser fresh, Time now) const {
  User user = invented(std::move(fresh), now);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::before_create, tx, user));
  if (find_by_email(tx, user.email)) return refuse(Error::USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL);
  store::Params params;
  const store::Date created(user.created_at), updated(user.updated_at);
  params.add(user.id).add(user.name).add(user.email).add(store::Boolean{user.email_verified});
  params.add(user.image).add(created).add(updated);
  bind_fields(params, models_, user);
  tx.exec(insert_, params);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::after_create, tx, user));
  return user;
}

Result<User, Fault> Users::update(store::Tx& tx, std::string_view id, UserChanges changes, Time now) const {
  const auto old = find(tx, id);
  if (!old) return refuse(Error::USER_NOT_FOUND);
  User user = *old;
  if (changes.name) user.name = std::move(*changes.name);
  if (changes.email) user.email = lower_case(*changes.email);
  if (changes.email_verified) user.email_verified = *changes.email_verified;
  if (changes.image) user.image = std::move(*changes.image);
  for (const auto& [name, value] : changes.fields) user.fields.set(name, value);
  user.updated_at = store::Date(now).at;
  TRY_VOID(hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::before_update, tx, *old, user));
  if (user.email != old->email && find_by_email(tx, user.email))
    return refuse(Error::USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL);
  store::Params params;
  params.add(id).add(user.name).add(user.email).add(store::Boolean{user.email_verified});
  params.add(user.image).add(store::Date(user.updated_at));
  bind_fields(params, models_, user);
  tx.exec(update_, params);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::after_update, tx, user));
  return user;
}

Result<void, Fault> Users::remove(store::Tx& tx, std::string_view id) const {
  const auto user = find(tx, id);
  if (!user) return refuse(Error::USER_NOT_FOUND);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::before_delete, tx, *user));
  tx.exec(remove_, id);
  return hooked(models_.hooks, &RecordHooks::user, &RowHooks<User>::after_delete, tx, *user);
}

void Users::remove_plugin_rows(store::Tx& tx, std::string_view id) const {
  for (const store::Sql& remove : remove_plugin_rows_) tx.exec(remove, id);
}

IdleUsers::IdleUsers(const TableNames& names, std::string_view empty_field)
    : select_(store::Sql::at_start(
          fmt::format("SELECT u.\"id\" FROM {} u WHERE u.{} IS NULL AND u.\"createdAt\" <= ?1 AND NOT EXISTS "
                      "(SELECT 1 FROM {} s WHERE s.\"userId\" = u.\"id\" AND s.\"createdAt\" > ?1) LIMIT ?2",
                      quoted(names.user), quoted(empty_field), quoted(names.session)))) {}

std::vector<std::string> IdleUsers::list(store::Tx& tx, Time until, std::int64_t limit) const {
  std::vector<std::string> out;
  tx.each(select_, [&](store::Row& row) { out.push_back(row.text(0)); }, store::Date(until), limit);
  return out;
}

}  // namespace latchkey::auth
