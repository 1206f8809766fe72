#pragma once
// Which calls /bsky/xrpc makes for a user, and what of a message passes: lists of what may, nothing else.

#include "auth/plugins/atproto/atproto.h"
#include "web/http.h"

namespace latchkey::auth::bsky {

class AllowedCalls {
 public:
  /// Throws std::invalid_argument for a method that is neither an NSID nor "group.*", or an audience that is
  /// no DID with a service.
  explicit AllowedCalls(std::vector<AllowedCall> calls);
  bool allows(std::string_view nsid, std::string_view audience) const;

 private:
  std::vector<AllowedCall> calls_;
};

/// What passes beside the media type; atproto-proxy is checked before.
inline constexpr std::string_view k_call_headers[] = {"accept-language", "atproto-accept-labelers",
                                                      "atproto-proxy"};
inline constexpr std::string_view k_answer_headers[] = {
    "atproto-repo-rev", "atproto-content-labelers", "ratelimit-limit", "ratelimit-remaining",
    "ratelimit-reset",  "ratelimit-policy",         "retry-after"};

HeaderList call_headers(const web::Request& request);
/// What forms of other sites can post without being asked about it (Fetch, "CORS-safelisted request-header").
bool is_form_type(std::string_view media_type);
/// The answer as the app passes it on: its status and body, and the headers that say something about them. It
/// comes from the origin of the app, so it is never a page or a script there.
web::Response call_answer(FetchResponse answer, bool https);

}  // namespace latchkey::auth::bsky
