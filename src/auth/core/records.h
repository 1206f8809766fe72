#pragma once
// The rows of Better Auth's tables, as values.

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace latchkey::auth {

struct User {
  std::string id;
  std::string name;
  std::string email;  // lower-case
  bool email_verified = false;
  std::optional<std::string> image;
  Time created_at, updated_at;
  json::Object fields;  // additional and plugin fields, each as its type says; absent is null
};

struct Session {
  std::string id;
  std::string token;  // in clear: the table is shared with Better Auth programs
  std::string user_id;
  Time expires_at, created_at, updated_at;
  std::string ip_address, user_agent;  // "" when unknown
  json::Object fields;
};

struct SessionAndUser {
  Session session;
  User user;
};

/// A way to sign in. (provider_id, account_id) names an identity; it belongs to one user.
struct Account {
  std::string id;
  std::string account_id;   // the provider's name for the person; the user's id for passwords
  std::string provider_id;  // "credential" for passwords
  std::string user_id;
  std::optional<std::string> access_token, refresh_token, id_token;
  std::optional<Time> access_token_expires_at, refresh_token_expires_at;
  std::optional<std::string> scope;  // joined with ','
  std::optional<std::string> password;
  Time created_at, updated_at;
  /// Only for tables that better-auth 1.7.1 to 1.7.3 made, which have such a column: a plugin's issuer URL;
  /// "" is local:<provider_id>.
  std::string issuer = {};
};
inline constexpr const char* k_credential = "credential";

/// Something to be proven: a code, a link, a state. `value` is the plugin's own.
struct Verification {
  std::string id;
  std::string identifier;
  std::string value;
  Time expires_at, created_at, updated_at;
};

}  // namespace latchkey::auth
