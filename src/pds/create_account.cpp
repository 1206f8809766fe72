// com.atproto.server.createAccount
#include "pds/methods.h"
#include "pds/pds.h"
#include "pds/session_answer.h"

namespace latchkey::pds {

Task<Answer> create_account(Pds& pds, Call call) {
  using xrpc::Error;
  CO_TRY(auto handle, call.required<Handle>("handle"));
  CO_TRY(auto email_text, call.text_input("email"));
  CO_TRY(auto password, call.text_input("password"));
  CO_TRY(auto invite_code, call.text_input("inviteCode"));
  CO_TRY(auto did, call.optional_input<Did>("did"));
  CO_TRY(auto recovery_text, call.text_input("recoveryKey"));
  if (call.input.find("plcOp")) co_return invalid("Unsupported input: \"plcOp\"");
  // Only the owner of a DID may bring it here, and proves it with a service token of that DID.
  if (did)
    co_return refuse(Error::AuthenticationRequired, "Missing auth to create account with did: " + did->str());

  std::optional<crypto::PublicKey> recovery_key;
  if (recovery_text) {
    auto key = crypto::PublicKey::from_did_key(*recovery_text);
    if (!key) co_return invalid("Input/recoveryKey must be a valid did:key");
    recovery_key = *std::move(key);
  }
  if (!pds.config().invite_required)
    invite_code.reset();  // what is not asked for is not spent
  else if (!invite_code)
    co_return refuse(Error::InvalidInviteCode, "No invite code provided");
  if (!email_text) co_return invalid("Email is required");
  auto email = mail::EmailAddress::parse(*email_text);
  if (!email) co_return invalid("This email address is not supported, please use a different email.");

  SignUp sign_up{.handle = std::move(handle),
                 .email = *std::move(email),
                 .email_proof = EmailProof::unproven,
                 .email_as_typed = *email_text,
                 .password = std::nullopt,
                 .recovery_key = std::move(recovery_key),
                 .invite_code = std::move(invite_code)};
  if (password) sign_up.password.emplace(*std::move(password));
  CO_TRY(auto account, co_await pds.accounts().create_account(std::move(sign_up)));
  auto tokens = co_await pds.sessions().begin(account);

  // The lexicon's output: no e-mail and no status.
  json::Object out{{"accessJwt", std::move(tokens.access_jwt)},
                   {"refreshJwt", std::move(tokens.refresh_jwt)},
                   {"handle", account.handle_text()},
                   {"did", account.did.str()}};
  if (auto document = co_await pds.did_docs().get(account.did.str()))
    out.append("didDoc", *std::move(document));
  auto response = web::Response::json(std::move(out));
  response.header("Cache-Control", "no-store");
  co_return response;
}

}  // namespace latchkey::pds
