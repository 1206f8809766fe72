#pragma once
// One-time codes by e-mail (epds-flows, 4.1): 8 digits, 10 minutes, 5 tries, single use, bound to address,
// purpose and flow; a new code kills the old one. Every answer is the same whether or not the address is
// known, locked or limited.

#include <optional>
#include <string>

#include "auth/core/limits.h"
#include "base/rng.h"
#include "base/secret.h"
#include "mail/address.h"

namespace latchkey::auth {

struct EmailOtpLimits {
  std::vector<Limit> sends_per_email{{3, std::chrono::minutes(15)}, {5, std::chrono::hours(1)}};
  std::vector<Limit> sends_per_ip{{10, std::chrono::minutes(15)}};
  std::vector<Limit> sends_overall{{30, std::chrono::minutes(1)}};
  std::vector<Limit> failures_per_email{{10, std::chrono::hours(1)}};
  std::vector<Limit> failures_per_ip{{30, std::chrono::hours(1)}};
};

/// The digits of what was typed, without spaces and dashes; nothing when it is not that many ASCII digits.
std::optional<std::string> digits_of(std::string_view typed, std::size_t count);

inline constexpr int k_code_digits = 8;
inline constexpr int k_code_tries = 5;
inline constexpr std::chrono::minutes k_email_code_lifetime{10};

class EmailOtp {
 public:
  /// What a code is good for. `flow` ties it to one sign-in attempt.
  struct Subject {
    mail::EmailAddress email;
    std::string purpose;
    std::string flow;
  };

  EmailOtp(store::Database& db, const Clock& clock, Rng& rng, Secret<Bytes> key, EmailOtpLimits limits)
      : db_(db), clock_(clock), rng_(rng), key_(std::move(key)), limits_(std::move(limits)) {}

  /// A fresh code to mail, or nothing when a limit says no. The caller answers the same either way.
  Task<std::optional<std::string>> issue(Subject subject, std::string ip);
  /// True once for the right code. White space and dashes in what was typed do not matter.
  Task<bool> verify(Subject subject, std::string typed, std::string ip);
  /// Counts a mail that carries no code, such as a link, against the same limits; false when one says no.
  Task<bool> count_send(mail::EmailAddress email, std::string ip);

  // For codes that rest elsewhere (plugin.h): the same limits inside of the caller's transaction, and the
  // same work whether or not they say no.

  bool take_send(store::Tx& tx, std::string_view email, std::string_view ip, Time now) const;
  enum class Tried { wrong, right, locked };
  /// `matches` is what the comparison said. Right only when it did and nobody is locked out.
  Tried take_try(store::Tx& tx, std::string_view email, std::string_view ip, bool matches, Time now) const;
  /// What rests of a code.
  std::string keyed(std::string_view identifier, std::string_view code) const;

  /// Drops expired codes and old events. Every 5 minutes is enough.
  Task<void> clean();

 private:
  std::string hashed(std::string_view what, std::string_view value) const;
  std::string id_of(const Subject& subject) const;
  Bytes hash_of(std::string_view id, std::string_view code) const;

  store::Database& db_;
  const Clock& clock_;
  Rng& rng_;
  Secret<Bytes> key_;
  EmailOtpLimits limits_;
};

}  // namespace latchkey::auth
