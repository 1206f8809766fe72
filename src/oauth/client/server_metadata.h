#pragma once
// The two documents a client reads before it trusts a server, and what it demands of them.
// Sources: https://atproto.com/specs/oauth#server-metadata, RFC 8414 §3.3, RFC 9728 §3.3

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace latchkey::oauth::client {

struct ServerMetadataError {
  std::string message;
};

/// Whether plain http is accepted for servers on this machine. Only development sets `loopback`.
enum class PlainHttp { refuse, loopback };

/// The canonical origin (`https://host[:port]`) when the text is nothing but an origin that a client may talk
/// to; a trailing slash is not part of an origin.
std::optional<std::string> parse_origin(std::string_view text, PlainHttp plain);

struct ServerMetadata {
  std::string issuer;
  std::string authorization_endpoint;
  std::string token_endpoint;
  std::string pushed_authorization_request_endpoint;
  std::string revocation_endpoint;               // "" when absent
  std::vector<std::string> protected_resources;  // RFC 9728 §4; empty when absent
  std::vector<std::string> scopes_supported;

  /// Checks every requirement of the atproto profile; `origin` is where the document was fetched.
  static Result<ServerMetadata, ServerMetadataError> parse(std::string_view json, const std::string& origin,
                                                           PlainHttp plain);
};

/// The one authorization server of a resource server, from its protected-resource document.
Result<std::string, ServerMetadataError> parse_protected_resource(std::string_view json,
                                                                  const std::string& origin, PlainHttp plain);

}  // namespace latchkey::oauth::client
