#include "auth/plugins/passkey/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace latchkey::auth {
namespace {

struct Maker {
  std::string_view aaguid, name;
};
constexpr Maker k_makers[] = {
    {"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", "Google Password Manager"},
    {"fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "Apple Passwords"},
    {"dd4ec289-e01d-41c9-bb89-70fa845d4bf2", "iCloud Keychain"},
    {"08987058-cadc-4b81-b6e1-30de50dcbe96", "Windows Hello"},
    {"9ddd1817-af5a-4672-a2b9-3e3dd95000a9", "Windows Hello"},
    {"6028b017-b1d4-4c02-b4b3-afcdafc96bb2", "Windows Hello"},
    {"bada5566-a7aa-401f-bd96-45619a55120d", "1Password"},
    {"d548826e-79b4-db40-a3d8-11116f7e8349", "Bitwarden"},
    {"531126d6-e717-415c-9320-3d9aa6981239", "Dashlane"},
    {"b78a0a55-6ef8-d246-a042-ba0f6d55050c", "LastPass"},
    {"b84e4048-15dc-4dd0-8640-f4f60813c8af", "NordPass"},
    {"50726f74-6f6e-5061-7373-50726f746f6e", "Proton Pass"},
    {"0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6", "Keeper"},
    {"53414d53-554e-4700-0000-000000000000", "Samsung Pass"},
};

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view k_space = " \t\r\n";
  const auto from = s.find_first_not_of(k_space);
  if (from == std::string_view::npos) return {};
  return s.substr(from, s.find_last_not_of(k_space) - from + 1);
}

}  // namespace

std::optional<std::string_view> authenticator_name(std::string_view aaguid) {
  const auto at = std::ranges::find(k_makers, aaguid, &Maker::aaguid);
  if (at == std::end(k_makers)) return std::nullopt;
  return at->name;
}

std::string free_name(std::string wish, const std::vector<std::string>& taken) {
  const auto is_taken = [&](const std::string& name) {
    return std::ranges::find(taken, name) != taken.end();
  };
  std::string name = wish;
  for (int n = 2; is_taken(name); ++n) name = fmt::format("{} {}", wish, n);
  return name;
}

std::optional<std::string> parse_passkey_name(std::string_view text) {
  const auto name = trimmed(text);
  // Every character of UTF-8 has one byte that is not 10xxxxxx.
  const auto characters =
      std::ranges::count_if(name, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  const bool control =
      std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name.empty() || static_cast<std::size_t>(characters) > k_max_passkey_name || control)
    return std::nullopt;
  return std::string(name);
}

}  // namespace latchkey::auth
