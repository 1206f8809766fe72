#pragma once
// Who a client says it is: client_id, its metadata document, the rules both obey.
// Source: atproto.com/specs/oauth "Clients", draft-ietf-oauth-client-id-metadata-document, RFC 7591 §2.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "oauth/jose/jwk.h"
#include "oauth/server/error.h"
#include "web/color.h"

namespace latchkey::oauth {

/// Whether https URLs of clients may name this machine or a port (`https://app.localhost:8443/…`): refused
/// except on a developer's own network.
enum class LocalHosts { refuse, allow };

/// A client_id of one of the two kinds atproto knows: an https URL at which the metadata document lives, or
/// `http://localhost` with parameters for development on one's own machine. At most 2048 bytes.
class ClientId {
 public:
  enum class Kind { discoverable, loopback };
  static Result<ClientId, Fault> parse(std::string_view text, LocalHosts local);
  const std::string& str() const { return text_; }
  Kind kind() const { return kind_; }
  /// What a person recognises: the host of a discoverable client, "localhost" for a loopback one.
  std::string host() const;
  auto operator<=>(const ClientId&) const = default;

 private:
  ClientId(std::string text, Kind kind) : text_(std::move(text)), kind_(kind) {}
  std::string text_;
  Kind kind_;
};

enum class ClientAuthMethod { none, private_key_jwt };

/// How a client would like its sign-in to look. A wish that breaks a rule is as good as none: whoever has a
/// bad colour still signs in.
struct ClientBranding {
  std::optional<web::Color> brand_color = {}, background_color = {};
  std::optional<std::string> email_template_uri = {};      // https
  std::optional<std::string> email_subject_template = {};  // one line, at most k_max_email_subject characters
};
inline constexpr std::size_t k_max_email_subject = 150;

/// A client whose metadata passed every rule.
struct Client {
  ClientId id;
  std::string client_name = {};  // "" when absent; shown only beside the client_id
  std::optional<std::string> client_uri = {}, logo_uri = {}, tos_uri = {}, policy_uri = {};
  ClientBranding branding = {};
  std::vector<std::string> redirect_uris = {};
  std::string scope = {};
  ClientAuthMethod token_endpoint_auth_method = ClientAuthMethod::none;
  Jwks jwks = {};  // from `jwks`, or fetched from jwks_uri
  std::optional<std::string> jwks_uri = {};
  bool native = false;       // application_type
  bool may_refresh = false;  // grant_types has refresh_token
  bool trusted = false;      // the operator vouches for it

  bool is_confidential() const { return token_endpoint_auth_method == ClientAuthMethod::private_key_jwt; }
  /// Exact match; for loopback redirect URIs the port is free (RFC 8252 §7.3).
  bool allows_redirect_uri(std::string_view uri) const;
};

/// The client behind `http://localhost?redirect_uri=…&scope=…`.
Result<Client, Fault> loopback_client(const ClientId& id);

/// Checks a fetched document against every rule. `id` must be discoverable.
Result<Client, Fault> parse_client_metadata(const ClientId& id, const json::Value& document,
                                            LocalHosts local);

/// A client's key set; at least one key signs ES256 and has a kid.
Result<Jwks, Fault> parse_jwks(const json::Value& set);

}  // namespace latchkey::oauth
