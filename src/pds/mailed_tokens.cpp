#include "pds/mailed_tokens.h"

#include "atproto/syntax/chars.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::pds {

std::string new_mailed_token(Rng& rng) {
  std::string text = base32(rng.bytes(7)).substr(0, 10);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text.substr(0, 5) + "-" + text.substr(5);
}

Bytes hash_mailed_token(std::string_view token, std::int64_t account_id, TokenPurpose purpose) {
  const auto digest =
      crypto::sha256(as_bytes("mailed-token:" + std::to_string(static_cast<std::int64_t>(purpose)) + ":" +
                              std::to_string(account_id) + ":" + syntax::lower(token)));
  return Bytes(digest.begin(), digest.end());
}

}  // namespace latchkey::pds
