#include "oauth/scopes/scopes.h"

#include <algorithm>

#include "oauth/scopes/permissions.h"

namespace latchkey::oauth {
namespace {

struct Limits {
  std::size_t bytes, tokens;
};
constexpr Limits k_as_asked{8192, 256}, k_expanded{16 * 1024, 1024};

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
bool is_scope_token(std::string_view token) {
  return !token.empty() && std::ranges::all_of(token, [](char c) {
    return c == 0x21 || (c >= 0x23 && c <= 0x5b) || (c >= 0x5d && c <= 0x7e);
  });
}

bool contains(const std::vector<std::string>& tokens, std::string_view token) {
  return std::ranges::find(tokens, token) != tokens.end();
}

Result<std::vector<std::string>, ScopeError> split(std::string_view text, Limits limits) {
  if (text.empty()) return fail(ScopeError{"scope is empty"});
  if (text.size() > limits.bytes) return fail(ScopeError{"scope is too long"});
  std::vector<std::string> out;
  for (std::size_t count = 0;; ++count) {
    if (count == limits.tokens) return fail(ScopeError{"too many scopes"});
    const auto space = text.find(' ');
    const std::string_view token = text.substr(0, space);
    if (!is_scope_token(token)) return fail(ScopeError{"scope is malformed"});
    if (!contains(out, token)) out.emplace_back(token);
    if (space == std::string_view::npos) return out;
    text.remove_prefix(space + 1);
  }
}

}  // namespace

Result<ScopeSet, ScopeError> ScopeSet::parse(std::string_view text) {
  ScopeSet out;
  TRY(out.tokens_, split(text, k_as_asked));
  return out;
}

Result<ScopeSet, ScopeError> ScopeSet::parse_expanded(std::string_view text) {
  ScopeSet out;
  TRY(out.tokens_, split(text, k_expanded));
  return out;
}

ScopeSet ScopeSet::of(const std::vector<std::string>& tokens) {
  ScopeSet out;
  for (const auto& token : tokens)
    if (is_scope_token(token) && !out.has(token)) out.tokens_.push_back(token);
  return out;
}

bool ScopeSet::has(std::string_view token) const { return contains(tokens_, token); }

bool ScopeSet::includes(const ScopeSet& other) const {
  return std::ranges::all_of(other.tokens_, [&](const auto& t) { return has(t); });
}

ScopeSet ScopeSet::intersect(const ScopeSet& other) const {
  ScopeSet out;
  std::ranges::copy_if(tokens_, std::back_inserter(out.tokens_), [&](const auto& t) { return other.has(t); });
  return out;
}

ScopeSet ScopeSet::known() const {
  ScopeSet out;
  std::ranges::copy_if(tokens_, std::back_inserter(out.tokens_), is_known_scope);
  return out;
}

std::string ScopeSet::str() const {
  std::string out;
  for (const auto& token : tokens_) {
    if (!out.empty()) out += ' ';
    out += token;
  }
  return out;
}

bool ScopeSet::operator==(const ScopeSet& other) const {
  return tokens_.size() == other.tokens_.size() && includes(other);  // each token is there once
}

bool is_known_scope(std::string_view token) {
  return token == k_scope_atproto || token == k_scope_generic || token == k_scope_email ||
         token == k_scope_chat || parse_permission(token);
}

Result<void, ScopeError> check_atproto_scopes(const ScopeSet& scopes) {
  if (!scopes.has(k_scope_atproto)) return fail(ScopeError{"the scope atproto is required"});
  if (scopes.has("openid")) return fail(ScopeError{"OpenID Connect is not supported"});
  return {};
}

}  // namespace latchkey::oauth
