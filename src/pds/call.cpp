#include "pds/call.h"

#include <charconv>

namespace latchkey::pds {

using xrpc::Error;
using xrpc::Fault;

std::unexpected<Fault> refuse(Error code, std::string message) {
  return fail(Fault{.code = code, .message = std::move(message)});
}

std::unexpected<Fault> invalid(std::string message) {
  return refuse(Error::InvalidRequest, std::move(message));
}

std::unexpected<Fault> Call::missing(std::string_view where, std::string_view name) {
  return invalid(std::string(where) + " must have the property \"" + std::string(name) + "\"");
}

std::unexpected<Fault> Call::malformed(std::string_view where, std::string_view name,
                                       std::string_view format) {
  return invalid(std::string(where) + "/" + std::string(name) + " must be a valid " + std::string(format));
}

Result<std::optional<std::string>, Fault> Call::text_param(std::string_view name) const {
  const std::string* found = nullptr;
  for (const auto& [key, value] : query) {
    if (key != name) continue;
    if (found) return invalid("Params/" + std::string(name) + " must not be given twice");
    found = &value;
  }
  if (!found) return std::optional<std::string>();
  return std::optional(*found);
}

Result<std::int64_t, Fault> Call::int_param(std::string_view name, std::int64_t min, std::int64_t max,
                                            std::int64_t otherwise) const {
  TRY(auto text, text_param(name));
  if (!text) return otherwise;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return malformed("Params", name, "integer");
  if (value < min)
    return invalid("Params/" + std::string(name) + " can not be less than " + std::to_string(min));
  if (value > max)
    return invalid("Params/" + std::string(name) + " can not be greater than " + std::to_string(max));
  return value;
}

Result<bool, Fault> Call::bool_param(std::string_view name, bool otherwise) const {
  TRY(auto text, text_param(name));
  if (!text) return otherwise;
  if (*text == "true") return true;
  if (*text == "false") return false;
  return malformed("Params", name, "boolean");
}

Result<std::string, Fault> Call::required_text(std::string_view name) const {
  TRY(auto text, text_input(name));
  if (!text) return missing("Input", name);
  return *std::move(text);
}

Result<std::optional<bool>, Fault> Call::bool_input(std::string_view name) const {
  const auto* value = input.find(name);
  if (!value) return std::optional<bool>();
  if (!value->boolean()) return malformed("Input", name, "boolean");
  return std::optional(*value->boolean());
}

Result<std::optional<std::string>, Fault> Call::text_member(const json::Value& object, std::string_view where,
                                                            std::string_view name) {
  const auto* value = object.find(name);
  if (!value) return std::optional<std::string>();
  if (!value->string()) return malformed(where, name, "string");
  return std::optional(*value->string());
}

}  // namespace latchkey::pds
