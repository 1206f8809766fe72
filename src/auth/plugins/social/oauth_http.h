#pragma once
// The OAuth 2.0 steps all providers share: the authorization URL, the token endpoint, resources by bearer
// token. Everything a provider sends is bounded.

#include "auth/plugins/social/provider.h"
#include "base/fetch.h"
#include "base/secret.h"

namespace latchkey::auth {

/// Whether endpoints may be plain http. Only for development and closed networks; the guard of the outbound
/// client has its own say.
enum class PlainHttp { refuse, allow };

/// An absolute URL without user name or fragment, with the right scheme.
bool is_endpoint(std::string_view url, PlainHttp plain);

inline constexpr std::size_t k_max_provider_answer = 256 * 1024;
inline constexpr std::size_t k_max_provider_token = 16 * 1024;  // each of access, refresh and ID token

/// RFC 6749 §2.3.1.
enum class ClientAuthentication { client_secret_basic, client_secret_post };

struct ClientCredentials {
  std::string client_id;
  Secret<std::string> client_secret;
};

/// Fields as browsers write them into a query: a space is '+'.
std::string query_text(const FormFields& fields);

/// An answer of 200 that is JSON, of the kind that is expected.
Task<Result<json::Object, ProviderError>> fetch_object(Fetch* net, FetchRequest request);
Task<Result<json::Array, ProviderError>> fetch_array(Fetch* net, FetchRequest request);

/// RFC 6749 §4.1.1 and RFC 7636 §4.3, in front of what the provider's endpoint already has as its query.
std::string authorization_url(const std::string& endpoint, const std::string& client_id,
                              const std::vector<std::string>& own_scopes, const AuthorizationRequest& request,
                              bool pkce);

struct TokenEndpoint {
  std::string url;
  ClientAuthentication authentication = ClientAuthentication::client_secret_post;
};
/// RFC 6749 §4.1.3 and §6: posts the grant. When the answer names no scope it is `asked_scopes` (§5.1).
Task<Result<ProviderTokens, ProviderError>> request_tokens(Fetch* net, const Clock* clock,
                                                           TokenEndpoint endpoint,
                                                           ClientCredentials credentials, FormFields grant,
                                                           std::vector<std::string> asked_scopes);
FormFields code_grant(const CodeExchange&, bool pkce);
FormFields refresh_grant(std::string refresh_token);

/// A protected resource (RFC 6750 §2.1).
FetchRequest bearer_get(std::string url, std::string_view access_token);

}  // namespace latchkey::auth
