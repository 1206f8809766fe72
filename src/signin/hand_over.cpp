#include "signin/hand_over.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_max_id = 128;

// Seconds since 1970, digits alone; more of them than this are no time.
std::optional<Time> parse_ts(std::string_view text) {
  constexpr std::size_t k_max_digits = 11;
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || text.size() > k_max_digits || !digits) return std::nullopt;
  std::int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return from_unix_seconds(seconds);
}

// Of fixed length, and of different texts for an id and a signature.
Bytes once_of(std::string_view kind, BytesView value) {
  Bytes text = to_bytes(kind);
  text.insert(text.end(), value.begin(), value.end());
  const auto digest = crypto::sha256(text);
  return Bytes(digest.begin(), digest.end());
}

}  // namespace

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Result<HandOver, HandOverFault> read_hand_over(const FormFields& query, const Secret<Bytes>& secret,
                                               Time now) {
  const auto value = [&](std::string_view name) { return single(query, name).value_or(""); };
  const std::string request_uri = value("request_uri"), email = value("email"), approved = value("approved"),
                    new_account = value("new_account"), ts = value("ts"), id = value("id"),
                    sig = value("sig");
  if (has_duplicates(query) || request_uri.empty() || email.empty() || approved != "1" ||
      (new_account != "0" && new_account != "1"))
    return fail(HandOverFault{400, "Missing required parameters"});
  for (const auto& [name, text] : query)
    if (has_control_characters(text)) return fail(HandOverFault{400, "Invalid parameters"});
  if (id.size() > k_max_id) return fail(HandOverFault{400, "Invalid parameters"});
  if (ts.empty() || sig.empty()) return fail(HandOverFault{403, "Missing signature"});

  std::string signed_text = request_uri;
  for (const auto& part : {email, approved, new_account, ts}) signed_text += "\n" + part;
  if (!id.empty()) signed_text += "\n" + id;
  const auto expected = crypto::hmac_sha256(secret.reveal(), as_bytes(signed_text));
  const auto given = from_hex(sig);
  const auto at = parse_ts(ts);
  constexpr HandOverFault k_invalid{403, "Invalid callback signature"};
  if (!given || !crypto::equal(*given, expected) || !at) return fail(k_invalid);

  // Whole seconds on both sides, as the sender counts.
  const Time until = *at + k_hand_over_life + std::chrono::seconds(1);
  if (now < *at) return fail(k_invalid);
  if (now >= until) return fail(HandOverFault{400, "Callback signature expired"});
  return HandOver{.request_uri = request_uri,
                  .email = email,
                  .new_account = new_account == "1",
                  // The bytes of the signature: its letters may be of either case.
                  .once = id.empty() ? once_of("sig", *given) : once_of("id ", as_bytes(id)),
                  .until = until};
}

}  // namespace latchkey::signin
