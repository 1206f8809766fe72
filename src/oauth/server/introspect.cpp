// Introspection: RFC 7662.

#include "oauth/server/server.h"

namespace latchkey::oauth {

Task<web::Response> Server::introspect(web::Request request) {
  const std::string id = request.id;
  co_return render(co_await introspected(std::move(request)), 200, id);
}

Task<Result<json::Object, Fault>> Server::introspected(web::Request request) {
  CO_TRY(auto form, parameters(request));
  CO_TRY(auto caller, co_await authenticate(form));
  // §2.1: the caller MUST be authorised, so that nobody tries tokens out here. A public client_id is no proof
  // of anything.
  if (!caller.client->is_confidential())
    co_return fault(Error::unauthorized_client, "Only clients with a key may introspect tokens");
  const auto token = single(form, "token");
  if (!token) co_return fault(Error::invalid_request, "token is required");

  const Time now = clock_.now();
  std::string session_id;
  const auto refresh = refresh_tokens_.parse(*token);
  std::optional<AccessClaims> access;
  if (refresh) {
    session_id = refresh->session_id;
  } else if (auto claims = access_tokens_.verify(*token, now)) {
    session_id = claims->session_id;
    access = std::move(*claims);
  }
  // §2.2: a token that is unknown, over, or another client's business is inactive, and nothing more is said.
  const json::Object inactive{{"active", false}};
  const auto session = co_await db_.read([&](store::Tx& tx) {
    auto found = sessions::find_living(tx, session_id, now);
    if (found && options_.standing(tx, found->did) != Standing::active) found.reset();
    return found;
  });
  if (!session || session->client_id != caller.client->id.str()) co_return inactive;
  if (refresh && refresh->generation != session->generation) co_return inactive;

  json::Object body{{"active", true},
                    {"iss", options_.issuer},
                    {"sub", session->did},
                    {"client_id", session->client_id},
                    {"cnf", json::Object{{"jkt", session->dpop_jkt}}}};
  body.append("scope", access ? access->scope : session->scope);
  body.append("iat", unix_seconds(access ? access->issued_at : session->rotated_at));
  body.append("exp", unix_seconds(access ? access->expires_at : session->expires_at));
  if (access) {
    body.append("aud", options_.issuer);
    body.append("token_type", "DPoP");
  }
  co_return body;
}

}  // namespace latchkey::oauth
