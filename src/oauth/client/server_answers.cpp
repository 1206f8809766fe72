#include "oauth/client/server_answers.h"

#include <algorithm>

#include "base/json.h"
#include "oauth/scopes/scopes.h"

namespace latchkey::oauth::client {
namespace {

using Kind = ServerAnswerError::Kind;

constexpr std::size_t k_max_request_uri = 4096, k_max_token = 16 * 1024, k_max_error = 128;
constexpr std::int64_t k_max_lifetime = 10LL * 365 * 86'400;

auto unusable(std::string message) { return fail(ServerAnswerError{Kind::unusable, std::move(message)}); }

Result<json::Value, ServerAnswerError> parse_object(std::string_view text) {
  auto body = json::parse(text, {.max_depth = 16});
  if (!body) return fail(ServerAnswerError{Kind::broken, "not JSON: " + body.error().message});
  if (!body->object()) return fail(ServerAnswerError{Kind::broken, "not a JSON object"});
  return *std::move(body);
}

bool is_printable(std::string_view s) {
  return std::ranges::all_of(s, [](char c) { return c >= 0x20 && c < 0x7f; });
}

/// RFC 9110 §11.2: letters, digits and -._~+/ with '=' at the end.
bool is_token68(std::string_view s) {
  while (s.ends_with('=')) s.remove_suffix(1);
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~+/").contains(c);
  });
}

bool equal_no_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

Result<std::string, ServerAnswerError> parse_pushed_answer(std::string_view text) {
  TRY(const auto body, parse_object(text));
  const auto* uri = body.string_at("request_uri");
  if (!uri || uri->empty() || uri->size() > k_max_request_uri || !is_printable(*uri))
    return unusable("no usable request_uri");
  return *uri;
}

Result<TokenAnswer, ServerAnswerError> TokenAnswer::parse(std::string_view text) {
  TRY(const auto body, parse_object(text));
  const auto* type = body.string_at("token_type");
  if (!type || !equal_no_case(*type, "DPoP")) return unusable("token_type is not DPoP");
  const auto* access = body.string_at("access_token");
  if (!access || access->size() > k_max_token || !is_token68(*access)) return unusable("no access_token");
  const auto* sub = body.string_at("sub");
  auto did = sub ? Did::parse(*sub) : Result<Did, SyntaxError>(std::unexpect, SyntaxError{"absent"});
  if (!did) return unusable("sub is not a DID");
  // "Clients should reject token responses if they don't contain a scope field, or if the scope field does
  // not contain atproto."
  const auto* scope = body.string_at("scope");
  const auto scopes = scope ? ScopeSet::parse(*scope) : Result<ScopeSet, ScopeError>(std::unexpect);
  if (!scopes || !scopes->has(k_scope_atproto)) return unusable("scope does not include atproto");

  TokenAnswer answer{.sub = *std::move(did),
                     .access_token = Secret<std::string>(*access),
                     .refresh_token = {},
                     .scope = *scope,
                     .expires_in = {}};
  if (const auto* member = body.find("refresh_token")) {
    const auto* refresh = member->string();
    if (!refresh || refresh->empty() || refresh->size() > k_max_token || !is_printable(*refresh))
      return unusable("refresh_token is not usable");
    answer.refresh_token = Secret<std::string>(*refresh);
  }
  if (const auto* expires = body.find("expires_in")) {
    if (!expires->integer() || *expires->integer() < 0)
      return unusable("expires_in is not a number of seconds");
    answer.expires_in = std::chrono::seconds(std::min(*expires->integer(), k_max_lifetime));
  }
  return answer;
}

std::string error_code(std::string_view text) {
  if (text.size() > k_max_error || !is_printable(text) ||
      text.find_first_of("\"\\") != std::string_view::npos)
    return {};
  return std::string(text);
}

}  // namespace latchkey::oauth::client
