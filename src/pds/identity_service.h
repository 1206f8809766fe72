#pragma once
// What the PLC directory says of an account: its handle and who may change its DID. As with a creation, the
// directory and this database change together or not at all, whatever is cut short:
//
//   1. here:  the signed operation is written down; a new handle is reserved.
//   2. there: it is handed in; idempotent.
//   3. here:  one transaction changes the handle, forgets the operation and announces #identity.
//
// What a crash or a silent directory leaves after 1 is taken up by resume_unfinished() or by the account's
// next change: it is handed in again, or given up when the directory refuses it.

#include <functional>
#include <string>
#include <vector>

#include "atproto/identity/resolver.h"
#include "atproto/plc/operation.h"
#include "atproto/xrpc/error.h"
#include "pds/account_service.h"
#include "pds/did_docs.h"
#include "pds/handles.h"
#include "pds/plc_client.h"
#include "pds/plc_updates.h"

namespace latchkey::pds {

/// Keys that may change the DID, of at most this many.
inline constexpr std::size_t k_max_rotation_keys = 5;

struct RotationKey {
  enum class Owner { user, operator_recovery, server };
  std::string did_key;
  Owner owner;
};

class IdentityService {
 public:
  /// `resolver` may be null: handles of domains other than ours are refused then.
  IdentityService(Shared shared, const Config& config, const HandleRules& handles, PlcClient& plc,
                  DidDocs& did_docs, identity::Resolver* resolver);

  /// A handle of a service domain by its rules, or of the account's own domain, which must point at the DID
  /// (DNS TXT or https). To its own handle: only #identity, which tells others to look again. Errors:
  /// InvalidHandle, HandleNotAvailable, UnsupportedDomain, InvalidRequest (taken, does not resolve to the
  /// DID), UpstreamFailure (the directory does not answer; the change may still come).
  Task<Result<Account, xrpc::Fault>> change_handle(Account account, Handle handle);

  /// The keys in the directory, most powerful first. Errors: UpstreamFailure.
  Task<Result<std::vector<RotationKey>, xrpc::Fault>> rotation_keys(Account account);
  /// Puts the user's own key before all others; the server's stays. Errors: InvalidRequest (already there,
  /// too many), UpstreamFailure.
  Task<Result<void, xrpc::Fault>> add_rotation_key(Account account, crypto::PublicKey key);
  /// Errors: InvalidRequest (not there, or not the user's), UpstreamFailure.
  Task<Result<void, xrpc::Fault>> remove_rotation_key(Account account, crypto::PublicKey key);

  /// Why the directory's entry of this account does not fit this server, in the reference's words; it must
  /// before the account is activated. Errors: InvalidRequest, UpstreamFailure.
  Task<Result<void, xrpc::Fault>> check_entry(Account account, crypto::PublicKey signing_key);

  /// How many changes are still open. Call it at start, before accepting requests, and now and then.
  Task<std::size_t> resume_unfinished(Unfinished which);

 private:
  enum class Settled { done, refused, open };
  /// From the directory's state to the wanted one. Runs again when another operation came in between.
  using Change = std::function<Result<plc::Data, xrpc::Fault>(plc::Data)>;
  Task<Result<void, xrpc::Fault>> apply(Account account, Change change, std::optional<Handle> handle);
  Task<Settled> hand_in(PlcUpdate update);
  Task<Result<void, xrpc::Fault>> check_handle(Account account, Handle handle);
  /// The newest operation that counts, and what it says. Errors: UpstreamFailure, InvalidRequest.
  struct Entry {
    Cid operation;
    plc::Data data;
  };
  Task<Result<Entry, xrpc::Fault>> entry(Account account);
  /// The database's side of a change, and #identity. Errors: AccountNotFound.
  Result<void, xrpc::Fault> store_change(store::Tx& tx, const Did& did, const std::optional<Handle>& handle,
                                         Time now);

  Shared shared_;
  const Config& config_;
  const HandleRules& handles_;
  PlcClient& plc_;
  DidDocs& did_docs_;
  identity::Resolver* const resolver_;
};

}  // namespace latchkey::pds
