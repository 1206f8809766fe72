// What the resource server asks: RFC 9449 §7.

#include "oauth/server/server.h"

namespace latchkey::oauth {

Task<Result<Server::Grant, Fault>> Server::check_resource(ResourceRequest request) {
  const Time now = clock_.now();
  // The cheap checks first: a MAC, then one row; the signature last.
  CO_TRY(auto claims, access_tokens_.verify(request.token, now));
  CO_TRY(auto proof, co_await check_proof(request.proofs, request.method, request.uri, request.token, now));
  // 12. The key of the proof is the key the token is bound to.
  if (proof.jkt != claims.jkt)
    co_return fault(Error::invalid_token, "The token is bound to another DPoP key");
  const auto session =
      co_await db_.read([&](store::Tx& tx) { return sessions::find_living(tx, claims.session_id, now); });
  if (!session) co_return fault(Error::invalid_token, "The session has ended");
  co_return Grant{session->did, claims.scope, session->client_id};
}

}  // namespace latchkey::oauth
