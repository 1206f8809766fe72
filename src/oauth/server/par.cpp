// Pushed authorization requests, RFC 9126, the only way into this server.

#include "atproto/syntax/at_identifier.h"
#include "oauth/pkce/pkce.h"
#include "oauth/server/server.h"

namespace latchkey::oauth {
namespace {
constexpr std::size_t k_max_state = 2048, k_max_redirect_uri = 2048, k_max_ui_locales = 256;
}

Task<web::Response> Server::par(web::Request request) {
  const std::string id = request.id;
  co_return render(co_await pushed(std::move(request)), 201, id);
}

Task<Result<json::Object, Fault>> Server::pushed(web::Request request) {
  const Time now = clock_.now();
  CO_TRY(auto form, parameters(request));
  CO_TRY(auto proof,
         co_await check_proof(request.headers.all("dpop"), "POST", options_.issuer + "/oauth/par", {}, now));
  CO_TRY(auto caller, co_await authenticate(form));
  const Client& client = *caller.client;
  if (caller.auth.jkt == proof.jkt)
    co_return fault(Error::invalid_dpop_proof, "The DPoP key must not be the client's own key");

  // RFC 9126 §2.1: a pushed request does not point to another one. Request objects (RFC 9101) are not
  // supported.
  if (single(form, "request_uri") || single(form, "request"))
    co_return fault(Error::invalid_request, "request and request_uri are not allowed here");
  if (const auto type = single(form, "response_type"); type != "code")
    co_return fault(type ? Error::unsupported_response_type : Error::invalid_request,
                    "response_type must be \"code\"");

  AuthorizationRequest ar{
      .client_id = client.id.str(), .dpop_jkt = proof.jkt, .auth = caller.auth, .created_at = now};
  ar.redirect_uri = single(form, "redirect_uri").value_or("");
  if (ar.redirect_uri.empty()) co_return fault(Error::invalid_request, "redirect_uri is required");
  if (ar.redirect_uri.size() > k_max_redirect_uri)
    co_return fault(Error::invalid_request, "redirect_uri is too long");
  if (!client.allows_redirect_uri(ar.redirect_uri))
    co_return fault(Error::invalid_request, "Invalid redirect_uri");

  ar.state = single(form, "state").value_or("");
  if (ar.state.empty()) co_return fault(Error::invalid_request, "state is required");
  if (ar.state.size() > k_max_state) co_return fault(Error::invalid_request, "state is too long");

  // RFC 7636 §4.3, with S256 as the only method.
  ar.code_challenge = single(form, "code_challenge").value_or("");
  if (!is_valid_challenge(ar.code_challenge))
    co_return fault(Error::invalid_request, "code_challenge must be 43 base64url characters");
  if (!is_supported_challenge_method(single(form, "code_challenge_method").value_or("")))
    co_return fault(Error::invalid_request, "code_challenge_method must be \"S256\"");

  ar.response_mode = single(form, "response_mode").value_or("query");
  if (ar.response_mode != "query" && ar.response_mode != "fragment" && ar.response_mode != "form_post")
    co_return fault(Error::invalid_request, "response_mode must be \"query\", \"fragment\" or \"form_post\"");

  const auto asked = ScopeSet::parse(single(form, "scope").value_or(""));
  if (!asked) co_return fault(Error::invalid_scope, asked.error().detail);
  if (const auto ok = check_atproto_scopes(*asked); !ok)
    co_return fault(Error::invalid_scope, ok.error().detail);
  const auto declared = ScopeSet::parse(client.scope);
  if (!declared || !declared->includes(*asked))
    co_return fault(Error::invalid_scope, "A scope is not declared in the client metadata");
  const ScopeSet scope = asked->known();
  ar.scope = scope.str();

  // An e-mail belongs on the authorize URL only: here it would tell the app's server log who signs in.
  if (const auto hint = single(form, "login_hint")) {
    const auto identifier = AtIdentifier::parse(*hint);
    if (!identifier) co_return fault(Error::invalid_request, "Invalid login_hint");
    ar.login_hint = identifier->str();
  }
  if (const auto prompt = single(form, "prompt")) {
    if (*prompt != "none" && *prompt != "login" && *prompt != "consent" && *prompt != "select_account" &&
        *prompt != "create")
      co_return fault(Error::invalid_request, "Invalid prompt");
    ar.prompt = *prompt;
  }
  // OpenID Connect Core §3.1.2.1: a wish, and no error when it cannot be met.
  if (auto locales = single(form, "ui_locales"); locales && locales->size() <= k_max_ui_locales)
    ar.ui_locales = std::move(*locales);

  // "At the start of a session, if a permission set can not be resolved (and is not already in a local
  // cache), the auth request will fail." Last of the checks: it may ask other servers.
  if (const auto sets = co_await permission_sets_.load(scope, PermissionSets::For::new_session); !sets)
    co_return fail(sets.error());
  if (!co_await quota_.take(now))
    co_return fault(Error::temporarily_unavailable, "Too many sign-ins at the moment", "requests stored");
  const std::string request_uri = std::string(k_request_uri_prefix) + rng_.token();
  ar.id = *requests::id_of(request_uri);
  ar.expires_at = now + k_request_lifetime;
  const bool fresh = co_await db_.write([&ar](store::Tx& tx) { return requests::insert(tx, ar); });
  if (!fresh) co_return fault(Error::invalid_request, "code_challenge was used before");
  co_return json::Object{{"request_uri", request_uri},
                         {"expires_in", std::int64_t{std::chrono::seconds(k_request_lifetime).count()}}};
}

}  // namespace latchkey::oauth
