#pragma once
// From the one SQL text to the engine's: placeholders, and the types of the schema.

#include <string>
#include <string_view>

namespace latchkey::store {

/// ?1 becomes $1, outside of literals, quoted names and comments.
std::string postgres_statement(std::string_view sql);

/// CREATE TABLE and ALTER TABLE as migrate.h describes; other statements stay as they are.
std::string postgres_script(std::string_view sql);
std::string sqlite_script(std::string_view sql);

}  // namespace latchkey::store
