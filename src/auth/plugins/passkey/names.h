#pragma once
// What a passkey is called until its owner says otherwise.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey::auth {

inline constexpr std::size_t k_max_passkey_name = 64;  // characters

/// The maker of an authenticator by its AAGUID: password managers mostly, because devices and security keys
/// do not tell when no attestation is asked for. Source: the community's list,
/// https://github.com/passkeydeveloper/passkey-authenticator-aaguids
std::optional<std::string_view> authenticator_name(std::string_view aaguid);

/// `wish`, or "wish 2", "wish 3" … when it is among the names there are.
std::string free_name(std::string wish, const std::vector<std::string>& taken);

/// Without white space around it; nullopt when nothing is left, it is longer than k_max_passkey_name or has
/// control characters.
std::optional<std::string> parse_passkey_name(std::string_view text);

}  // namespace latchkey::auth
