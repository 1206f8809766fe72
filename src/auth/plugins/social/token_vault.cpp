#include "auth/plugins/social/token_vault.h"

#include "auth/core/symmetric.h"

namespace latchkey::auth {

std::string token_to_store(const Auth& auth, const std::string& token) {
  if (!auth.options().account.encrypt_oauth_tokens) return token;
  return encrypt_symmetric(auth.secret(), token, auth.rng());
}

std::string stored_token(const Auth& auth, const std::string& stored) {
  auto plain = decrypt_symmetric(auth.secret(), stored);
  for (const auto& old : auth.options().old_secrets)
    if (!plain) plain = decrypt_symmetric(old.reveal(), stored);
  return plain ? std::move(*plain) : stored;
}

}  // namespace latchkey::auth
