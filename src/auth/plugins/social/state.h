#pragma once
// What is remembered between leaving for a provider and coming back: a row of `verification` that is good
// once, and a signed cookie that binds it to the browser (better-auth contract, section 10).

#include "auth/core/auth.h"

namespace latchkey::auth {

inline constexpr std::chrono::minutes k_state_lifetime{10};
inline constexpr std::chrono::seconds k_state_cookie_lifetime{300};
inline constexpr std::size_t k_max_additional_data = 4096;

/// Who asked to link an account, and in which session: one that was ended meanwhile links nothing.
struct LinkRequest {
  std::string user_id, email, session_id;
};

struct OAuthState {
  std::string provider;  // an answer of another provider is not for this state
  std::string code_verifier;
  std::string callback_url;
  std::optional<std::string> error_url, new_user_url;
  std::optional<std::string> nonce;
  std::optional<LinkRequest> link;
  bool request_sign_up = false;
  json::Object additional = {};  // what the client wants to find in the row

  json::Object to_json(std::string_view state, Time expires_at) const;
  /// std::nullopt for what this program did not write.
  static std::optional<OAuthState> parse(std::string_view text);
};

/// Stores the row and sets the cookie; gives the value of `state`.
Task<std::string> remember_state(Context& context, OAuthState state);

struct ReturnedState {
  enum class Verdict {
    unknown,        // never issued, used before, or long gone
    other_browser,  // the cookie is missing or another one's. The row stays for the browser it belongs to
    expired,
    accepted,
  } verdict;
  std::optional<OAuthState> state = {};  // but for unknown
};
/// Takes the row of the callback's `state`. Of two racing callbacks one is accepted.
Task<ReturnedState> take_state(Context& context, std::string provider, std::string state);

}  // namespace latchkey::auth
