#pragma once
// Tokens sent by mail that stand for "whoever asks can read this account's mail": 10 characters of base32,
// shown XXXXX-XXXXX, in any case of letters, good once and for a quarter of an hour. A new one kills the old
// one. Statements: mailed_tokens_sql.cpp.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

inline constexpr std::chrono::minutes k_mailed_token_lifetime{15};
// Of one account and purpose: nobody's mailbox is flooded.
inline constexpr std::int64_t k_mailed_tokens_an_hour = 5;
inline constexpr std::int64_t k_mailed_tokens_a_day = 15;

/// Stored: numbers never change.
enum class TokenPurpose : std::int64_t { delete_account = 1 };

std::string new_mailed_token(Rng& rng);
Bytes hash_mailed_token(std::string_view token, std::int64_t account_id, TokenPurpose purpose);

namespace mailed_tokens {

/// False, and the old token stays, when there were too many lately.
bool put(store::Tx&, std::int64_t account_id, TokenPurpose, BytesView hash, Time now);
enum class Bad { unknown, expired };
/// Takes the token away when it is good. A wrong one leaves it alone: the account's owner is not locked out
/// by strangers, and 50 bits are not guessed in its short life.
Result<void, Bad> spend(store::Tx&, std::int64_t account_id, TokenPurpose, BytesView hash, Time now);
void remove_all(store::Tx&, std::int64_t account_id);

}  // namespace mailed_tokens
}  // namespace latchkey::pds
