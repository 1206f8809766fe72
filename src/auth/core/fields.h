#pragma once
// Columns as data: the core's tables, the additional fields of user and session, and the tables of plugins.

#include <optional>
#include <string>
#include <vector>

#include "auth/core/error.h"
#include "base/json.h"
#include "store/database.h"

namespace latchkey::auth {

enum class FieldType {
  string,
  number,  // a 32-bit integer, what a JavaScript program reading the same table expects
  bigint,
  boolean,
  date,  // in JSON ISO 8601 with milliseconds and Z
  string_array,
  number_array,
  json,
};
enum class OnDelete { restrict, cascade };

/// A column, and its member in JSON of the same name: [A-Za-z_][A-Za-z0-9_]*, 63 characters at most.
struct Field {
  std::string name;
  FieldType type = FieldType::string;
  bool required = false;  // NOT NULL, and MISSING_FIELD when a new row lacks it
  bool unique = false;
  bool index = false;
  bool input = true;     // clients may set it (user and session fields)
  bool returned = true;  // clients see it
  json::Value default_value = {};
  std::string references = {};  // a table whose id this is: "user", or a plugin's
  OnDelete on_delete = OnDelete::cascade;
};

/// A table of a plugin. The column `id TEXT PRIMARY KEY` comes by itself.
struct Table {
  std::string name;
  std::vector<Field> fields;
};

bool is_column_name(std::string_view);

/// What a client sent for a field: the value to store (arrays and dates checked), or std::nullopt when it has
/// another type. null is fine for fields that are not required.
std::optional<json::Value> accept(const Field& field, const json::Value& value);

/// A JSON value as the parameter of its column, and back.
void bind(store::Params& params, const Field& field, const json::Value& value);
json::Value read(const Field& field, const store::Row& row, std::size_t column);

/// The fields a client may set, out of a request's body. FIELD_NOT_ALLOWED for one with input = false, unless
/// this is a creation and the field has a default; unknown members are passed over.
enum class Writing { create, update };
Result<json::Object, Fault> writable_fields(const std::vector<Field>& fields, const json::Object& body,
                                            Writing writing);

}  // namespace latchkey::auth
