#pragma once
// One XRPC call as a method's handler sees it, and how to read its parameters.

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "atproto/cid/cid.h"
#include "atproto/syntax/at_identifier.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "atproto/syntax/nsid.h"
#include "atproto/syntax/record_key.h"
#include "atproto/xrpc/error.h"
#include "base/json.h"
#include "base/url.h"
#include "pds/authenticator.h"
#include "web/http.h"

namespace latchkey::pds {

class Pds;

std::unexpected<xrpc::Fault> refuse(xrpc::Error code, std::string message);
std::unexpected<xrpc::Fault> invalid(std::string message);  // InvalidRequest

/// How a type's format is called in messages to clients.
template <class T>
constexpr std::string_view k_format = "value";
template <>
inline constexpr std::string_view k_format<Did> = "did";
template <>
inline constexpr std::string_view k_format<Handle> = "handle";
template <>
inline constexpr std::string_view k_format<AtIdentifier> = "did or a handle";
template <>
inline constexpr std::string_view k_format<Nsid> = "nsid";
template <>
inline constexpr std::string_view k_format<RecordKey> = "Record Key";
template <>
inline constexpr std::string_view k_format<Cid> = "cid";

struct Call {
  web::Request request;
  FormFields query;   // of queries
  json::Value input;  // of procedures with input: an object
  Caller caller;

  const Credentials& who() const { return *caller.account; }  // Access::session…

  // Query parameters. A name given twice is refused: no method here takes arrays.
  Result<std::optional<std::string>, xrpc::Fault> text_param(std::string_view name) const;
  Result<std::int64_t, xrpc::Fault> int_param(std::string_view name, std::int64_t min, std::int64_t max,
                                              std::int64_t otherwise) const;
  Result<bool, xrpc::Fault> bool_param(std::string_view name, bool otherwise) const;
  template <class T>
  Result<std::optional<T>, xrpc::Fault> optional_param(std::string_view name) const {
    TRY(auto text, text_param(name));
    if (!text) return std::optional<T>();
    return parsed<T>("Params", name, *text);
  }
  template <class T>
  Result<T, xrpc::Fault> param(std::string_view name) const {
    TRY(auto value, optional_param<T>(name));
    if (!value) return missing("Params", name);
    return *std::move(value);
  }

  // Members of the input. Absent and null are not the same: null is refused unless a method says otherwise.
  Result<std::optional<std::string>, xrpc::Fault> text_input(std::string_view name) const {
    return text_member(input, "Input", name);
  }
  Result<std::string, xrpc::Fault> required_text(std::string_view name) const;
  Result<std::optional<bool>, xrpc::Fault> bool_input(std::string_view name) const;
  template <class T>
  Result<std::optional<T>, xrpc::Fault> optional_input(std::string_view name) const {
    return optional_member<T>(input, "Input", name);
  }
  template <class T>
  Result<T, xrpc::Fault> required(std::string_view name) const {
    return member<T>(input, "Input", name);
  }

  // The same for objects inside the input.
  static Result<std::optional<std::string>, xrpc::Fault> text_member(const json::Value& object,
                                                                     std::string_view where,
                                                                     std::string_view name);
  template <class T>
  static Result<std::optional<T>, xrpc::Fault> optional_member(const json::Value& object,
                                                               std::string_view where,
                                                               std::string_view name) {
    TRY(auto text, text_member(object, where, name));
    if (!text) return std::optional<T>();
    return parsed<T>(where, name, *text);
  }
  template <class T>
  static Result<T, xrpc::Fault> member(const json::Value& object, std::string_view where,
                                       std::string_view name) {
    TRY(auto value, optional_member<T>(object, where, name));
    if (!value) return missing(where, name);
    return *std::move(value);
  }

  static std::unexpected<xrpc::Fault> missing(std::string_view where, std::string_view name);
  static std::unexpected<xrpc::Fault> malformed(std::string_view where, std::string_view name,
                                                std::string_view format);

 private:
  template <class T>
  static Result<std::optional<T>, xrpc::Fault> parsed(std::string_view where, std::string_view name,
                                                      std::string_view text) {
    auto value = T::parse(text);
    if (!value) return malformed(where, name, k_format<T>);
    return std::optional<T>(*std::move(value));
  }
};

using Answer = Result<web::Response, xrpc::Fault>;

}  // namespace latchkey::pds
