#pragma once
// The way back into an account whose primary mailbox is out of reach: a code to a backup address (epds-flows,
// section 7). It leads to the account that address was confirmed for and never makes one; nobody who cannot
// read the mailbox learns whether there is such an account.

#include <optional>
#include <string>
#include <vector>

#include "oauth/server/server.h"
#include "pds/accounts.h"
#include "signin/audit.h"
#include "signin/backup_emails.h"
#include "signin/code_mail.h"
#include "signin/devices.h"
#include "signin/letters.h"

namespace latchkey::signin {

struct RecoveryOptions {
  /// How long the primary mailbox may call a recovery off before it goes on; 0: at once.
  std::chrono::hours delay{0};
};

class Recovery {
 public:
  Recovery(RecoveryOptions options, store::Database& db, auth::EmailOtp& otp, CodeMail& codes,
           Letters& letters, const Clock& clock, Rng& rng)
      : options_(options), db_(db), otp_(otp), codes_(codes), letters_(letters), clock_(clock), rng_(rng) {}

  /// A code, when this address may recover an account; the answer and its time are the same when not.
  Task<void> send(std::string flow, mail::EmailAddress backup, Reader reader, std::string ip);
  /// Whether the right code was typed.
  Task<bool> verify(std::string flow, mail::EmailAddress backup, std::string code, std::string ip);
  /// The accounts this address may recover.
  Task<std::vector<pds::Account>> accounts(mail::EmailAddress backup);

  struct Taken {
    std::optional<Time> from = {};  // not yet: come back then
  };
  /// Whoever proved to read the backup mailbox takes this account of accounts(). When it goes on at once,
  /// every browser is signed out and the primary mailbox is told; when it has to wait, that mailbox gets the
  /// link that calls it off.
  Task<Taken> take(pds::Account account, mail::EmailAddress backup, std::string lang, Actor actor);
  /// The account whose recovery this link would call off.
  Task<std::optional<pds::Account>> find_by_link(std::string token);
  Task<bool> call_off(std::string token, Actor actor);
  /// Deletes what is over: links, waits, and what the record of accounts keeps too long.
  Task<void> clean();

 private:
  RecoveryOptions options_;
  store::Database& db_;
  auth::EmailOtp& otp_;
  CodeMail& codes_;
  Letters& letters_;
  const Clock& clock_;
  Rng& rng_;
};

}  // namespace latchkey::signin
