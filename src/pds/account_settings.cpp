#include "pds/account_settings.h"

#include "crypto/password.h"
#include "pds/call.h"
#include "pds/mailed_tokens.h"
#include "pds/sessions.h"

namespace latchkey::pds {
namespace {

using xrpc::Error;
using xrpc::Fault;

std::unexpected<Fault> gone() { return refuse(Error::AccountNotFound, "Account not found"); }

}  // namespace

Task<Result<void, Fault>> AccountSettings::change_email(Account account, mail::EmailAddress email,
                                                        EmailProof proof) {
  const Time now = shared_.clock.now();
  co_return co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    if (!accounts::by_did(tx, account.did)) return gone();
    if (!accounts::set_email(tx, account.id, email.str(),
                             proof == EmailProof::proven ? std::optional(now) : std::nullopt))
      return invalid("This email address is already in use, please use a different email.");
    mailed_tokens::remove_all(tx, account.id);  // they prove the mailbox the account had
    if (proof == EmailProof::proven) email_confirmed(tx, account.did);
    return {};
  });
}

Task<Result<void, Fault>> AccountSettings::confirm_email(Account account, mail::EmailAddress email) {
  const Time now = shared_.clock.now();
  co_return co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    const auto current = accounts::by_did(tx, account.did);
    if (!current) return gone();
    if (current->email != email.str()) return refuse(Error::InvalidEmail, "invalid email");
    accounts::confirm_email(tx, account.id, email.str(), now);
    email_confirmed(tx, account.did);
    return {};
  });
}

void AccountSettings::email_confirmed(store::Tx& tx, const Did& did) const {
  const auto account = accounts::by_did(tx, did);
  for (const auto& tell : on_email_confirmed_) tell(tx, *account);
}

Task<bool> AccountSettings::has_password(Account account) {
  co_return co_await shared_.db.read(
      [&](store::Tx& tx) { return accounts::password_scrypt(tx, account.id).has_value(); });
}

Task<bool> AccountSettings::is_password(Account account, Secret<std::string> password) {
  if (password.reveal().size() > crypto::k_max_password_bytes) co_return false;
  const auto stored =
      co_await shared_.db.read([&](store::Tx& tx) { return accounts::password_scrypt(tx, account.id); });
  if (!stored) co_return false;
  co_return co_await run_on(&shared_.passwords, [password, scrypt = *stored] {
    return crypto::verify_password(password.reveal(), scrypt);
  });
}

Task<Result<void, Fault>> AccountSettings::set_password(Account account, Secret<std::string> password) {
  CO_TRY_VOID(check_new_password(config_, password));
  auto scrypt = co_await run_on(
      &shared_.passwords, [this, password] { return crypto::hash_password(password.reveal(), shared_.rng); });
  co_return co_await store_password(std::move(account), std::move(scrypt));
}

Task<Result<void, Fault>> AccountSettings::remove_password(Account account) {
  return store_password(std::move(account), std::nullopt);
}

Task<Result<void, Fault>> AccountSettings::store_password(Account account,
                                                          std::optional<std::string> scrypt) {
  co_return co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    if (!accounts::by_did(tx, account.did)) return gone();
    accounts::set_password(tx, account.id, scrypt);
    sessions::revoke_all(tx, account.id);
    return {};
  });
}

Task<Result<NewAppPassword, Fault>> AccountSettings::create_app_password(Account account, std::string name,
                                                                         Privileged privileged) {
  if (!is_app_password_name(name))
    co_return invalid("The name of an app password has 1 to " + std::to_string(k_max_app_password_name) +
                      " bytes and no control characters");
  auto password = new_app_password(shared_.rng);
  const auto hash = hash_app_password(password.reveal(), account.id).value();
  const AppPassword made{
      .name = std::move(name), .privileged = privileged, .created_at = shared_.clock.now()};
  CO_TRY_VOID(co_await shared_.db.write([&](store::Tx& tx) -> Result<void, Fault> {
    if (!accounts::by_did(tx, account.did)) return gone();
    if (app_passwords::list(tx, account.id).size() >= k_max_app_passwords)
      return invalid("There are " + std::to_string(k_max_app_passwords) + " app passwords already");
    if (!app_passwords::insert(tx, account.id, made, hash))
      return invalid("could not create app-specific password");
    return {};
  }));
  co_return NewAppPassword{.app_password = made, .password = std::move(password)};
}

Task<std::vector<AppPassword>> AccountSettings::app_passwords(Account account) {
  co_return co_await shared_.db.read([&](store::Tx& tx) { return app_passwords::list(tx, account.id); });
}

Task<void> AccountSettings::revoke_app_password(Account account, std::string name) {
  if (!is_app_password_name(name)) co_return;  // there cannot be one
  co_await shared_.db.write([&](store::Tx& tx) {
    app_passwords::remove(tx, account.id, name);
    sessions::revoke_of_app_password(tx, account.id, name);
  });
}

}  // namespace latchkey::pds
