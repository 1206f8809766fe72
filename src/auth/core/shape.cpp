#include "auth/core/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/core/users.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

std::string_view kind_of(const json::Value* v) {
  if (!v) return "undefined";
  if (v->is_null()) return "null";
  if (v->boolean()) return "boolean";
  if (v->integer() || v->number()) return "number";
  if (v->string()) return "string";
  return v->array() ? "array" : "object";
}

std::string_view expected(Type type) {
  switch (type) {
    case Type::string:
    case Type::email:
      return "string";
    case Type::boolean:
      return "boolean";
    case Type::number:
      return "number";
    case Type::object:
      return "object";
    case Type::array:
    case Type::strings:
      return "array";
    case Type::any:
      return "";
  }
  std::abort();
}

bool fits(Type type, const json::Value& v) {
  switch (type) {
    case Type::string:
    case Type::email:
      return v.string();
    case Type::boolean:
      return v.boolean();
    case Type::number:
      return v.integer() || v.number();
    case Type::object:
      return v.object();
    case Type::array:
    case Type::strings:
      return v.array();
    case Type::any:
      return true;
  }
  std::abort();
}

std::string wrong_kind(Type type, const json::Value* v) {
  if (type == Type::any) return "Invalid input";
  return fmt::format("Invalid input: expected {}, received {}", expected(type), kind_of(v));
}

/// What is wrong with a member, or "".
std::string problem(const Member& m, const json::Value* v) {
  if (!v) return m.presence == Member::Presence::required ? wrong_kind(m.type, v) : "";
  if (v->is_null() && m.presence == Member::Presence::nullable) return "";
  if (!m.one_of.empty()) {
    if (v->string() && std::ranges::find(m.one_of, *v->string()) != m.one_of.end()) return "";
    std::string options;
    for (const auto& o : m.one_of) options += fmt::format("{}\"{}\"", options.empty() ? "" : "|", o);
    return fmt::format("Invalid option: expected one of {}", options);
  }
  if (!fits(m.type, *v)) return wrong_kind(m.type, v);
  if (m.type == Type::email && !is_email(*v->string())) return "Invalid email address";
  if (m.type == Type::strings)
    for (const json::Value& item : *v->array())
      if (!item.string()) return wrong_kind(Type::string, &item);
  return "";
}

std::unexpected<Fault> invalid(std::string message) {
  return std::unexpected(Fault(400, "VALIDATION_ERROR", std::move(message)));
}

/// Neither database has a place for U+0000 in text.
bool has_nul(const json::Value& v) {
  if (const auto* s = v.string()) return s->find('\0') != s->npos;
  if (const auto* a = v.array()) return std::ranges::any_of(*a, has_nul);
  if (const auto* o = v.object())
    return std::ranges::any_of(*o, [](const auto& m) { return has_nul(m.value) || has_nul(m.key); });
  return false;
}

}  // namespace

Result<void, Fault> check(const Shape& shape, const json::Object& object, std::string_view part) {
  std::string problems;
  for (const Member& m : shape.members)
    if (const std::string p = problem(m, object.find(m.name)); !p.empty())
      problems += fmt::format("{}[{}.{}] {}", problems.empty() ? "" : "; ", part, m.name, p);
  if (!problems.empty()) return invalid(std::move(problems));
  if (shape.others == Shape::Others::refused)
    for (const auto& [name, _] : object)
      if (std::ranges::find(shape.members, name, &Member::name) == shape.members.end())
        return invalid(fmt::format("[{}] Invalid input", part));
  return {};
}

Result<void, Fault> check_other(const Shape& shape, const json::Value* value, std::string_view part) {
  if (!value && shape.absent == Shape::Absent::allowed) return {};
  return invalid(fmt::format("[{}] {}", part, wrong_kind(Type::object, value)));
}

json::Object object_of(const FormFields& fields) {
  json::Object out;
  for (const auto& [name, value] : fields) {
    json::Value* const before = out.find(name);
    if (!before) {
      out.append(name, value);
    } else if (before->array()) {
      before->array()->push_back(value);
    } else {
      json::Array both{*before, value};
      out.set(name, std::move(both));
    }
  }
  return out;
}

Result<std::optional<json::Value>, Fault> parse_body(const web::Request& request, Forms forms,
                                                     const Shape* shape) {
  if (request.body.size() > k_max_body)
    return fail(Fault(413, "PAYLOAD_TOO_LARGE", "Request body is too large"));
  const std::string type = request.content_type();
  if (type.empty()) return std::nullopt;  // as the Node adapter: what is not declared is not read
  const bool form = type == "application/x-www-form-urlencoded" && forms == Forms::taken;
  if (request.body.empty() && type == "application/json") return std::nullopt;
  if (type != "application/json" && !form) {
    if (request.body.empty()) return std::nullopt;
    return fail(Fault(415, "UNSUPPORTED_MEDIA_TYPE",
                      fmt::format("Content-Type \"{}\" is not allowed. Allowed types: {}application/json",
                                  type, forms == Forms::taken ? "application/x-www-form-urlencoded, " : "")));
  }
  if (!form) {
    auto value = json::parse(request.body);
    if (!value) return refuse(Error::BAD_REQUEST);
    if (has_nul(*value)) return invalid("[body] Invalid input");
    return std::optional(std::move(*value));
  }
  const auto fields = request.form();
  if (!fields) return fail(Fault(400, "BAD_REQUEST", "Invalid form in request body"));
  json::Object object = object_of(*fields);
  if (shape)
    for (const Member& m : shape->members)
      if (json::Value* v = object.find(m.name); v && m.type == Type::boolean && v->string()) {
        if (*v->string() == "true" || *v->string() == "on")
          *v = true;
        else if (*v->string() == "false")
          *v = false;
      }
  return std::optional<json::Value>(std::move(object));
}

}  // namespace latchkey::auth
