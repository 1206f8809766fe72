// The main password, which an account can do without, and passwords for single apps (epds-flows, 4.4).

#include "signin/account_parts.h"

namespace latchkey::signin {

Task<web::Response> AccountPages::set_password(Session at, web::Request request) {
  Secret<std::string> password(single(at.form, "password").value_or(""));
  if (const auto ok = co_await pds_.settings().set_password(at.account, std::move(password)); !ok)
    co_return failed("invalid_password");
  // Who chooses a password may fear that somebody else is in: all sessions but this one end.
  const std::string did = at.account.did.str();
  co_await devices_.sign_out_others(did, at.device);
  co_await db_.write([&](store::Tx& tx) { people_.end_sessions(tx, at.account.did); });
  co_await oauth_.end_sessions(did);
  co_await note(at, Event::password_set, {}, request);
  letters_.notify(at.account, {.what = name(Event::password_set)}, Actor::of(request), at.reader.lang());
  co_return done("password_set");
}

Task<web::Response> AccountPages::remove_password(Session at, web::Request request) {
  if (!co_await pds_.settings().has_password(at.account)) co_return done("nothing");
  if (!co_await db_.read([&](store::Tx& tx) { return has_other_method(tx, at.account, Method::password); }))
    co_return failed("last_method");
  if (const auto ok = co_await pds_.settings().remove_password(at.account); !ok) co_return done("nothing");
  co_await note(at, Event::password_removed, {}, request);
  letters_.notify(at.account, {.what = name(Event::password_removed)}, Actor::of(request), at.reader.lang());
  co_return done("password_removed");
}

Task<web::Response> AccountPages::add_app_password(Session at, web::Request request) {
  const std::string name_of_it = single(at.form, "name").value_or("");
  const auto privileged = single(at.form, "privileged") == "yes" ? pds::Privileged::yes : pds::Privileged::no;
  auto made = co_await pds_.settings().create_app_password(at.account, name_of_it, privileged);
  if (!made) co_return failed("app_password_refused");
  co_await note(at, Event::app_password_created, name_of_it, request);
  letters_.notify(at.account, {.what = name(Event::app_password_created), .detail = plain_name(name_of_it)},
                  Actor::of(request), at.reader.lang());
  // Shown in the answer to the form and nowhere else: a redirect would need a place to keep it.
  co_return co_await account_page(std::move(at), {}, {}, made->password.reveal());
}

Task<web::Response> AccountPages::revoke_app_password(Session at, web::Request request) {
  const std::string name_of_it = single(at.form, "name").value_or("");
  const auto all = co_await pds_.settings().app_passwords(at.account);
  if (std::ranges::find(all, name_of_it, &pds::AppPassword::name) == all.end()) co_return done("nothing");
  co_await pds_.settings().revoke_app_password(at.account, name_of_it);
  co_await note(at, Event::app_password_revoked, name_of_it, request);
  co_return done("app_password_revoked");
}

}  // namespace latchkey::signin
