// What the server publishes about itself: RFC 8414 §2, RFC 9728 §2, and the members the atproto profile
// requires (atproto.com/specs/oauth, "Authorization Servers").

#include "oauth/server/server.h"

namespace latchkey::oauth {
namespace {
json::Array scopes_supported() {
  return {std::string(k_scope_atproto), std::string(k_scope_email), std::string(k_scope_generic),
          std::string(k_scope_chat)};
}
}  // namespace

json::Object Server::metadata() const {
  const std::string& issuer = options_.issuer;
  return {{"issuer", issuer},
          {"authorization_endpoint", options_.authorization_endpoint},
          {"token_endpoint", issuer + "/oauth/token"},
          {"revocation_endpoint", issuer + "/oauth/revoke"},
          {"introspection_endpoint", issuer + "/oauth/introspect"},
          {"introspection_endpoint_auth_methods_supported", json::Array{"private_key_jwt"}},
          {"introspection_endpoint_auth_signing_alg_values_supported", json::Array{"ES256"}},
          {"pushed_authorization_request_endpoint", issuer + "/oauth/par"},
          {"jwks_uri", issuer + "/oauth/jwks"},
          {"scopes_supported", scopes_supported()},
          {"response_types_supported", json::Array{"code"}},
          {"response_modes_supported", json::Array{"query", "fragment", "form_post"}},
          {"grant_types_supported", json::Array{"authorization_code", "refresh_token"}},
          {"code_challenge_methods_supported", json::Array{"S256"}},
          {"token_endpoint_auth_methods_supported", json::Array{"none", "private_key_jwt"}},
          {"token_endpoint_auth_signing_alg_values_supported", json::Array{"ES256"}},
          {"dpop_signing_alg_values_supported", json::Array{"ES256"}},
          {"prompt_values_supported", json::Array{"none", "login", "consent", "select_account", "create"}},
          {"subject_types_supported", json::Array{"public"}},
          {"authorization_response_iss_parameter_supported", true},
          {"require_pushed_authorization_requests", true},
          {"require_request_uri_registration", true},
          {"request_parameter_supported", false},
          {"client_id_metadata_document_supported", true},
          {"protected_resources", json::Array{issuer}}};
}

json::Object Server::resource_metadata() const {
  return {{"resource", options_.issuer},
          {"authorization_servers", json::Array{options_.issuer}},
          {"bearer_methods_supported", json::Array{"header"}},
          {"scopes_supported", scopes_supported()},
          {"resource_documentation", "https://atproto.com"}};
}

}  // namespace latchkey::oauth
