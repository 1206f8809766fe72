#include "auth/plugins/social/linking.h"

#include <algorithm>

#include "auth/plugins/social/token_vault.h"

namespace latchkey::auth {
namespace {

using Kind = SignedIn::Kind;

bool is_trusted(const AccountLinkingOptions& rules, const SocialIdentity& identity) {
  return std::ranges::find(rules.trusted_providers, identity.provider.id) != rules.trusted_providers.end();
}

std::vector<std::string> split_scopes(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (comma > 0) out.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

/// Name and picture, never the address.
UserChanges shown_in(const SocialProfile& profile) {
  UserChanges changes;
  if (!profile.name.empty()) changes.name = profile.name;
  if (profile.image) changes.image = profile.image;
  return changes;
}

Result<User, Fault> apply(const Auth& auth, store::Tx& tx, User user, UserChanges changes, Time now) {
  if (!changes.name && !changes.image && !changes.email_verified) return user;
  return auth.users().update(tx, user.id, std::move(changes), now);
}

/// A provider that has verified the very address the user has here, has verified it for us.
bool proves_address(const SocialProfile& profile, const User& user) {
  return profile.email_verified && !user.email_verified && profile.email == user.email;
}

Result<SignInOutcome, Fault> known_identity(const Auth& auth, const SocialOptions& options, store::Tx& tx,
                                            const SocialIdentity& identity, Account account, Time now) {
  auto user = auth.users().find(tx, account.user_id);
  if (!user) return Refusal::account_not_linked;  // somebody deleted it without its accounts
  if (options.tokens == SocialOptions::Tokens::kept && auth.options().account.update_account_on_sign_in) {
    const auto scope = account.scope;  // grows by linking only
    take_tokens(auth, account, identity.tokens);
    account.scope = scope;
    TRY_VOID(auth.accounts().update(tx, std::move(account), now));
  }
  UserChanges changes;
  if (identity.provider.rules.override_user_info_on_sign_in) changes = shown_in(identity.profile);
  if (proves_address(identity.profile, *user)) changes.email_verified = true;
  TRY(User updated, apply(auth, tx, std::move(*user), std::move(changes), now));
  return SignedIn{std::move(updated), Kind::known};
}

/// Implicitly, by the same address (section 10, the first column).
Result<SignInOutcome, Fault> known_address(const Auth& auth, const SocialOptions& options, store::Tx& tx,
                                           const SocialIdentity& identity, User user, Time now) {
  const AccountLinkingOptions& rules = auth.options().account.linking;
  if (!rules.enabled || rules.disable_implicit_linking) return Refusal::account_not_linked;
  if (!identity.profile.email_verified && !is_trusted(rules, identity)) return Refusal::account_not_linked;
  // Somebody may have registered a stranger's address and now waits for the stranger to link to it.
  if (!user.email_verified && rules.require_local_email_verified) return Refusal::account_not_linked;
  Account account = account_of(auth, options, identity);
  account.user_id = user.id;
  TRY_VOID(auth.accounts().link(tx, std::move(account), now));
  UserChanges changes;
  if (rules.update_user_info_on_link) changes = shown_in(identity.profile);
  if (proves_address(identity.profile, user)) changes.email_verified = true;
  TRY(User updated, apply(auth, tx, std::move(user), std::move(changes), now));
  return SignedIn{std::move(updated), Kind::known};
}

}  // namespace

std::string join_scopes(const std::vector<std::string>& scopes) {
  std::string out;
  for (const auto& scope : scopes) {
    if (!out.empty()) out += ',';
    out += scope;
  }
  return out;
}

void take_tokens(const Auth& auth, Account& account, const ProviderTokens& tokens) {
  if (!tokens.access_token.empty()) account.access_token = token_to_store(auth, tokens.access_token);
  account.access_token_expires_at = tokens.access_expires_at;
  if (!tokens.refresh_token.empty()) {
    account.refresh_token = token_to_store(auth, tokens.refresh_token);
    account.refresh_token_expires_at = tokens.refresh_expires_at;
  }
  if (!tokens.id_token.empty()) account.id_token = tokens.id_token;
  if (!tokens.scopes.empty()) account.scope = join_scopes(tokens.scopes);
}

Account account_of(const Auth& auth, const SocialOptions& options, const SocialIdentity& identity) {
  Account account{.account_id = identity.profile.subject,
                  .provider_id = identity.provider.account_provider_id};
  if (options.tokens == SocialOptions::Tokens::kept) take_tokens(auth, account, identity.tokens);
  return account;
}

Result<SignInOutcome, Fault> sign_in_with(const Auth& auth, const SocialOptions& options, store::Tx& tx,
                                          const SocialIdentity& identity, SignUpRequest sign_up, Time now) {
  const SocialProfile& profile = identity.profile;
  const bool strict = options.match == SocialOptions::Match::by_identity;
  if (auto account = auth.accounts().find(tx, identity.provider.account_provider_id, profile.subject))
    return known_identity(auth, options, tx, identity, std::move(*account), now);
  if (!profile.email) return Refusal::email_not_found;
  // Before anything is looked up: the answer tells nothing about who is here.
  if (strict && !profile.email_verified) return Refusal::email_not_verified;
  auto user = auth.users().find_by_email(tx, *profile.email);
  if (strict && (user || (options.address_taken && options.address_taken(tx, *profile.email))))
    return ControlNeeded{};
  if (user) return known_address(auth, options, tx, identity, std::move(*user), now);

  const ProviderRules& rules = identity.provider.rules;
  if (rules.disable_sign_up || (rules.disable_implicit_sign_up && sign_up == SignUpRequest::no))
    return Refusal::signup_disabled;
  TRY(User fresh, auth.users().create(tx,
                                      {.email = *profile.email,
                                       .name = profile.name,
                                       .email_verified = profile.email_verified,
                                       .image = profile.image},
                                      now));
  Account account = account_of(auth, options, identity);
  account.user_id = fresh.id;
  TRY_VOID(auth.accounts().link(tx, std::move(account), now));
  return SignedIn{std::move(fresh), Kind::created};
}

Result<std::variant<Linked, Refusal>, Fault> link_to(const Auth& auth, const SocialOptions& options,
                                                     store::Tx& tx, const SocialIdentity& identity,
                                                     std::string_view user_id, Time now) {
  const AccountLinkingOptions& rules = auth.options().account.linking;
  const SocialProfile& profile = identity.profile;
  auto user = auth.users().find(tx, user_id);
  if (!user || !rules.enabled) return Refusal::unable_to_link_account;
  if (!profile.email_verified && !is_trusted(rules, identity)) return Refusal::unable_to_link_account;
  if (auto mine = auth.accounts().find(tx, identity.provider.account_provider_id, profile.subject)) {
    if (mine->user_id != user->id) return Refusal::account_already_linked_to_different_user;
    if (options.tokens == SocialOptions::Tokens::kept) {
      auto scopes = split_scopes(mine->scope.value_or(""));
      for (const auto& scope : identity.tokens.scopes)
        if (std::ranges::find(scopes, scope) == scopes.end()) scopes.push_back(scope);
      take_tokens(auth, *mine, identity.tokens);
      mine->scope = join_scopes(scopes);
      TRY_VOID(auth.accounts().update(tx, std::move(*mine), now));
    }
    return Linked{std::move(*user), Linked::Kind::known};
  }
  if (profile.email != user->email && !rules.allow_different_emails) return Refusal::email_does_not_match;
  Account account = account_of(auth, options, identity);
  account.user_id = user->id;
  TRY_VOID(auth.accounts().link(tx, std::move(account), now));
  UserChanges changes;
  if (rules.update_user_info_on_link) changes = shown_in(profile);
  if (proves_address(profile, *user)) changes.email_verified = true;
  TRY(User updated, apply(auth, tx, std::move(*user), std::move(changes), now));
  return Linked{std::move(updated), Linked::Kind::fresh};
}

}  // namespace latchkey::auth
