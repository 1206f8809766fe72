#include "pds/invites.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/url.h"
#include "crypto/hash.h"

namespace latchkey::pds {

Invites::Invites(std::string_view public_url, std::optional<Secret<std::string>> magic)
    : magic_(std::move(magic)) {
  const auto url = Url::parse(public_url);
  prefix_ = url ? url->host : "invite";
  std::ranges::replace(prefix_, '.', '-');
}

std::string Invites::new_code(Rng& rng) const {
  const std::string random = base32(rng.bytes(7)).substr(0, 10);
  return prefix_ + "-" + random.substr(0, 5) + "-" + random.substr(5);
}

namespace {
/// What could be one of ours: anything else need not be looked for, and not all of it is text to a database.
bool is_plausible(std::string_view code) {
  return code.size() <= 300 && std::ranges::all_of(code, [](char c) { return c > ' ' && c <= '~'; });
}
}  // namespace

bool Invites::is_magic(std::string_view code) const {
  return magic_ && crypto::equal(code, magic_->reveal());
}

bool Invites::is_good(store::Tx& tx, std::string_view code) const {
  if (is_magic(code)) return true;
  if (!is_plausible(code)) return false;
  const auto invite = invites::get(tx, code);
  return invite && !invite->disabled_at && invite->uses < invite->max_uses;
}

bool Invites::spend(store::Tx& tx, std::string_view code, std::int64_t account_id, Time now) const {
  return is_magic(code) || (is_plausible(code) && invites::spend(tx, code, account_id, now));
}

}  // namespace latchkey::pds
