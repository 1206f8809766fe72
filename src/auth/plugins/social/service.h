#pragma once
// The routes of the plugin, by subject: sign_in.cpp, callback.cpp, tokens.cpp.

#include "auth/plugins/social/linking.h"
#include "auth/plugins/social/social.h"
#include "auth/plugins/social/state.h"

namespace latchkey::auth {

/// One of the plugin; outlives every request.
class SocialService {
 public:
  explicit SocialService(SocialOptions options) : options_(std::move(options)) {}

  Task<Answer> sign_in(Context& context);           // POST /sign-in/social
  Task<Answer> sign_in_by_link(Context& context);   // GET /sign-in/social
  Task<Answer> link(Context& context);              // POST /link-social
  Task<Answer> callback(Context& context);          // GET /callback/:id
  Task<Answer> callback_by_form(Context& context);  // POST /callback/:id
  Task<Answer> get_access_token(Context& context);  // POST /get-access-token
  Task<Answer> refresh_token(Context& context);     // POST /refresh-token
  Task<Answer> account_info(Context& context);      // GET /account-info

 private:
  SocialProvider* find(std::string_view id) const;
  SocialProvider* find_by_account(std::string_view account_provider_id) const;

  struct Start {
    OAuthState state;
    std::vector<std::string> scopes = {};
    std::optional<std::string> login_hint = {};
    FormFields additional = {};
  };
  /// Remembers the state; gives the URL at the provider.
  Task<Result<std::string, Fault>> start(Context& context, SocialProvider& provider, Start start);
  Task<Answer> start_from_body(Context& context, SocialProvider& provider, std::optional<LinkRequest> link);

  Task<Answer> sign_in_by_id_token(Context& context, SocialProvider& provider);
  Task<Answer> link_by_id_token(Context& context, SocialProvider& provider);
  Task<Result<SocialIdentity, Fault>> identity_of_id_token(Context& context, SocialProvider& provider);

  struct Finished {
    User user;
    Session session;
    SignedIn::Kind kind;
  };
  using SignInResult = std::variant<Finished, Refusal, ControlNeeded>;
  /// Decides, and starts a session, in one transaction.
  Task<Result<SignInResult, Fault>> finish_sign_in(Context& context, SocialIdentity identity,
                                                   SignUpRequest sign_up);
  Task<Answer> come_back(Context& context, SocialProvider& provider, OAuthState state);
  Task<void> tell_linked(Context& c, Linked linked, std::string provider_label);
  Task<Answer> come_back_to_link(Context& context, SocialIdentity identity, OAuthState state);
  Task<Answer> prove_control_first(Context& context, SocialIdentity identity, std::string error_url,
                                   std::string callback_url);

  struct OwnAccount {
    Account account;
    SocialProvider* provider;
  };
  Task<Result<OwnAccount, Fault>> own_account(Context& context, std::string id);
  /// With tokens that are good for now, refreshed when they have to be.
  Task<Result<Account, Fault>> usable(Context& context, OwnAccount own);
  Task<Result<Account, Fault>> refreshed(Context& context, OwnAccount own, SocialError failure);

  SocialOptions options_;
};

}  // namespace latchkey::auth
