#include <algorithm>

#include "auth/core/auth.h"
#include "auth/core/expose.h"
#include "auth/plugins/bearer/bearer.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

/// RFC 9110 §11.4: the scheme in any case, spaces, the token; "" when there is none.
std::string_view bearer_token(std::string_view header) {
  constexpr std::string_view scheme = "bearer ";
  if (lower_case(header.substr(0, scheme.size())) != scheme) return {};
  header.remove_prefix(scheme.size());
  const auto first = header.find_first_not_of(' '), last = header.find_last_not_of(' ');
  return first == header.npos ? std::string_view() : header.substr(first, last - first + 1);
}

// A token that is nobody's still takes the place of the cookie: the request is the one whom it names, or
// nobody. One whose signature is not ours is not looked at.
Task<Result<void, Fault>> take_token(BearerOptions options, Context& c) {
  const auto token = bearer_token(c.request.headers.get("authorization"));
  if (token.find('.') != token.npos) {
    const auto decoded = percent_decode(token);
    if (auto value = c.auth.cookies().verify(decoded ? *decoded : std::string(token)))
      c.use_session_token(*std::move(value));
  } else if (!token.empty() && options.signature == BearerOptions::Signature::accepted) {
    c.use_session_token(std::string(token));
  }
  co_return Result<void, Fault>();
}

/// What the session cookie says, where there is no cookie jar.
Task<void> tell_token(Context& c, web::Response& response) {
  const auto it =
      std::ranges::find(c.cookies(), c.auth.cookies().name("session_token"), &web::SetCookie::name);
  if (it == c.cookies().end() || it->value.empty()) co_return;
  if (auto value = percent_decode(it->value)) set_exposed(response, "set-auth-token", *std::move(value));
}

}  // namespace

Plugin bearer(BearerOptions options) {
  return {.id = "bearer",
          .before = {{.matches = [](const Context& c) { return c.request.headers.has("authorization"); },
                      .run = [options](Context& c) { return take_token(options, c); }}},
          .after = {{.run = tell_token}}};
}

}  // namespace latchkey::auth
