#pragma once
// "Sign in with Bluesky": atproto accounts as users of the app, and calls on their behalf (better-auth
// contract, section 11).
//
//   auth::Atproto bluesky({.fetch = fetch, .resolver = resolver, .private_keys = {pem}});
//   auth::Auth auth({…, .plugins = {bluesky.plugin()}});
//   …
//   CO_TRY(auto session, co_await bluesky.session_of(user.id));
//   CO_TRY(auto answer, co_await session.call("GET", "app.bsky.feed.getTimeline", {}));

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atproto/identity/resolver.h"
#include "auth/core/plugin.h"
#include "base/fetch.h"
#include "base/secret.h"
#include "oauth/client/client.h"

namespace latchkey::auth {

/// What people read about the app on the authorization page. URLs are https.
struct AtprotoClientMetadata {
  std::string client_name = {};
  std::string client_uri = {};
  std::string logo_uri = {};
  std::string tos_uri = {};
  std::string policy_uri = {};
  std::string scope = "atproto transition:generic";
};

/// What an account says about itself, made safe to keep: bounded, without control characters, URLs http(s).
struct AtprotoProfile {
  Did did;
  std::optional<Handle> handle;  // verified in both directions
  std::string display_name;      // "" when there is none; so are the following
  std::string description;
  std::string avatar;
  std::string banner;
};

/// Name and picture of the user. What is absent stays as it is; a new user needs a name, and gets the
/// default.
struct AtprotoUserFields {
  std::optional<std::string> name = {};
  std::optional<std::string> image = {};
};
/// Without an own one: the display name, or "@" and the handle; and the avatar.
using MapAtprotoProfile = std::function<AtprotoUserFields(const AtprotoProfile&)>;

/// POST and GET /bsky/xrpc/<nsid> call with the user's session what is listed, and nothing else.
struct AllowedCall {
  std::string method;  // "app.bsky.feed.getTimeline", or everything below: "app.bsky.feed.*"
  std::string audience =
      {};  // "": the account's PDS; or "did:web:api.bsky.app#bsky_appview", for atproto-proxy
};

struct AtprotoOptions {
  Fetch& fetch;
  identity::Resolver& resolver;

  /// ES256 in PEM. The first signs for new sessions; older ones stay until no session is bound to them.
  /// Needed when the base URL is https; not used on http://localhost and http://127.0.0.1, where the client
  /// is one of development.
  std::vector<Secret<std::string>> private_keys = {};
  AtprotoClientMetadata client = {};
  MapAtprotoProfile map_profile_to_user = {};
  /// Only users who are there already, by this account or another way in.
  bool disable_sign_up = false;

  /// When name, picture, bio and banner are read. The handle is always brought up to date. Users with an
  /// e-mail address keep the name and picture they have, unless account.linking.update_user_info_on_link is
  /// on.
  enum class ProfileSync { off, at_sign_up, at_every_sign_in } profile_sync = ProfileSync::at_every_sign_in;

  oauth::client::PlainHttp plain_http = oauth::client::PlainHttp::refuse;  // `loopback` in development
  std::vector<AllowedCall> allowed_calls = {};
  std::size_t max_call_body = 1 << 20;    // sent through /bsky/xrpc
  std::size_t max_call_answer = 5 << 20;  // and received
};

/// Throws std::invalid_argument for a method or an audience that is none.
void check_allowed_calls(const std::vector<AllowedCall>& calls);

/// What an app at `origin` says of itself as an OAuth client: one of development on http://localhost and
/// http://127.0.0.1. Throws std::invalid_argument for what no server would take.
oauth::client::ClientMetadata atproto_client_metadata(const std::string& origin, const std::string& base_path,
                                                      const AtprotoClientMetadata& client,
                                                      const std::vector<oauth::client::ClientKey>& keys);

/// The plugin, and the sessions it keeps, for programs. A cheap handle: copies share everything.
class Atproto {
 public:
  /// Throws std::invalid_argument for keys, metadata or calls that cannot work.
  explicit Atproto(AtprotoOptions options);
  /// For one Auth, whose constructor throws std::invalid_argument when its base URL is neither https with a
  /// key nor http on localhost or 127.0.0.1. The Auth outlives the calls below.
  Plugin plugin() const;

  /// The live session of the account the user signed in with last (`bskyDid`), or of another of theirs.
  /// session_ended: there is none, or it can no longer be used.
  Task<Result<oauth::client::Session, oauth::client::Fault>> session_of(std::string user_id) const;
  Task<Result<oauth::client::Session, oauth::client::Fault>> session_of(std::string user_id, Did did) const;
  /// The accounts with a stored session.
  Task<std::vector<Did>> accounts_of(std::string user_id) const;

 private:
  std::shared_ptr<class AtprotoService> service_;
};

/// For programs that need nothing but the routes.
inline Plugin atproto(AtprotoOptions options) { return Atproto(std::move(options)).plugin(); }

}  // namespace latchkey::auth
