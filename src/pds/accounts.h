#pragma once
// The accounts of this server: who they are and whether they may act. Statements: accounts_sql.cpp.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/cid/cid.h"
#include "atproto/syntax/at_identifier.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "atproto/syntax/tid.h"
#include "base/time.h"
#include "pds/repo_heads.h"
#include "store/database.h"

namespace latchkey::pds {

struct Account {
  std::int64_t id;  // inside this database only
  Did did;
  std::optional<Handle> handle;
  std::optional<std::string> email;  // normalised, see mail::EmailAddress
  std::optional<Time> email_confirmed_at;
  Time created_at;
  std::optional<Time> activated_at;  // absent while its creation is unfinished
  std::optional<Time> deactivated_at;
  std::optional<std::string> takedown_ref;

  bool taken_down() const { return takedown_ref.has_value(); }
  bool active() const { return activated_at && !deactivated_at && !takedown_ref; }
  /// Why it is not active, in the words of com.atproto.sync.listRepos.
  std::optional<std::string_view> status() const;
  /// The handle, or handle.invalid.
  std::string handle_text() const;
};

/// A creation between "reserved here" and "in the PLC directory and here".
struct Creation {
  Account account;
  std::string operation;  // the signed genesis operation, JSON
  RepoHead head;          // the signed first commit of the empty repository
  Bytes blocks;           // the CAR of its #commit event
};

namespace accounts {

struct NewAccount {
  Did did;
  Handle handle;
  std::optional<std::string> email;
  std::optional<Time> email_confirmed_at;
  std::optional<std::string> password_scrypt;
  Bytes sealed_signing_key;
};

enum class Taken { handle, email, did };

/// Reserves did, handle and e-mail and keeps what is needed to finish after a crash.
Result<std::int64_t, Taken> begin_creation(store::Tx&, const NewAccount&, const std::string& operation,
                                           const RepoHead& head, BytesView blocks, Time now);
/// True for the one caller that finished it.
bool finish_creation(store::Tx&, std::int64_t id, Time now);
/// Gives did, handle and e-mail free again. False, and nothing happens, when the account is finished or gone.
bool abandon_creation(store::Tx&, std::int64_t id);
std::optional<Creation> creation(store::Tx&, std::int64_t id);
/// Accounts whose creation is unfinished and began at or before `until`.
std::vector<Account> unfinished(store::Tx&, Time until);

// Finished accounts only, whatever their status.
std::optional<Account> by_did(store::Tx&, const Did&);
std::optional<Account> by_handle(store::Tx&, const Handle&);
std::optional<Account> by_identifier(store::Tx&, const AtIdentifier&);
std::optional<Account> by_email(store::Tx&, std::string_view normalised_email);

/// Also unfinished ones: who holds this name?
std::optional<Account> holder_of_handle(store::Tx&, const Handle&);
std::optional<Account> holder_of_email(store::Tx&, std::string_view normalised_email);

std::optional<std::string> password_scrypt(store::Tx&, std::int64_t id);
Bytes sealed_signing_key(store::Tx&, std::int64_t id);

/// The mailbox was shown to be theirs. Nothing happens when the account has another address by now.
void confirm_email(store::Tx&, std::int64_t id, std::string_view normalised_email, Time now);
/// Another address, unconfirmed; false when another account has it.
bool set_email(store::Tx&, std::int64_t id, std::string_view normalised_email,
               std::optional<Time> confirmed_at);
/// Throws store::Error (constraint) when another account has it: ask holder_of_handle first.
void set_handle(store::Tx&, std::int64_t id, const Handle&);
void set_password(store::Tx&, std::int64_t id, std::optional<std::string> scrypt);
/// `delete_after`: when the person wants it deleted if it was not activated again.
void set_deactivated(store::Tx&, std::int64_t id, std::optional<Time> since,
                     std::optional<Time> delete_after = std::nullopt);
void set_takedown(store::Tx&, std::int64_t id, std::optional<std::string> ref);

/// The account alone; what hangs on it is removed by whoever keeps it.
void remove(store::Tx&, std::int64_t id);

struct Listed {
  Account account;
  RepoHead head;
};
/// Accounts with a repository, by id, after `cursor`.
std::vector<Listed> list(store::Tx&, std::int64_t after_id, std::int64_t limit);

/// True, or an exception: for health checks.
bool storage_answers(store::Tx&);

}  // namespace accounts
}  // namespace latchkey::pds
