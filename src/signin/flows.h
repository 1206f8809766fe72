#pragma once
// How far one browser has come with one authorization request. Every statement on signin_flow is in
// flows_sql.cpp.

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "store/database.h"

namespace latchkey::signin {

struct Flow {
  std::string id;                              // the authorization request's
  std::string browser;                         // hash of the flow cookie
  std::optional<std::string> locked_did = {};  // login_hint: only this account may finish
  std::optional<std::string> email = {};       // where the code goes
  std::optional<Time> sent_at = {};            // a code was asked for
  std::optional<std::string> session = {};     // hash of the session cookie set at the proof
  // Who this browser is, the only source of identity: whose mailbox it can read, or which of the accounts
  // signed in on this device was chosen. At most one of the two.
  std::optional<std::string> proven_email = {};
  std::optional<std::string> proven_did = {};
  std::string proven_by = {};  // "email", "passkey", a provider's id, "backup"; "" : signed in here already
  bool stay = false;           // "stay signed in" was ticked
  // Recovery: where its code goes, and whether this browser (that holds the session cookie) can read that
  // mailbox. It makes nobody anybody yet: `proven_did` is set when one of the accounts it recovers is taken.
  std::optional<std::string> backup_email = {};
  bool backup_proven = false;
  Time created_at = {};

  bool is_proven() const { return proven_email || proven_did; }
};

namespace flows {
/// What a row keeps of a cookie.
std::string hash_of(std::string_view cookie);
/// Does nothing when the flow is there already: a second GET changes nothing.
void insert(store::Tx&, const Flow&);
std::optional<Flow> find(store::Tx&, std::string_view id, std::string_view browser);
/// The address was typed. True when a code is to go there: not when the same was typed before (a form sent
/// twice is one mail), and not after an address was proven.
bool take_address(store::Tx&, std::string_view id, std::string_view email, Time now);
/// Back to the empty address form; nothing happens after an address was proven.
void forget_address(store::Tx&, std::string_view id);
/// True for the first caller only, so that one page load sends one mail.
bool mark_sent(store::Tx&, std::string_view id, Time now);
/// False when the flow is at another address by now, or an account was chosen. A second proof of the same
/// address replaces the session.
bool prove(store::Tx&, std::string_view id, std::string_view email, std::string_view session, bool stay);
/// The account was chosen among those signed in on this device. False after an address was proven.
bool choose(store::Tx&, std::string_view id, std::string_view did, std::string_view session);
/// This account was proven by other means than a code: `proven_by`. False after an address was proven.
bool prove_account(store::Tx&, std::string_view id, std::string_view did, std::string_view session,
                   std::string_view proven_by, bool stay);
/// The same for an address that has no account yet.
bool prove_address(store::Tx&, std::string_view id, std::string_view email, std::string_view session,
                   std::string_view proven_by, bool stay);
/// The flow this browser opened last.
std::optional<std::string> newest(store::Tx&, std::string_view browser);
/// The backup address was typed. True when a code is to go there: see take_address.
bool take_backup(store::Tx&, std::string_view id, std::string_view email);
void forget_backup(store::Tx&, std::string_view id);
/// False when the flow is at another backup address by now, or somebody was proven.
bool prove_backup(store::Tx&, std::string_view id, std::string_view email, std::string_view session);
/// Back to the beginning: nobody is proven, no address is known.
void start_over(store::Tx&, std::string_view id);
std::int64_t clean(store::Tx&, Time now);
}  // namespace flows

}  // namespace latchkey::signin
