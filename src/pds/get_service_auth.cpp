// com.atproto.server.getServiceAuth
#include <limits>

#include "pds/method_permissions.h"
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/service_jwt.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

constexpr std::chrono::seconds k_longest{3600}, k_longest_without_method{60}, k_usual{60};

/// A DID, or one of its services: did:web:api.example.com#svc.
bool is_audience(std::string_view aud) {
  const auto hash = aud.find('#');
  if (!Did::parse(aud.substr(0, hash))) return false;
  if (hash == std::string_view::npos) return true;
  const auto fragment = aud.substr(hash + 1);
  return !fragment.empty() && !fragment.contains('#') && !fragment.contains(' ');
}

Result<void, Fault> may_ask(const Credentials& who, const std::optional<Nsid>& lxm, const std::string& aud) {
  const std::string method = lxm ? lxm->str() : "*";
  if (who.kind == Credentials::Kind::oauth) {
    if (who.permissions->allows_rpc(method, aud)) return {};
    return fail(scope_missing(oauth::Permissions::missing_rpc(method, aud)));
  }
  // All a taken-down account may still do elsewhere is to move there.
  const bool leaving = method == "com.atproto.server.createAccount";
  switch (who.scope) {
    case SessionScope::access:
    case SessionScope::app_pass_privileged:
      return {};
    case SessionScope::app_pass:
      if (!oauth::is_privileged_method(method)) return {};
      return invalid("insufficient access to request a service auth token for the following method: " +
                     method);
    case SessionScope::takendown:
      if (leaving) return {};
      break;
    case SessionScope::signup_queued:
    case SessionScope::refresh:
      break;
  }
  return refuse(Error::InvalidToken, "Bad token scope");
}

/// Both in seconds since 1970.
Result<void, Fault> check_expiration(std::int64_t exp, std::int64_t now, bool for_one_method) {
  if (exp < now) return refuse(Error::BadExpiration, "expiration is in past");
  if (exp > now + k_longest.count())
    return refuse(Error::BadExpiration,
                  "cannot request a token with an expiration more than an hour in the future");
  if (!for_one_method && exp > now + k_longest_without_method.count())
    return refuse(Error::BadExpiration,
                  "cannot request a method-less token with an expiration more than a minute in the future");
  return {};
}

}  // namespace

Task<Answer> get_service_auth(Pds& pds, Call call) {
  CO_TRY(auto aud, call.text_param("aud"));
  if (!aud) co_return Call::missing("Params", "aud");
  if (!is_audience(*aud)) co_return Call::malformed("Params", "aud", "did");
  CO_TRY(auto lxm, call.optional_param<Nsid>("lxm"));
  const Time now = pds.clock().now();
  const std::int64_t now_s = unix_seconds(now);
  CO_TRY(auto exp, call.int_param("exp", std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max(), now_s + k_usual.count()));
  CO_TRY_VOID(may_ask(call.who(), lxm, *aud));
  if (lxm && is_protected_method(lxm->str()))
    co_return invalid("cannot request a service auth token for the following protected method: " +
                      lxm->str());
  CO_TRY_VOID(check_expiration(exp, now_s, lxm.has_value()));

  const auto key = co_await pds.repos().signing_key(call.who().account);
  const ServiceJwt jwt{.iss = call.who().account.did,
                       .aud = *std::move(aud),
                       .lxm = std::move(lxm),
                       .iat = now,
                       .exp = from_unix_seconds(exp)};
  auto response = web::Response::json(json::Object{{"token", sign_service_jwt(jwt, key, pds.shared().rng)}});
  response.header("Cache-Control", "no-store");
  co_return response;
}

}  // namespace latchkey::pds
