#include "auth/core/fields.h"

#include <algorithm>
#include <limits>

#include "base/time.h"

namespace latchkey::auth {
namespace {

/// Truthy as JavaScript says it: only such a value trips FIELD_NOT_ALLOWED.
bool truthy(const json::Value& v) {
  if (v.is_null()) return false;
  if (const bool* b = v.boolean()) return *b;
  if (const auto* i = v.integer()) return *i != 0;
  if (const auto* s = v.string()) return !s->empty();
  return true;
}

bool all_of(const json::Value& v, bool (*is)(const json::Value&)) {
  return v.array() && std::ranges::all_of(*v.array(), is);
}

}  // namespace

bool is_column_name(std::string_view s) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !s.empty() && s.size() <= 63 && letter(s[0]) &&
         std::ranges::all_of(s, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::optional<json::Value> accept(const Field& field, const json::Value& value) {
  if (value.is_null()) return field.required ? std::nullopt : std::optional(json::Value());
  bool fits = false;
  switch (field.type) {
    case FieldType::string:
      fits = value.string() != nullptr;
      break;
    case FieldType::number: {
      const auto* n = value.integer();
      fits = n && *n >= std::numeric_limits<std::int32_t>::min() &&
             *n <= std::numeric_limits<std::int32_t>::max();
      break;
    }
    case FieldType::bigint:
      fits = value.integer() != nullptr;
      break;
    case FieldType::boolean:
      fits = value.boolean() != nullptr;
      break;
    case FieldType::date: {
      const auto t = value.string() ? parse_rfc3339(*value.string()) : std::nullopt;
      if (!t) return std::nullopt;
      return json::Value(rfc3339(*t));
    }
    case FieldType::string_array:
      fits = all_of(value, [](const json::Value& v) { return v.string() != nullptr; });
      break;
    case FieldType::number_array:
      fits = all_of(value, [](const json::Value& v) { return v.integer() || v.number(); });
      break;
    case FieldType::json:
      fits = true;
      break;
  }
  return fits ? std::optional(value) : std::nullopt;
}

void bind(store::Params& params, const Field& field, const json::Value& value) {
  if (value.is_null()) {
    params.add(nullptr);
    return;
  }
  const auto wrong = [&] {
    return store::Error(store::Error::Kind::misuse, "field " + field.name + ": a value of another type");
  };
  switch (field.type) {
    case FieldType::string:
      if (!value.string()) throw wrong();
      params.keep(*value.string());
      break;
    case FieldType::number:
    case FieldType::bigint:
      if (!value.integer()) throw wrong();
      params.add(*value.integer());
      break;
    case FieldType::boolean:
      if (!value.boolean()) throw wrong();
      params.add(store::Boolean{*value.boolean()});
      break;
    case FieldType::date: {
      const auto t = value.string() ? parse_rfc3339(*value.string()) : std::nullopt;
      if (!t) throw wrong();
      params.add(store::Date(*t));
      break;
    }
    case FieldType::string_array:
    case FieldType::number_array:
    case FieldType::json:
      params.keep(value.dump());
      break;
  }
}

json::Value read(const Field& field, const store::Row& row, std::size_t i) {
  if (row.is_null(i)) return {};
  switch (field.type) {
    case FieldType::string:
      return row.text(i);
    case FieldType::number:
    case FieldType::bigint:
      return row.int64(i);
    case FieldType::boolean:
      return row.boolean(i);
    case FieldType::date:
      return rfc3339(row.date(i));
    case FieldType::string_array:
    case FieldType::number_array:
    case FieldType::json: {
      auto value = json::parse(row.text(i));
      return value ? std::move(*value) : json::Value();  // what another program wrote need not be JSON
    }
  }
  std::abort();
}

Result<json::Object, Fault> writable_fields(const std::vector<Field>& fields, const json::Object& body,
                                            Writing writing) {
  json::Object out;
  for (const Field& field : fields) {
    const json::Value* given = body.find(field.name);
    if (given && !field.input) {
      const bool silent = !truthy(*given) || (writing == Writing::create && !field.default_value.is_null());
      if (!silent) return fail(Fault(400, "FIELD_NOT_ALLOWED", field.name + " is not allowed to be set"));
      given = nullptr;
    }
    if (given) {
      auto value = accept(field, *given);
      if (!value) return fail(Fault(400, "VALIDATION_ERROR", "[body." + field.name + "] Invalid input"));
      out.append(field.name, std::move(*value));
    } else if (writing == Writing::create && !field.default_value.is_null()) {
      out.append(field.name, field.default_value);
    } else if (writing == Writing::create && field.required && field.input) {
      return fail(Fault(400, "MISSING_FIELD", field.name + " is required"));
    }
  }
  return out;
}

}  // namespace latchkey::auth
