#pragma once
// The body createAccount, createSession, refreshSession and getSession have in common.

#include "base/json.h"
#include "pds/accounts.h"
#include "pds/session_service.h"
#include "web/http.h"

namespace latchkey::pds {

class Pds;
enum class EmailFields { show, hide };

/// handle, did, didDoc when it can be had, active, status and, unless hidden, the e-mail fields.
Task<json::Object> session_fields(Pds* pds, Account account, EmailFields email);
/// App passwords are for apps; the address is the person's.
EmailFields email_fields(SessionScope scope);
/// The same with tokens in front; not to be stored by caches.
Task<web::Response> session_response(Pds* pds, Account account, SessionTokens tokens, EmailFields email);

}  // namespace latchkey::pds
