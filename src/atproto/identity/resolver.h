#pragma once
// From a handle or a DID to a DID document, over Fetch and TxtLookup.
// Sources: https://atproto.com/specs/handle#handle-resolution, https://atproto.com/specs/did

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "atproto/identity/did_document.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "base/fetch.h"
#include "base/time.h"

namespace latchkey::identity {

enum class Error {
  not_found,           // the directory or the handle's domain knows nothing of it
  deactivated,         // did:plc tombstone
  unsupported_method,  // a DID that is neither plc nor web, or a did:web with a path
  invalid_document,    // the DID document is not usable
  ambiguous,           // several TXT records with different DIDs
  mismatch,            // the DID document does not claim the handle
  disallowed_handle,   // reserved top-level domain
  unreachable,         // network failure, or a server in trouble
};

struct Fault {
  Error code;
  std::string detail;  // logs only
};

struct ResolverOptions {
  std::string plc_url = "https://plc.directory";
  /// "Cache lifetimes of less than 10 minutes are recommended for auth flows" (spec oauth).
  std::chrono::seconds ttl{300};
  std::chrono::seconds negative_ttl{30};  // not_found, deactivated, ambiguous
  std::size_t max_entries = 10'000;       // of each cache
  std::chrono::milliseconds timeout{3000};

  /// Development only. `.test` handles have no DNS: when set, handles are first asked of this PDS origin with
  /// com.atproto.identity.resolveHandle.
  std::optional<std::string> dev_handle_host;
  /// Development only: .test handles, and did:web:localhost over http.
  bool development = false;
};

/// An account as the network sees it.
struct Identity {
  DidDocument document;
  std::optional<Handle> handle;  // verified in both directions; absent means handle.invalid
  const Did& did() const { return document.id; }
};

enum class Cached { allow, refresh };

/// Thread-safe; caches in memory, bounded.
class Resolver {
 public:
  /// `dns` may be null where no resolver exists; handles are then resolved over https only.
  Resolver(ResolverOptions options, Fetch& fetch, TxtLookup* dns, const Clock& clock);
  ~Resolver();
  Resolver(const Resolver&) = delete;

  Task<Result<DidDocument, Fault>> resolve_did(Did did, Cached cached = Cached::allow);
  /// One direction only: the DID the handle points at.
  Task<Result<Did, Fault>> resolve_handle(Handle handle, Cached cached = Cached::allow);

  /// Both directions. From a handle, a DID document that does not claim it is Error::mismatch.
  Task<Result<Identity, Fault>> identify(Handle handle, Cached cached = Cached::allow);
  /// Both directions. From a DID, a handle that does not resolve back is absent from the result.
  Task<Result<Identity, Fault>> identify(Did did, Cached cached = Cached::allow);
  /// Either, as typed by a person ("@alice.test", "alice.test", "did:plc:…"): Error::not_found when it is
  /// neither.
  Task<Result<Identity, Fault>> identify_text(std::string text, Cached cached = Cached::allow);

  /// Forgets what is known, e.g. after the account changed its handle here.
  void forget(const Did& did);
  void forget(const Handle& handle);

 private:
  struct Caches;
  Task<Result<DidDocument, Fault>> fetch_document(Did did);
  Task<Result<Did, Fault>> look_up_handle(Handle handle);
  Task<Result<Did, Fault>> ask_dns(Handle handle);
  Task<Result<Did, Fault>> ask_well_known(Handle handle);
  Task<Result<Did, Fault>> ask_host(Handle handle, std::string origin);

  ResolverOptions options_;
  Fetch& fetch_;
  TxtLookup* dns_;
  const Clock& clock_;
  std::unique_ptr<Caches> caches_;
};

}  // namespace latchkey::identity
