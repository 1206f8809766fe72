#include "store/database.h"

#include <fmt/format.h>

#include <limits>
#include <mutex>
#include <set>

#include "base/url.h"

namespace latchkey::store {
namespace {

[[noreturn]] void misuse(const std::string& what) { throw Error(Error::Kind::misuse, what); }

/// What both engines can store as text: PostgreSQL has no place for U+0000.
bool storable_text(std::string_view s) { return s.find('\0') == s.npos && is_valid_utf8(s); }

}  // namespace

std::string_view name(Engine e) {
  switch (e) {
    case Engine::sqlite:
      return "sqlite";
    case Engine::postgres:
      return "postgres";
  }
  std::abort();
}

Sql Sql::at_start(std::string text) {
  int parameters = 0;
  try {
    parameters = count(text);
  } catch (const char* why) {
    misuse(fmt::format("{}: {}", why, text));
  }
  static std::mutex mutex;
  static std::set<std::string>* const texts = new std::set<std::string>;  // never freed: see the header
  std::lock_guard lock(mutex);
  return Sql(Counted{}, *texts->insert(std::move(text)).first, parameters);
}

const Value& Row::operator[](std::size_t i) const {
  if (i >= values_.size()) misuse(fmt::format("column {} of {}", i, values_.size()));
  return values_[i];
}

std::int64_t Row::int64(std::size_t i) const {
  if (auto v = (*this)[i].if_int64()) return *v;
  misuse(fmt::format("column {} is not an integer", i));
}

const std::string& Row::text(std::size_t i) const {
  if (auto v = (*this)[i].if_text()) return *v;
  misuse(fmt::format("column {} is not text", i));
}

const Bytes& Row::blob(std::size_t i) const {
  if (auto v = (*this)[i].if_blob()) return *v;
  misuse(fmt::format("column {} is not a blob", i));
}

std::optional<std::int64_t> Row::opt_int64(std::size_t i) const {
  if (is_null(i)) return std::nullopt;
  return int64(i);
}

std::optional<Time> Row::opt_time(std::size_t i) const {
  if (is_null(i)) return std::nullopt;
  return time(i);
}

Time Row::date(std::size_t i) const {
  const Value& v = (*this)[i];
  if (const auto* micros = v.if_int64()) return from_unix_micros(*micros);  // timestamptz
  if (const auto* text = v.if_text())
    if (const auto t = parse_rfc3339(*text)) return *t;
  misuse(fmt::format("column {} is not a date", i));
}

std::optional<Time> Row::opt_date(std::size_t i) const {
  if (is_null(i)) return std::nullopt;
  return date(i);
}

std::optional<std::string> Row::opt_text(std::size_t i) const {
  if (is_null(i)) return std::nullopt;
  return text(i);
}

std::optional<Bytes> Row::opt_blob(std::size_t i) const {
  if (is_null(i)) return std::nullopt;
  return blob(i);
}

std::string Row::take_text(std::size_t i) {
  text(i);
  return std::move(*values_[i].if_text());
}

Bytes Row::take_blob(std::size_t i) {
  blob(i);
  return std::move(*values_[i].if_blob());
}

Param detail::uint64_param(std::uint64_t v) {
  if (v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    misuse("an integer above 2^63-1 does not fit a column");
  return {Param::Kind::int64, false, static_cast<std::int64_t>(v)};
}

std::int64_t Tx::run(const Sql& sql, std::span<const Param> params, Fetch fetch, RowFn fn, void* out) {
  if (failed_) misuse("a statement after the transaction failed");
  if (running_) misuse("a statement inside each()");
  struct Running {
    bool& flag;
    explicit Running(bool& f) : flag(f) { flag = true; }
    ~Running() { flag = false; }
  } running(running_);
  try {
    if (params.size() != static_cast<std::size_t>(sql.parameters))
      misuse(fmt::format("{} parameters given: {}", params.size(), sql.text));
    for (const Param& p : params)
      if (p.kind == Param::Kind::text && !p.null && !storable_text({p.data, p.size}))
        misuse(fmt::format("a text parameter is not UTF-8 or has a NUL: {}", sql.text));
    return execute(sql, params, fetch, fn, out);
  } catch (...) {
    failed_ = true;
    throw;
  }
}

void Tx::script(std::string_view sql) {
  if (failed_) misuse("a script after the transaction failed");
  if (running_) misuse("a script inside each()");
  try {
    execute_script(sql);
  } catch (...) {
    failed_ = true;
    throw;
  }
}

void Tx::keep_only(void* out, Row& row) {
  auto& found = *static_cast<std::optional<Row>*>(out);
  if (found) misuse("one() found a second row");
  found.emplace(std::move(row));
}

std::unique_ptr<Database> open_database(const std::string& location) {
  if (location.starts_with("postgres://") || location.starts_with("postgresql://"))
    return open_postgres(location);
  return open_sqlite(location);
}

}  // namespace latchkey::store
