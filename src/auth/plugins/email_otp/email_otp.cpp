#include "auth/plugins/email_otp/email_otp.h"

#include <fmt/format.h>

#include "auth/plugins/email_otp/codes.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "web/address.h"

namespace latchkey::auth {
namespace {

constexpr std::string_view k_overall = "otp-send";

// ASCII digits only: other scripts' digits are not ours to interpret.
std::optional<std::string> digits_of(std::string_view typed) {
  std::string digits;
  if (typed.size() > 64) return std::nullopt;
  for (char c : typed) {
    if (c == ' ' || c == '-' || c == '\t') continue;
    if (c < '0' || c > '9') return std::nullopt;
    digits += c;
  }
  if (digits.size() != k_code_digits) return std::nullopt;
  return digits;
}

}  // namespace

std::string EmailOtp::hashed(std::string_view what, std::string_view value) const {
  return fmt::format(
      "{}:{}", what,
      base64url(crypto::hmac_sha256(key_.reveal(), as_bytes(fmt::format("{}\n{}", what, value)))));
}

std::string EmailOtp::id_of(const Subject& s) const {
  return hashed("otp", fmt::format("{}\n{}\n{}", s.email.str(), s.purpose, s.flow));
}

Bytes EmailOtp::hash_of(std::string_view id, std::string_view code) const {
  const auto mac = crypto::hmac_sha256(key_.reveal(), as_bytes(fmt::format("otp-code\n{}\n{}", id, code)));
  return Bytes(mac.begin(), mac.end());
}

Task<std::optional<std::string>> EmailOtp::issue(Subject subject, std::string ip) {
  const Time now = clock_.now();
  const std::string code = fmt::format("{:0{}}", rng_.below(100'000'000), k_code_digits);
  const std::string id = id_of(subject);
  const Bytes hash = hash_of(id, code);
  const std::string by_email = hashed("otp-send-email", subject.email.str()),
                    by_ip = hashed("otp-send-ip", web::client_network(ip));
  const bool sent = co_await db_.write([&](store::Tx& tx) {
    if (!limits::has_room(tx, by_email, limits_.sends_per_email, now) ||
        !limits::has_room(tx, by_ip, limits_.sends_per_ip, now) ||
        !limits::has_room(tx, k_overall, limits_.sends_overall, now))
      return false;
    limits::count(tx, by_email, now);
    limits::count(tx, by_ip, now);
    limits::count(tx, k_overall, now);
    codes::put(tx, id, hash, now + k_email_code_lifetime);
    return true;
  });
  if (!sent) co_return std::nullopt;
  co_return code;
}

Task<bool> EmailOtp::verify(Subject subject, std::string typed, std::string ip) {
  const Time now = clock_.now();
  const std::string id = id_of(subject);
  const auto digits = digits_of(typed);
  const Bytes hash = hash_of(id, digits.value_or(""));
  const std::string by_email = hashed("otp-fail-email", subject.email.str()),
                    by_ip = hashed("otp-fail-ip", web::client_network(ip));
  co_return co_await db_.write([&](store::Tx& tx) {
    // A locked address or client is answered like a wrong code, and costs the attacker nothing more to know.
    const bool locked = !limits::has_room(tx, by_email, limits_.failures_per_email, now) ||
                        !limits::has_room(tx, by_ip, limits_.failures_per_ip, now);
    if (locked) return false;
    const auto stored = codes::find(tx, id, now);
    if (stored && stored->tries < k_code_tries && digits && crypto::equal(stored->hash, hash)) {
      codes::remove(tx, id);
      limits::forget(tx, by_email);
      return true;
    }
    if (stored) codes::count_try(tx, id);
    limits::count(tx, by_email, now);
    limits::count(tx, by_ip, now);
    return false;
  });
}

Task<void> EmailOtp::clean() {
  const Time now = clock_.now();
  co_await db_.write([&](store::Tx& tx) {
    codes::clean(tx, now);
    limits::clean(tx, now);
  });
}

}  // namespace latchkey::auth
