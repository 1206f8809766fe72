#include "auth/core/sessions.h"

#include <fmt/format.h>

namespace latchkey::auth {
namespace {

constexpr std::string_view k_columns[] = {"id",        "token",     "userId",    "expiresAt",
                                          "createdAt", "updatedAt", "ipAddress", "userAgent"};

std::string columns(const Models& models, std::string_view prefix) {
  std::string out;
  const auto add = [&](std::string_view name) {
    out += fmt::format("{}{}{}", out.empty() ? "" : ", ", prefix, quoted(name));
  };
  for (const auto name : k_columns) add(name);
  for (const Field& f : models.session_fields) add(f.name);
  return out;
}

/// `text` with {session}, {columns} in the words of this deployment.
store::Sql statement(const Models& models, std::string_view text) {
  return store::Sql::at_start(fmt::format(fmt::runtime(text),
                                          fmt::arg("session", quoted(models.names.session)),
                                          fmt::arg("columns", columns(models, ""))));
}

std::string placeholders(std::size_t n) {
  std::string out;
  for (std::size_t i = 1; i <= n; ++i) out += fmt::format("{}?{}", i > 1 ? ", " : "", i);
  return out;
}

std::string assignments(const Models& models) {  // from ?3 on
  std::string out;
  for (std::size_t i = 0; i < models.session_fields.size(); ++i)
    out += fmt::format(", {} = ?{}", quoted(models.session_fields[i].name), i + 3);
  return out;
}

}  // namespace

Sessions::Sessions(const Models& models, const Users& users, Rng& rng)
    : models_(models),
      users_(users),
      rng_(rng),
      width_(std::size(k_columns) + models.session_fields.size()),
      find_(store::Sql::at_start(
          fmt::format("SELECT {}, {} FROM {} s JOIN {} u ON u.\"id\" = s.\"userId\" WHERE s.\"token\" = ?1",
                      columns(models, "s."), users.columns("u"), quoted(models.names.session),
                      quoted(models.names.user)))),
      list_(statement(models,
                      "SELECT {columns} FROM {session} WHERE \"userId\" = ?1 AND \"expiresAt\" > ?2 "
                      "ORDER BY \"createdAt\", \"id\"")),
      all_(statement(models,
                     "SELECT {columns} FROM {session} WHERE \"userId\" = ?1 AND \"token\" <> ?2 "
                     "ORDER BY \"createdAt\", \"id\"")),
      insert_(statement(
          models, fmt::format("INSERT INTO {{session}} ({{columns}}) VALUES ({})", placeholders(width_)))),
      extend_(statement(models,
                        "UPDATE {session} SET \"expiresAt\" = ?2, \"updatedAt\" = ?3 WHERE \"token\" = ?1")),
      update_(
          statement(models, fmt::format("UPDATE {{session}} SET \"updatedAt\" = ?2{} WHERE \"token\" = ?1",
                                        assignments(models)))),
      remove_(statement(models, "DELETE FROM {session} WHERE \"token\" = ?1")),
      remove_all_(statement(models, "DELETE FROM {session} WHERE \"userId\" = ?1")),
      remove_others_(statement(models, "DELETE FROM {session} WHERE \"userId\" = ?1 AND \"token\" <> ?2")),
      clean_(statement(models, "DELETE FROM {session} WHERE \"expiresAt\" <= ?1")) {}

Session Sessions::read(const store::Row& row, std::size_t i) const {
  Session s{.id = row.text(i),
            .token = row.text(i + 1),
            .user_id = row.text(i + 2),
            .expires_at = row.date(i + 3),
            .created_at = row.date(i + 4),
            .updated_at = row.date(i + 5),
            .ip_address = row.opt_text(i + 6).value_or(""),
            .user_agent = row.opt_text(i + 7).value_or("")};
  i += std::size(k_columns);
  for (const Field& f : models_.session_fields) s.fields.append(f.name, auth::read(f, row, i++));
  return s;
}

std::optional<SessionAndUser> Sessions::find(store::Tx& tx, std::string_view token) const {
  const auto row = tx.one(find_, token);
  if (!row) return std::nullopt;
  return SessionAndUser{read(*row, 0), users_.read(*row, width_)};
}

std::vector<Session> Sessions::list(store::Tx& tx, std::string_view user_id, Time now) const {
  std::vector<Session> out;
  for (const store::Row& row : tx.query(list_, user_id, store::Date(now))) out.push_back(read(row, 0));
  return out;
}

Result<Session, Fault> Sessions::create(store::Tx& tx, NewSession fresh, Time now) const {
  const Time at = store::Date(now).at;
  Session s{.id = random_id(rng_),
            .token = random_id(rng_),
            .user_id = std::move(fresh.user_id),
            .expires_at = store::Date(fresh.expires_at).at,
            .created_at = at,
            .updated_at = at,
            .ip_address = std::move(fresh.ip_address),
            .user_agent = std::move(fresh.user_agent)};
  for (const Field& f : models_.session_fields) {
    const json::Value* given = fresh.fields.find(f.name);
    s.fields.append(f.name, given ? *given : f.default_value);
  }
  TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::before_create, tx, s));
  store::Params params;
  params.add(s.id).add(s.token).add(s.user_id).add(store::Date(s.expires_at));
  params.add(store::Date(s.created_at)).add(store::Date(s.updated_at)).add(s.ip_address).add(s.user_agent);
  for (const Field& f : models_.session_fields) bind(params, f, *s.fields.find(f.name));
  tx.exec(insert_, params);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::after_create, tx, s));
  return s;
}

