#pragma once
// What an authorization server answers to a pushed request and to a token request. Everything in it was
// written by a stranger: parsed here, bounded, and past this point valid.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "atproto/syntax/did.h"
#include "base/result.h"
#include "base/secret.h"

namespace latchkey::oauth::client {

struct ServerAnswerError {
  /// broken: no JSON object, perhaps cut short on the way. unusable: one that breaks the profile.
  enum class Kind { broken, unusable };
  Kind kind;
  std::string message;
};

/// The request_uri of an answer to a pushed request (RFC 9126 §2.2): printable ASCII, at most 4096 bytes.
Result<std::string, ServerAnswerError> parse_pushed_answer(std::string_view json);

/// RFC 6749 §5.1, RFC 9449 §5, https://atproto.com/specs/oauth#identity-authentication
struct TokenAnswer {
  Did sub;
  Secret<std::string> access_token;                  // token68 (RFC 9449 §7.1): goes into a header as it is
  std::optional<Secret<std::string>> refresh_token;  // printable ASCII (RFC 6749 appendix A.17)
  std::string scope;                                 // includes atproto
  std::optional<std::chrono::seconds> expires_in;    // at most ten years

  static Result<TokenAnswer, ServerAnswerError> parse(std::string_view json);
};

/// The `error` of an answer or redirect when it is one (RFC 6749 §4.1.2.1, §5.2: printable ASCII without
/// quotation mark and backslash, here at most 128 bytes); "" otherwise.
std::string error_code(std::string_view text);

}  // namespace latchkey::oauth::client
