#include "pds/session_answer.h"

#include "pds/pds.h"

namespace latchkey::pds {

Task<json::Object> session_fields(Pds* pds, Account account, EmailFields email) {
  json::Object out{{"handle", account.handle_text()}, {"did", account.did.str()}};
  if (auto document = co_await pds->did_docs().get(account.did.str()))
    out.append("didDoc", *std::move(document));
  if (email == EmailFields::show) {
    if (account.email) out.append("email", *account.email);
    out.append("emailConfirmed", account.email_confirmed_at.has_value());
    out.append("emailAuthFactor", false);
  }
  out.append("active", account.active());
  if (auto status = account.status()) out.append("status", *status);
  co_return out;
}

EmailFields email_fields(SessionScope scope) {
  return scope == SessionScope::access || scope == SessionScope::takendown ? EmailFields::show
                                                                           : EmailFields::hide;
}

Task<web::Response> session_response(Pds* pds, Account account, SessionTokens tokens, EmailFields email) {
  json::Object out{{"accessJwt", std::move(tokens.access_jwt)},
                   {"refreshJwt", std::move(tokens.refresh_jwt)}};
  for (const auto& member : co_await session_fields(pds, std::move(account), email))
    out.append(member.key, member.value);
  auto response = web::Response::json(std::move(out));
  response.header("Cache-Control", "no-store");
  co_return response;
}

}  // namespace latchkey::pds