bool Sessions::extend(store::Tx& tx, std::string_view token, Time expires_at, Time now) const {
  return tx.exec(extend_, token, store::Date(expires_at), store::Date(now)) > 0;
}

Result<bool, Fault> Sessions::update(store::Tx& tx, std::string_view token, json::Object fields,
                                     Time now) const {
  auto found = find(tx, token);
  if (!found) return false;
  const Session old = found->session;
  Session& s = found->session;
  for (const auto& [name, value] : fields) s.fields.set(name, value);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::before_update, tx, old, s));
  store::Params params;
  params.add(token).add(store::Date(now));
  for (const Field& f : models_.session_fields) bind(params, f, *s.fields.find(f.name));
  tx.exec(update_, params);
  TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::after_update, tx, s));
  return true;
}

bool Sessions::watched() const {
  return has_hook(models_.hooks, &RecordHooks::session, &RowHooks<Session>::before_delete) ||
         has_hook(models_.hooks, &RecordHooks::session, &RowHooks<Session>::after_delete);
}

Result<void, Fault> Sessions::remove_rows(store::Tx& tx, const std::vector<Session>& rows) const {
  for (const Session& s : rows) {
    TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::before_delete, tx, s));
    tx.exec(remove_, s.token);
    TRY_VOID(hooked(models_.hooks, &RecordHooks::session, &RowHooks<Session>::after_delete, tx, s));
  }
  return {};
}

Result<void, Fault> Sessions::remove(store::Tx& tx, std::string_view token) const {
  if (watched()) {
    const auto found = find(tx, token);
    return found ? remove_rows(tx, {found->session}) : Result<void, Fault>();
  }
  tx.exec(remove_, token);
  return {};
}

Result<void, Fault> Sessions::remove_all(store::Tx& tx, std::string_view user_id) const {
  if (watched()) return remove_others(tx, user_id, "");
  tx.exec(remove_all_, user_id);
  return {};
}

Result<void, Fault> Sessions::remove_others(store::Tx& tx, std::string_view user_id,
                                            std::string_view kept_token) const {
  if (watched()) {
    std::vector<Session> rows;
    for (const store::Row& row : tx.query(all_, user_id, kept_token)) rows.push_back(read(row, 0));
    return remove_rows(tx, rows);
  }
  tx.exec(remove_others_, user_id, kept_token);
  return {};
}

std::int64_t Sessions::clean(store::Tx& tx, Time now) const { return tx.exec(clean_, store::Date(now)); }

json::Object Sessions::to_json(const Session& s) const {
  json::Object out{{"expiresAt", rfc3339(s.expires_at)},
                   {"token", s.token},
                   {"createdAt", rfc3339(s.created_at)},
                   {"updatedAt", rfc3339(s.updated_at)},
                   {"ipAddress", s.ip_address},
                   {"userAgent", s.user_agent},
                   {"userId", s.user_id}};
  for (const Field& f : models_.session_fields)
    if (f.returned) out.append(f.name, *s.fields.find(f.name));
  out.append("id", s.id);
  return out;
}

}  // namespace latchkey::auth
