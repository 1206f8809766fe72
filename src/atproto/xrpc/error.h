#pragma once
// The errors of XRPC methods: names as on the wire, with the status they travel with.

#include <cstdlib>
#include <string>
#include <string_view>

namespace latchkey::xrpc {

enum class Error {
  // Generic, one per status.
  InvalidRequest,
  AuthenticationRequired,
  AuthMissing,
  Forbidden,
  XRPCNotSupported,
  PayloadTooLarge,
  PayloadTooLargeError,
  UnsupportedMediaType,
  RateLimitExceeded,
  InternalServerError,
  MethodNotImplemented,
  UpstreamFailure,
  NotEnoughResources,
  UpstreamTimeout,
  // Sessions and tokens.
  ExpiredToken,
  InvalidToken,
  AccountNotFound,
  AccountTakedown,
  AccountDeactivated,
  AuthFactorTokenRequired,
  TokenRequired,
  BadExpiration,
  // OAuth at the resource server; the names are those of RFC 6750 and RFC 9449.
  invalid_token,
  invalid_dpop_proof,
  use_dpop_nonce,
  ScopeMissingError,
  // Service JWTs.
  BadJwt,
  BadJwtType,
  JwtExpired,
  BadJwtAudience,
  BadJwtLexiconMethod,
  BadJwtIss,
  BadJwtSignature,
  UntrustedIss,
  // Accounts and identity.
  InvalidHandle,
  InvalidPassword,
  InvalidInviteCode,
  InvalidEmail,
  HandleNotAvailable,
  UnsupportedDomain,
  UnresolvableDid,
  IncompatibleDidDoc,
  DuplicateCreate,
  HandleNotFound,
  DidNotFound,
  DidDeactivated,
  NotFound,
  // Repositories and sync.
  InvalidSwap,
  RecordNotFound,
  RepoNotFound,
  RepoTakendown,
  RepoSuspended,
  RepoDeactivated,
  BlockNotFound,
  BlobNotFound,
  BlobTooLarge,
  InvalidMimeType,
  HeadNotFound,
  // Error frames of the firehose; the status is unused.
  FutureCursor,
  ConsumerTooSlow,
  // Others.
  InvalidScopeReference,
  LexiconNotFound,
};

struct Wire {
  int status;
  std::string_view name;
};

/// A new enumerator without a line here does not compile.
constexpr Wire wire(Error e) {
  switch (e) {
#define LK_XRPC(status, name) \
  case Error::name:           \
    return {status, #name};
    LK_XRPC(400, InvalidRequest)
    LK_XRPC(401, AuthenticationRequired)
    LK_XRPC(401, AuthMissing)
    LK_XRPC(403, Forbidden)
    LK_XRPC(404, XRPCNotSupported)
    LK_XRPC(413, PayloadTooLarge)
    LK_XRPC(413, PayloadTooLargeError)
    LK_XRPC(415, UnsupportedMediaType)
    LK_XRPC(429, RateLimitExceeded)
    LK_XRPC(500, InternalServerError)
    LK_XRPC(501, MethodNotImplemented)
    LK_XRPC(502, UpstreamFailure)
    LK_XRPC(503, NotEnoughResources)
    LK_XRPC(504, UpstreamTimeout)
    LK_XRPC(400, ExpiredToken)
    LK_XRPC(400, InvalidToken)
    LK_XRPC(403, AccountNotFound)
    LK_XRPC(401, AccountTakedown)
    LK_XRPC(401, AccountDeactivated)
    LK_XRPC(401, AuthFactorTokenRequired)
    LK_XRPC(400, TokenRequired)
    LK_XRPC(400, BadExpiration)
    LK_XRPC(401, invalid_token)
    LK_XRPC(401, invalid_dpop_proof)
    LK_XRPC(401, use_dpop_nonce)
    LK_XRPC(403, ScopeMissingError)
    LK_XRPC(401, BadJwt)
    LK_XRPC(401, BadJwtType)
    LK_XRPC(401, JwtExpired)
    LK_XRPC(401, BadJwtAudience)
    LK_XRPC(401, BadJwtLexiconMethod)
    LK_XRPC(401, BadJwtIss)
    LK_XRPC(401, BadJwtSignature)
    LK_XRPC(401, UntrustedIss)
    LK_XRPC(400, InvalidHandle)
    LK_XRPC(400, InvalidPassword)
    LK_XRPC(400, InvalidInviteCode)
    LK_XRPC(400, InvalidEmail)
    LK_XRPC(400, HandleNotAvailable)
    LK_XRPC(400, UnsupportedDomain)
    LK_XRPC(400, UnresolvableDid)
    LK_XRPC(400, IncompatibleDidDoc)
    LK_XRPC(400, DuplicateCreate)
    LK_XRPC(400, HandleNotFound)
    LK_XRPC(400, DidNotFound)
    LK_XRPC(400, DidDeactivated)
    LK_XRPC(400, NotFound)
    LK_XRPC(400, InvalidSwap)
    LK_XRPC(400, RecordNotFound)
    LK_XRPC(400, RepoNotFound)
    LK_XRPC(400, RepoTakendown)
    LK_XRPC(400, RepoSuspended)
    LK_XRPC(400, RepoDeactivated)
    LK_XRPC(400, BlockNotFound)
    LK_XRPC(400, BlobNotFound)
    LK_XRPC(400, BlobTooLarge)
    LK_XRPC(400, InvalidMimeType)
    LK_XRPC(400, HeadNotFound)
    LK_XRPC(400, FutureCursor)
    LK_XRPC(400, ConsumerTooSlow)
    LK_XRPC(400, InvalidScopeReference)
    LK_XRPC(400, LexiconNotFound)
#undef LK_XRPC
  }
  std::abort();
}

struct Fault {
  Error code;
  std::string message = {};  // shown to the client; "" gives the error's own words
  std::string detail = {};   // logs only
  int status() const { return wire(code).status; }
};

/// {"error":"InvalidRequest","message":"…"}
std::string body(const Fault& fault);

}  // namespace latchkey::xrpc
