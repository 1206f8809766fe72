#pragma once
// Who the client is: its client_id, redirect URIs, scope and, for confidential clients, its keys.
// Source: https://atproto.com/specs/oauth#clients

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "crypto/key.h"

namespace latchkey::oauth::client {

struct MetadataError {
  std::string message;
};

/// A key of private_key_jwt. Sessions remember the kid they began with; keep old keys here until no session
/// uses them (the server binds a session to its key).
struct ClientKey {
  std::string kid;
  crypto::PrivateKey key;  // P-256, for ES256
};

/// Members of the published document that only describe the client to people.
struct ClientInfo {
  std::string client_name;
  std::string client_uri;
  std::string logo_uri;
  std::string tos_uri;
  std::string policy_uri;
};

class ClientMetadata {
 public:
  /// A development client: client_id is `http://localhost?redirect_uri=…&scope=…`, no document to publish.
  /// Redirect URIs must be http on 127.0.0.1 or [::1].
  static Result<ClientMetadata, MetadataError> loopback(std::vector<std::string> redirect_uris,
                                                        std::string scope);

  /// A public client that runs on its users' devices, with its document published at `client_id` (https).
  /// Redirect URIs have the host of client_id in reverse as scheme ("com.example.app:/callback" for
  /// app.example.com), are http on 127.0.0.1 or [::1], or are on the origin of client_id.
  static Result<ClientMetadata, MetadataError> native(std::string client_id,
                                                      std::vector<std::string> redirect_uris,
                                                      std::string scope, ClientInfo info = {});

  /// A client whose document is published at `client_id` (https). Without keys it is a public client; with
  /// keys a confidential one, and the first key is used for new sessions. `jwks_uri` empty: the keys are part
  /// of the document.
  static Result<ClientMetadata, MetadataError> web(std::string client_id,
                                                   std::vector<std::string> redirect_uris, std::string scope,
                                                   std::vector<ClientKey> keys = {},
                                                   std::string jwks_uri = {}, ClientInfo info = {});

  const std::string& client_id() const { return client_id_; }
  const std::vector<std::string>& redirect_uris() const { return redirect_uris_; }
  /// One of them, or a loopback one with another port: a program listens where it finds room (RFC 8252 §7.3).
  bool has_redirect_uri(std::string_view uri) const;
  const std::string& scope() const { return scope_; }
  bool confidential() const { return !keys_.empty(); }
  /// The key for new sessions; nullptr for public clients.
  const ClientKey* current_key() const { return keys_.empty() ? nullptr : &keys_.front(); }
  const ClientKey* key(std::string_view kid) const;

  /// The client metadata document to serve at client_id.
  json::Object document() const;
  /// The public keys, to serve at jwks_uri.
  json::Object jwks() const;

 private:
  ClientMetadata() = default;
  std::string client_id_;
  std::vector<std::string> redirect_uris_;
  std::string scope_;
  std::vector<ClientKey> keys_;
  std::string jwks_uri_;
  ClientInfo info_;
  bool native_ = false;
};

}  // namespace latchkey::oauth::client
