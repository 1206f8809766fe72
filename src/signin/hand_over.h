#pragma once
// The hand-over from a sign-in service on another host: who was proven there, for which authorization
// request, signed with a secret both hosts have (epds-flows, section 10). Statements: hand_over_sql.cpp.
//
//   ?request_uri&email&approved=1&new_account=0|1&ts&sig         what ePDS's sign-in service sends
//   ?request_uri&email&approved=1&new_account=0|1&ts&id&sig      the same with a one-time id
//
// `sig` is HMAC-SHA256 in hexadecimal over the values in this order, joined by line feeds. No value holds a
// control character, so no two lists of values have one text.

#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "base/url.h"
#include "store/migrate.h"

namespace latchkey::signin {

inline constexpr std::chrono::seconds k_hand_over_life{300};

struct HandOver {
  std::string request_uri;
  std::string email;  // as sent
  bool new_account;   // the other host said that an account will be made
  Bytes once;         // of what makes it single use: the id, or else the signature
  Time until;         // from then on it is too old
};

struct HandOverFault {
  int status;
  std::string_view error;  // for a program: {"error": …}
};

/// Reads and checks the query of a hand-over. Whether it was used before is hand_overs::spend's to say.
Result<HandOver, HandOverFault> read_hand_over(const FormFields& query, const Secret<Bytes>& secret,
                                               Time now);

/// A value with one of these could pose as two values.
bool has_control_characters(std::string_view text);

namespace hand_overs {
/// True for the first caller only, on whichever node.
bool spend(store::Tx&, const HandOver&);
/// Forgets what is too old to be used again.
void clean(store::Tx&, Time now);
}  // namespace hand_overs

std::span<const store::Migration> hand_over_migrations();

}  // namespace latchkey::signin
