#pragma once
// The routes of the plugin, by subject: sign_in.cpp, sessions.cpp, plugin.cpp.

#include <atomic>

#include "auth/core/auth.h"
#include "auth/plugins/atproto/admission.h"
#include "auth/plugins/atproto/calls.h"
#include "auth/plugins/atproto/errors.h"
#include "auth/plugins/atproto/stores.h"

namespace latchkey::auth {

/// One of the plugin; outlives every request.
class AtprotoService {
 public:
  explicit AtprotoService(AtprotoOptions options);

  /// From the Auth's constructor: from then on there is a client, under the base URL.
  void attach(Auth& auth);

  Task<Answer> client_metadata(Context& context);  // GET /bsky/client-metadata.json
  Task<Answer> jwks(Context& context);             // GET /bsky/jwks.json
  Task<Answer> sign_in(Context& context);          // POST /bsky/sign-in
  Task<Answer> callback(Context& context);         // GET /bsky/callback
  Task<Answer> session(Context& context);          // GET /bsky/session
  Task<Answer> restore(Context& context);          // POST /bsky/restore
  Task<Answer> sign_out(Context& context);         // POST /bsky/sign-out
  Task<Answer> call(Context& context);             // GET and POST /bsky/xrpc/:nsid

  // Rows that leave, in the transaction they leave in; and their tokens, afterwards.
  Result<void, Fault> before_account_goes(store::Tx& tx, const Account& account);
  Result<void, Fault> before_user_goes(store::Tx& tx, const User& user);
  bool has_put_aside() const { return put_aside_; }
  Task<void> revoke_put_aside();

  using SessionResult = Result<oauth::client::Session, oauth::client::Fault>;
  Task<SessionResult> session_of(std::string user_id, std::optional<std::string> did);
  Task<std::vector<Did>> accounts_of(std::string user_id);

 private:
  struct Attached {
    Attached(Auth& auth, const AtprotoOptions& options, oauth::client::ClientMetadata metadata);
    Auth& auth;
    bsky::Vault vault;
    bsky::States states;
    bsky::Sessions sessions;
    oauth::client::OauthClient client;
    bsky::Remembered<oauth::client::Session> opened;  // by row of bskySession
  };

  std::optional<std::string> hand_over(const Context& context) const;
  Task<Answer> arrive(Context& context, oauth::client::SignedIn in);
  Task<Answer> admit(Context& context, oauth::client::SignedIn in);
  Task<std::optional<AtprotoProfile>> profile_of(oauth::client::SignedIn in);
  Task<SessionResult> session_of(Context& context);
  Task<bool> accepted(oauth::client::Session session);
  Task<bool> usable(oauth::client::Session session);
  Task<Result<FetchResponse, oauth::client::Fault>> call_as(std::string user_id, std::string did,
                                                            std::string method, std::string nsid,
                                                            oauth::client::CallOptions options);

  const AtprotoOptions options_;
  std::vector<oauth::client::ClientKey> keys_;
  const bsky::AllowedCalls calls_;
  std::unique_ptr<Attached> on_;
  std::atomic<bool> put_aside_ = false;
};

}  // namespace latchkey::auth
