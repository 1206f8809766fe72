#pragma once
// OAuth scopes (RFC 6749 §3.3) with the AT Protocol's rules. Source: https://atproto.com/specs/oauth,
// "Scopes".

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace latchkey::oauth {

inline constexpr std::string_view k_scope_atproto = "atproto";
inline constexpr std::string_view k_scope_generic = "transition:generic";
inline constexpr std::string_view k_scope_email = "transition:email";
inline constexpr std::string_view k_scope_chat = "transition:chat.bsky";

struct ScopeError {
  std::string detail;  // fit for error_description of invalid_scope
};

/// Scope tokens, each once, in the order they were first written. Case-sensitive.
class ScopeSet {
 public:
  /// The empty set: what an intersection may leave. parse() never returns it, an empty `scope` is an error.
  ScopeSet() = default;
  /// Tokens with exactly one space between; at most 8192 bytes and 256 tokens.
  static Result<ScopeSet, ScopeError> parse(std::string_view text);
  /// The same for what stands in an access token, where permission sets are expanded: at most 16 KiB and
  /// 1024 tokens.
  static Result<ScopeSet, ScopeError> parse_expanded(std::string_view text);
  /// Of these tokens; what is malformed or repeated is dropped.
  static ScopeSet of(const std::vector<std::string>& tokens);

  bool has(std::string_view token) const;
  bool includes(const ScopeSet& other) const;       // every token of `other` is here
  ScopeSet intersect(const ScopeSet& other) const;  // in the order of this set
  ScopeSet known() const;                           // without tokens this server knows nothing of
  std::string str() const;                          // space separated
  const std::vector<std::string>& tokens() const { return tokens_; }
  bool empty() const { return tokens_.empty(); }
  bool operator==(const ScopeSet& other) const;  // as sets

 private:
  std::vector<std::string> tokens_;
};

/// atproto, transition:generic, transition:email, transition:chat.bsky, or a permission (permissions.h).
bool is_known_scope(std::string_view token);

/// What every atproto request must satisfy: `atproto` is there and `openid` is not. (transition:chat.bsky
/// without transition:generic is no error; it grants nothing.)
Result<void, ScopeError> check_atproto_scopes(const ScopeSet&);

}  // namespace latchkey::oauth
