// com.atproto.server.createInviteCode, com.atproto.server.createInviteCodes
#include <limits>

#include "pds/invites.h"
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {
namespace {

constexpr std::int64_t k_max_codes = 1000;  // in one call, for all accounts together

/// A whole number of the input; `otherwise` absent: required.
Result<std::int64_t, xrpc::Fault> count_input(const Call& call, std::string_view name,
                                              std::optional<std::int64_t> otherwise, std::int64_t max) {
  const auto* value = call.input.find(name);
  if (!value) {
    if (otherwise) return *otherwise;
    return Call::missing("Input", name);
  }
  const auto* number = value->integer();
  if (!number) return Call::malformed("Input", name, "integer");
  if (*number < 1) return invalid("Input/" + std::string(name) + " can not be less than 1");
  if (*number > max)
    return invalid("Input/" + std::string(name) + " can not be greater than " + std::to_string(max));
  return *number;
}

Result<std::string, xrpc::Fault> account_text(const json::Value& value) {
  if (const auto* text = value.string(); text && (*text == "admin" || Did::parse(*text))) return *text;
  return Call::malformed("Input", "forAccount", "did");
}

struct Batch {
  std::string for_account;
  std::vector<Invite> invites;
};

Task<std::vector<Batch>> make(Pds* pds, std::vector<std::string> for_accounts, std::int64_t codes,
                              std::int64_t uses) {
  const Invites rules(pds->config().public_url, std::nullopt);
  const Time now = pds->clock().now();
  std::vector<Batch> out;
  for (auto& account : for_accounts) {
    Batch batch{.for_account = account, .invites = {}};
    for (std::int64_t i = 0; i < codes; ++i)
      batch.invites.push_back({.code = rules.new_code(pds->shared().rng),
                               .max_uses = uses,
                               .for_account = account,
                               .created_by = "admin",
                               .created_at = now});
    out.push_back(std::move(batch));
  }
  co_await pds->db().write([&](store::Tx& tx) {
    for (const auto& batch : out)
      for (const auto& invite : batch.invites) invites::insert(tx, invite);
  });
  co_return out;
}

}  // namespace

Task<Answer> create_invite_code(Pds& pds, Call call) {
  CO_TRY(const auto uses, count_input(call, "useCount", std::nullopt, k_max_invite_uses));
  std::string for_account = "admin";
  if (const auto* given = call.input.find("forAccount")) {
    CO_TRY(for_account, account_text(*given));
  }
  const auto made = co_await make(&pds, {for_account}, 1, uses);
  co_return web::Response::json(json::Object{{"code", made.front().invites.front().code}});
}

Task<Answer> create_invite_codes(Pds& pds, Call call) {
  CO_TRY(const auto codes, count_input(call, "codeCount", 1, k_max_codes));
  CO_TRY(const auto uses, count_input(call, "useCount", std::nullopt, k_max_invite_uses));
  std::vector<std::string> for_accounts;
  if (const auto* given = call.input.find("forAccounts")) {
    if (!given->array()) co_return Call::malformed("Input", "forAccounts", "array");
    for (const auto& each : *given->array()) {
      CO_TRY(auto account, account_text(each));
      for_accounts.push_back(std::move(account));
    }
  }
  if (for_accounts.empty()) for_accounts.push_back("admin");
  if (static_cast<std::int64_t>(for_accounts.size()) * codes > k_max_codes)
    co_return invalid("At most " + std::to_string(k_max_codes) + " codes at once");

  json::Array out;
  for (const auto& batch : co_await make(&pds, std::move(for_accounts), codes, uses)) {
    json::Array texts;
    for (const auto& invite : batch.invites) texts.push_back(invite.code);
    out.push_back(json::Object{{"account", batch.for_account}, {"codes", std::move(texts)}});
  }
  co_return web::Response::json(json::Object{{"codes", std::move(out)}});
}

}  // namespace latchkey::pds
