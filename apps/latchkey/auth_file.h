#pragma once
// The configuration file of `latchkey auth`: TOML, every key another way to set a variable. What the
// environment sets wins.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "environment.h"

namespace latchkey::app {

enum class AuthKeyType { text, flag, number, list };
struct AuthKey {
  std::string_view path;      // "session.expiresIn"
  std::string_view variable;  // "SESSION_EXPIRES_IN"
  AuthKeyType type;
};
/// All of them but those of OpenID providers, whose names operators choose: oidc.<name>.issuer, clientId,
/// clientSecret and label are OIDC_<NAME>_ISSUER and so on.
std::span<const AuthKey> auth_keys();

class AuthFile {
 public:
  /// `name` is what messages call the file. Problems begin with it and the line: not TOML, unknown keys,
  /// values of another type.
  static Result<AuthFile, Problems> parse(std::string_view text, std::string name);
  /// No file: the environment says it all.
  AuthFile() = default;

  /// The environment, and the file for what it does not set.
  Environment over(Environment environment) const;
  EnvironmentNames over(EnvironmentNames names) const;
  /// A problem that begins with a variable, with the place in the file that set it, or the key that would.
  std::string in_place(std::string problem, const Environment& environment) const;

 private:
  friend class Flattener;
  struct Entry {
    std::string value, path;
    unsigned line;
  };
  std::string name_;
  std::map<std::string, Entry, std::less<>> entries_;  // by variable
};

}  // namespace latchkey::app
