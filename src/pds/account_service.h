#pragma once
// Making accounts. A creation touches two places, the PLC directory and this database, and may be cut short
// between any two steps. Order:
//
//   1. here:  a row that reserves did, handle and e-mail and holds the signed genesis operation and the
//   signed
//             first commit. The account is not visible yet.
//   2. there: the operation is handed in; idempotent.
//   3. here:  one transaction makes the account visible, with its repository and its events.
//   4. only now the caller hears of success.
//
// A crash after 1 leaves an unfinished creation, which resume_unfinished() takes up again: the operation is
// handed in once more, and the creation is finished, or removed when the directory does not take it. So there
// is never a PLC entry that does not become an account, nor an account without a repository.

#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "atproto/syntax/handle.h"
#include "atproto/xrpc/error.h"
#include "base/secret.h"
#include "base/task.h"
#include "crypto/aead.h"
#include "crypto/key.h"
#include "mail/address.h"
#include "pds/accounts.h"
#include "pds/config.h"
#include "pds/handles.h"
#include "pds/invites.h"
#include "pds/plc_client.h"
#include "pds/repo_service.h"

namespace latchkey::pds {

enum class EmailProof { unproven, proven };

struct SignUp {
  std::optional<Handle> handle;  // absent: a random one on the first service domain
  std::optional<mail::EmailAddress> email;
  EmailProof email_proof = EmailProof::unproven;
  std::string email_as_typed{};                     // for "Email already taken: …"; may be empty
  std::optional<Secret<std::string>> password;      // absent: no usable password
  std::optional<crypto::PublicKey> recovery_key{};  // goes first among the rotation keys
  std::optional<std::string> invite_code{};         // spent with the creation; must be good when given
};

/// Which unfinished creations to take up.
enum class Unfinished {
  all,        // this is the only process on the database, and it has just started
  abandoned,  // other processes may be at work: only those older than a minute
};

/// What began at or before this may be taken up.
Time begun_until(Unfinished which, Time now);

/// Errors: InvalidPassword.
Result<void, xrpc::Fault> check_new_password(const Config& config, const Secret<std::string>& password);

class AccountService {
 public:
  AccountService(Shared shared, const Config& config, const HandleRules& handles,
                 const crypto::Sealer& sealer, PlcClient& plc, RepoService& repos);

  /// By the sign-up policy and the rules for handles and passwords. Errors: InvalidInviteCode, InvalidHandle,
  /// HandleNotAvailable, UnsupportedDomain, InvalidPassword, InvalidRequest (taken), UpstreamFailure (the
  /// directory does not answer; the creation may still finish later).
  Task<Result<Account, xrpc::Fault>> create_account(SignUp sign_up);

  /// Finishes or removes what a crash or an unreachable directory has left. How many are still unfinished.
  /// Call it at start, before accepting requests, and now and then.
  Task<std::size_t> resume_unfinished(Unfinished which);

  // Finished accounts, whatever their status; see Account::active.
  Task<std::optional<Account>> find(AtIdentifier id);
  Task<std::optional<Account>> find_by_email(mail::EmailAddress email);

 private:
  enum class Settled { finished, removed, open };
  struct Prepared;
  Prepared prepare(const SignUp& sign_up, const Handle& handle);
  Task<Result<Account, xrpc::Fault>> create_with(SignUp sign_up, Handle handle,
                                                 std::optional<std::string> password_scrypt);
  Task<Settled> settle(Account unfinished);
  Task<Settled> hand_in(std::int64_t account_id);
  Task<bool> finish(Creation creation);
  /// A creation of another request or of a past life holds the name: true when it is gone or finished now.
  Task<bool> settle_holder(std::optional<Account> holder);

  class InFlight;  // creations this process is working on; nobody else touches them

  Shared shared_;
  const Config& config_;
  const HandleRules& handles_;
  const crypto::Sealer& sealer_;
  PlcClient& plc_;
  RepoService& repos_;
  const Invites invites_;
  std::mutex in_flight_mutex_;
  std::set<Did> in_flight_;
};

}  // namespace latchkey::pds
