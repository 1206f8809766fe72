#pragma once
// The routes of the core (contract, section 7), by subject.

#include <vector>

#include "auth/core/auth.h"

namespace latchkey::auth {

std::vector<Endpoint> session_routes();             // routes_session.cpp
std::vector<Endpoint> email_and_password_routes();  // routes_password.cpp
std::vector<Endpoint> reset_password_routes();      // routes_reset.cpp
std::vector<Endpoint> email_routes();               // routes_email.cpp
std::vector<Endpoint> user_routes();                // routes_user.cpp
std::vector<Endpoint> account_routes();             // routes_account.cpp

/// {"status": true}
web::Response status_true();

}  // namespace latchkey::auth
