#pragma once
// Where people sign in elsewhere: what every provider of the social plugin can do. The makers are google(),
// github(), oidc() and generic_oauth(), each in a header of its own.

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/time.h"
#include "base/url.h"

namespace latchkey::auth {

struct ProviderError {
  enum class Kind {
    unreachable,  // no answer, or not one in time
    refused,      // the provider says no: a code or token it does not know
    invalid,      // an answer nobody should believe
  };
  Kind kind;
  std::string detail;  // for logs: no tokens, no addresses
};

/// What a provider answers at its token endpoint (RFC 6749 §5.1). "" is absent.
struct ProviderTokens {
  std::string access_token, refresh_token, id_token;
  std::optional<Time> access_expires_at, refresh_expires_at;
  std::vector<std::string> scopes;
};

/// Who signed in, in the provider's words, cleaned (profile.h).
struct SocialProfile {
  std::string subject;               // never given to anybody else by this provider; 1 to 255 bytes
  std::optional<std::string> email;  // a well-formed address in lower case
  bool email_verified = false;       // the provider says the address is theirs
  std::string name;
  std::optional<std::string> image;  // https
  json::Object raw;                  // as the provider sent it
};

struct AuthorizationRequest {
  std::string redirect_uri, state;
  std::string code_verifier;         // PKCE: its S256 challenge goes into the URL
  std::optional<std::string> nonce;  // only for providers with uses_nonce
  std::vector<std::string> scopes;   // beside the provider's own
  std::optional<std::string> login_hint;
  FormFields additional;  // never replaces what the protocol needs
};

struct CodeExchange {
  std::string code, redirect_uri, code_verifier;
};

/// How the host treats a provider's people.
struct ProviderRules {
  bool disable_sign_up = false;           // only people who have an account already
  bool disable_implicit_sign_up = false;  // new people only when the request says requestSignUp
  bool override_user_info_on_sign_in = false;
};

class SocialProvider {
 public:
  struct Description {
    std::string id;     // in URLs: /callback/<id>
    std::string label;  // on buttons
    /// `account.providerId` of its people. A subject means something only together with who issued it, so
    /// an id an operator may point at another issuer later must not be used here alone.
    std::string account_provider_id;
    bool uses_nonce = false;
    bool takes_id_tokens = false;  // of native apps, see verify_id_token
    std::vector<std::string> scopes;
    ProviderRules rules = {};
  };

  virtual ~SocialProvider() = default;
  virtual const Description& description() const = 0;

  virtual Task<Result<std::string, ProviderError>> authorization_url(AuthorizationRequest request) = 0;
  /// RFC 9207 §2.4: `iss` of the authorization response, "" when it had none. False: another server speaks.
  virtual Task<Result<bool, ProviderError>> is_its_issuer(std::string iss) = 0;
  virtual Task<Result<ProviderTokens, ProviderError>> exchange(CodeExchange request) = 0;
  /// Who the tokens of exchange() are about. `nonce` is the one of the authorization request.
  virtual Task<Result<SocialProfile, ProviderError>> profile(ProviderTokens tokens,
                                                             std::optional<std::string> nonce) = 0;
  /// The profile as it is now; refused when it is about somebody else than `subject`.
  virtual Task<Result<SocialProfile, ProviderError>> current_profile(std::string access_token,
                                                                     std::string subject) = 0;
  virtual Task<Result<ProviderTokens, ProviderError>> refresh(std::string refresh_token) = 0;
  /// An ID token an app got from the provider itself. Providers without takes_id_tokens refuse.
  virtual Task<Result<SocialProfile, ProviderError>> verify_id_token(std::string id_token,
                                                                     std::optional<std::string> nonce) = 0;
};

}  // namespace latchkey::auth
