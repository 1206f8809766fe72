#pragma once
// What a route takes: its media types, and the members of its JSON body or query. Violations are told in the
// words of zod, which clients show to developers.

#include <optional>
#include <string>
#include <vector>

#include "auth/core/error.h"
#include "base/json.h"
#include "web/http.h"

namespace latchkey::auth {

enum class Type { string, email, boolean, number, object, array, strings, any };

struct Member {
  std::string name;
  Type type = Type::string;
  enum class Presence {
    required,
    optional,
    nullable
  } presence = Presence::required;  // nullable: optional too
  std::vector<std::string> one_of = {};
};
// Short forms, to be read in a route: {.body = Shape{{text("email"), optional_flag("rememberMe")}}}
inline Member text(std::string name) { return {std::move(name)}; }
inline Member email(std::string name) { return {std::move(name), Type::email}; }
inline Member optional_text(std::string name) {
  return {std::move(name), Type::string, Member::Presence::optional};
}
inline Member optional_flag(std::string name) {
  return {std::move(name), Type::boolean, Member::Presence::optional};
}
inline Member one_of(std::string name, std::vector<std::string> options) {
  return {std::move(name), Type::string, Member::Presence::required, std::move(options)};
}

struct Shape {
  std::vector<Member> members = {};
  enum class Others { ignored, refused } others = Others::ignored;
  enum class Absent { refused, allowed } absent = Absent::refused;  // a request without a body
};

/// VALIDATION_ERROR with every problem: "[body.email] Invalid input: expected string, received undefined; …".
/// `part` is "body" or "query".
Result<void, Fault> check(const Shape& shape, const json::Object& object, std::string_view part);
/// The same for what is no object; nullptr: nothing was sent.
Result<void, Fault> check_other(const Shape& shape, const json::Value* value, std::string_view part);

/// Query or form fields as JSON: strings, and arrays of strings for repeated names.
json::Object object_of(const FormFields& fields);

/// More than any member of a body has use for, pictures in data: URLs included; 413 PAYLOAD_TOO_LARGE.
inline constexpr std::size_t k_max_body = 256 * 1024;

/// The body as JSON (contract, section 1); std::nullopt when there is none. `forms`: this route takes HTML
/// forms as well, whose "true", "false" and "on" become booleans where `shape` says so.
enum class Forms { refused, taken };
Result<std::optional<json::Value>, Fault> parse_body(const web::Request& request, Forms forms,
                                                     const Shape* shape);

}  // namespace latchkey::auth
