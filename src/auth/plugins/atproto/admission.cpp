#include "auth/plugins/atproto/admission.h"

#include <algorithm>

#include "auth/plugins/atproto/errors.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::auth::bsky {
namespace {

using Kind = Admitted::Kind;

constexpr std::string_view k_placeholder_domain = "@bsky.placeholder.invalid";  // RFC 2606 §2

json::Value or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

std::string column(const User& user, std::string_view name) {
  const auto* value = user.fields.find(name);
  const auto* text = value ? value->string() : nullptr;
  return text ? *text : std::string();
}

/// The columns of this account. What was not read stays, unless it is another account's.
json::Object columns_of(const Arrival& a, const User* before) {
  json::Object out{{"bskyDid", a.did.str()},
                   {"bskyHandle", a.handle ? json::Value(a.handle->str()) : json::Value()}};
  if (a.profile) {
    out.set("bskyBio", or_null(a.profile->description));
    out.set("bskyBanner", or_null(a.profile->banner));
  } else if (before && column(*before, "bskyDid") != a.did.str()) {
    out.set("bskyBio", {});
    out.set("bskyBanner", {});
  }
  return out;
}

UserChanges changes_of(const Arrival& a, const User& before, bool name_and_picture) {
  UserChanges out{.fields = columns_of(a, &before)};
  if (name_and_picture && a.profile) {
    if (a.shown.name) out.name = a.shown.name;
    if (a.shown.image) out.image = a.shown.image;
  }
  return out;
}

bool has_account(const Auth& auth, store::Tx& tx, const User& user, const Did& did) {
  return std::ranges::any_of(auth.accounts().list(tx, user.id), [&](const Account& a) {
    return a.provider_id == k_provider && a.account_id == did.str();
  });
}

Result<void, Fault> add_account(const Auth& auth, store::Tx& tx, const User& user, const Did& did, Time now) {
  TRY_VOID(auth.accounts().link(tx, {.account_id = did.str(), .provider_id = k_provider, .user_id = user.id},
                                now));
  return {};
}

}  // namespace

Result<std::optional<User>, Fault> owner_of(const Auth& auth, store::Tx& tx, const Did& did) {
  auto by_column = auth.users().find_by(tx, "bskyDid", did.str());
  const auto account = auth.accounts().find(tx, k_provider, did.str());
  if (!account) return by_column;
  // Two users with one account: somebody else wrote into these tables, and neither is let in.
  if (by_column && by_column->id != account->user_id) return refuse(Error::SOCIAL_ACCOUNT_ALREADY_LINKED);
  return auth.users().find(tx, account->user_id);
}

Result<Admitted, Fault> admit(const Auth& auth, store::Tx& tx, const Arrival& a, AdmissionRules rules,
                              Time now) {
  const AccountLinkingOptions& linking = auth.options().account.linking;
  const auto& [at_start, at_end] = a.visitor;
  TRY(auto owner, owner_of(auth, tx, a.did));
  // 1. Known. Whoever is signed in stays who they are.
  if (owner) {
    if ((at_start && *at_start != owner->id) || (at_end && *at_end != owner->id))
      return refuse(Error::SOCIAL_ACCOUNT_ALREADY_LINKED);
    const bool shown =
        rules.profile_on_sign_in && (is_placeholder(owner->email) || linking.update_user_info_on_link);
    if (!has_account(auth, tx, *owner, a.did)) TRY_VOID(add_account(auth, tx, *owner, a.did, now));
    TRY(User user, auth.users().update(tx, owner->id, changes_of(a, *owner, shown), now));
    return Admitted{std::move(user), Kind::known};
  }
  // 2. Linked to whoever asked for it, and still is here.
  if (at_start != at_end) return refuse(AtprotoError::SIGNED_IN_USER_CHANGED);
  if (at_end) {
    if (!linking.enabled) return refuse(AtprotoError::ACCOUNT_LINKING_DISABLED);
    const auto me = auth.users().find(tx, *at_end);
    if (!me) return refuse(AtprotoError::SIGNED_IN_USER_CHANGED);
    TRY_VOID(add_account(auth, tx, *me, a.did, now));
    TRY(User user,
        auth.users().update(tx, me->id, changes_of(a, *me, linking.update_user_info_on_link), now));
    return Admitted{std::move(user), Kind::linked};
  }
  // 3. New.
  if (rules.disable_sign_up) return refuse(AtprotoError::SIGNUP_DISABLED);
  std::string email = placeholder_email(a.did);
  // Somebody who signed up with this very text keeps nobody out.
  if (auth.users().find_by_email(tx, email)) email = lower_case(random_id(auth.rng())) + "." + email;
  TRY(User user, auth.users().create(tx,
                                     {.email = std::move(email),
                                      .name = a.shown.name.value_or(a.name_of_new_user),
                                      .email_verified = false,
                                      .image = a.shown.image,
                                      .fields = columns_of(a, nullptr)},
                                     now));
  TRY_VOID(add_account(auth, tx, user, a.did, now));
  return Admitted{std::move(user), Kind::created};
}

bool is_ours(const Account& account, const User& user) {
  return account.provider_id == k_provider ||
         (!account.account_id.empty() && account.account_id == column(user, "bskyDid"));
}

Result<void, Fault> forget(const Auth& auth, store::Tx& tx, const Account& account, Time now) {
  const auto user = auth.users().find(tx, account.user_id);
  if (!user || column(*user, "bskyDid") != account.account_id) return {};
  json::Value next;
  for (const Account& other : auth.accounts().list(tx, user->id))
    if (other.provider_id == k_provider && other.id != account.id) next = other.account_id;
  TRY_VOID(auth.users().update(
      tx, user->id, {.fields = {{"bskyDid", next}, {"bskyHandle", {}}, {"bskyBio", {}}, {"bskyBanner", {}}}},
      now));
  return {};
}

std::string placeholder_email(const Did& did) {
  std::string local = did.str();
  std::ranges::replace(local, ':', '_');
  const bool plain = local.size() <= 60 && std::ranges::all_of(local, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                     });
  // RFC 5321 §4.5.3.1.1: 64 octets; and one text for one DID.
  if (!plain || did.method() != "plc")
    local = "did_" + std::string(did.method()) + "_" + hex(crypto::sha256(as_bytes(did.str()))).substr(0, 40);
  return local + std::string(k_placeholder_domain);
}

bool is_placeholder(std::string_view email) { return email.ends_with(k_placeholder_domain); }

}  // namespace latchkey::auth::bsky
