#include "auth/plugins/email_otp/email_otp.h"

#include <fmt/format.h>

#include "auth/plugins/email_otp/codes.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "web/address.h"

namespace latchkey::auth {
namespace {

constexpr std::string_view k_overall = "otp-send";

// The time of an answer shall not tell that an address or a client is at its limit, and a transaction that
// changes nothing need not wait for the disk. So what is refused writes the same rows for nobody, and takes
// them back. A `nobody` is one request's own: two of them do not wait for each other.
void count_for(store::Tx& tx, std::string_view nobody, int events, Time now) {
  for (int i = 0; i < events; ++i) limits::count(tx, nobody, now);
  limits::forget(tx, nobody);
}

}  // namespace

// ASCII only: other scripts' digits are not ours to interpret.
std::optional<std::string> digits_of(std::string_view typed, std::size_t count) {
  std::string digits;
  if (typed.size() > 64) return std::nullopt;
  for (char c : typed) {
    if (c == ' ' || c == '-' || c == '\t') continue;
    if (c < '0' || c > '9') return std::nullopt;
    digits += c;
  }
  if (digits.size() != count) return std::nullopt;
  return digits;
}

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
  const bool sent = co_await db_.write([&](store::Tx& tx) {
    if (!take_send(tx, subject.email.str(), ip, now)) {
      const std::string nobody = "refused-" + id + code;
      codes::put(tx, nobody, hash, now + k_email_code_lifetime);
      codes::remove(tx, nobody);
      return false;
    }
    codes::put(tx, id, hash, now + k_email_code_lifetime);
    return true;
  });
  if (!sent) co_return std::nullopt;
  co_return code;
}

bool EmailOtp::take_send(store::Tx& tx, std::string_view email, std::string_view ip, Time now) const {
  const std::string by_email = hashed("otp-send-email", email),
                    by_ip = hashed("otp-send-ip", web::client_network(ip));
  if (!limits::has_room(tx, by_email, limits_.sends_per_email, now) ||
      !limits::has_room(tx, by_ip, limits_.sends_per_ip, now) ||
      !limits::has_room(tx, k_overall, limits_.sends_overall, now)) {
    count_for(tx, "refused-" + by_email + by_ip, 3, now);
    return false;
  }
  limits::count(tx, by_email, now);
  limits::count(tx, by_ip, now);
  limits::count(tx, k_overall, now);
  return true;
}

Task<bool> EmailOtp::count_send(mail::EmailAddress email, std::string ip) {
  const Time now = clock_.now();
  co_return co_await db_.write([&](store::Tx& tx) { return take_send(tx, email.str(), ip, now); });
}

EmailOtp::Tried EmailOtp::take_try(store::Tx& tx, std::string_view email, std::string_view ip, bool matches,
                                   Time now) const {
  const std::string by_email = hashed("otp-fail-email", email),
                    by_ip = hashed("otp-fail-ip", web::client_network(ip));
  // A locked address or client is answered like a wrong code.
  if (!limits::has_room(tx, by_email, limits_.failures_per_email, now) ||
      !limits::has_room(tx, by_ip, limits_.failures_per_ip, now)) {
    count_for(tx, "refused-" + by_email + by_ip, 2, now);
    return Tried::locked;
  }
  if (matches) {
    limits::forget(tx, by_email);
    return Tried::right;
  }
  limits::count(tx, by_email, now);
  limits::count(tx, by_ip, now);
  return Tried::wrong;
}

std::string EmailOtp::keyed(std::string_view identifier, std::string_view code) const {
  return base64url(hash_of(identifier, code));
}

Task<bool> EmailOtp::verify(Subject subject, std::string typed, std::string ip) {
  const Time now = clock_.now();
  const std::string id = id_of(subject);
  const auto digits = digits_of(typed, k_code_digits);
  const Bytes hash = hash_of(id, digits.value_or(""));
  co_return co_await db_.write([&](store::Tx& tx) {
    const auto stored = codes::find(tx, id, now);
    const bool matches =
        stored && stored->tries < k_code_tries && digits && crypto::equal(stored->hash, hash);
    if (take_try(tx, subject.email.str(), ip, matches, now) == Tried::right) {
      codes::remove(tx, id);
      return true;
    }
    if (stored) codes::count_try(tx, id);
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
