// The way back from the provider (better-auth contract, section 10).
#include <algorithm>

#include "auth/plugins/social/service.h"
#include "base/log.h"
#include "web/http.h"

namespace latchkey::auth {
namespace {

constexpr std::size_t k_max_error = 64, k_max_error_description = 512;

// The members of an authorization response, in the order of the contract.
constexpr const char* k_response_members[] = {"code", "state", "error",    "error_description",
                                              "iss",  "user",  "device_id"};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string pending_identifier(std::string_view id) { return "pending-link:" + std::string(id); }

struct PendingRow {
  std::string provider_id, account_id, label, email;
  static std::optional<PendingRow> parse(std::string_view text) {
    const auto v = json::parse(text);
    if (!v) return std::nullopt;
    const auto *provider = v->string_at("providerId"), *account = v->string_at("accountId"),
               *label = v->string_at("label"), *email = v->string_at("email");
    if (!provider || !account || !label || !email) return std::nullopt;
    return PendingRow{*provider, *account, *label, *email};
  }
};

}  // namespace

Task<Answer> SocialService::callback(Context& c) {
  const std::string default_error = c.auth.url("/error");
  const auto to_error = [&](const std::string& url, std::string_view error) {
    return redirect_answer(with_query(url, "error", error));
  };
  const std::string provider_id = c.params.find("id")->second;
  const auto state = c.query_text("state");
  if (!state || state->empty()) co_return to_error(default_error, "state_not_found");
  auto returned = co_await take_state(c, provider_id, *state);
  using Verdict = ReturnedState::Verdict;
  if (returned.verdict == Verdict::unknown) co_return to_error(default_error, "state_mismatch");
  const std::string error_url = returned.state->error_url.value_or(default_error);
  if (returned.verdict != Verdict::accepted) co_return to_error(error_url, "state_mismatch");
  c.set_cookie(c.auth.cookies().cleared("state"));

  if (const auto error = c.query_text("error")) {
    std::string url = with_query(error_url, "error", utf8_prefix(*error, k_max_error));
    if (const auto text = c.query_text("error_description"))
      url = with_query(url, "error_description", utf8_prefix(*text, k_max_error_description));
    co_return redirect_answer(std::move(url));
  }
  if (c.query_text("code").value_or("").empty()) co_return to_error(error_url, "no_code");
  auto* provider = find(provider_id);
  if (!provider) co_return to_error(error_url, "oauth_provider_not_found");
  co_return co_await come_back(c, *provider, std::move(*returned.state));
}

Task<Answer> SocialService::come_back(Context& c, SocialProvider& provider, OAuthState state) {
  const std::string error_url = state.error_url.value_or(c.auth.url("/error"));
  const auto to_error = [&](std::string_view error, const std::string& detail) {
    if (!detail.empty())
      log::info("social sign-in refused", {{"request", c.request.id},
                                           {"provider", provider.description().id},
                                           {"error", std::string(error)},
                                           {"detail", detail}});
    return redirect_answer(with_query(error_url, "error", error));
  };
  // RFC 6749 §3.1: no parameter twice. One of two would be read here, the other elsewhere.
  if (c.query.find("iss") && !c.query_text("iss"))
    co_return to_error("issuer_mismatch", "iss is there twice");
  const auto its_issuer = co_await provider.is_its_issuer(c.query_text("iss").value_or(""));
  if (!its_issuer) co_return to_error("invalid_code", its_issuer.error().detail);
  if (!*its_issuer) co_return to_error("issuer_mismatch", "iss is another server's");
  auto tokens =
      co_await provider.exchange({.code = *c.query_text("code"),
                                  .redirect_uri = c.auth.url("/callback/" + provider.description().id),
                                  .code_verifier = state.code_verifier});
  if (!tokens) co_return to_error("invalid_code", tokens.error().detail);
  auto profile = co_await provider.profile(*tokens, state.nonce);
  if (!profile) co_return to_error("unable_to_get_user_info", profile.error().detail);

  SocialIdentity identity{provider.description(), std::move(*profile), std::move(*tokens)};
  if (state.link) co_return co_await come_back_to_link(c, std::move(identity), std::move(state));
  const auto outcome =
      co_await finish_sign_in(c, identity, state.request_sign_up ? SignUpRequest::yes : SignUpRequest::no);
  if (!outcome) co_return to_error(lower(outcome.error().code), outcome.error().message);
  if (const auto* refused = std::get_if<Refusal>(&*outcome)) co_return to_error(word(*refused), "");
  if (std::holds_alternative<ControlNeeded>(*outcome))
    co_return co_await prove_control_first(c, std::move(identity), error_url, state.callback_url);
  const bool is_new = std::get<Finished>(*outcome).kind == SignedIn::Kind::created;
  co_return redirect_answer(is_new ? state.new_user_url.value_or(state.callback_url) : state.callback_url);
}

Task<Result<SocialService::SignInResult, Fault>> SocialService::finish_sign_in(Context& c,
                                                                               SocialIdentity identity,
                                                                               SignUpRequest sign_up) {
  CO_TRY(auto result, co_await c.auth.db().write([&](store::Tx& tx) -> Result<SignInResult, Fault> {
    TRY(auto outcome, sign_in_with(c.auth, options_, tx, identity, sign_up, c.now));
    if (const auto* refused = std::get_if<Refusal>(&outcome)) return *refused;
    if (std::holds_alternative<ControlNeeded>(outcome)) return ControlNeeded{};
    auto& in = std::get<SignedIn>(outcome);
    TRY(auto session, c.auth.sessions().create(tx, c.new_session(in.user.id, Remember::yes), c.now));
    return Finished{std::move(in.user), std::move(session), in.kind};
  }));
  if (const auto* done = std::get_if<Finished>(&result))
    c.set_session({done->session, done->user}, Remember::yes);
  co_return std::move(result);
}

Task<Answer> SocialService::come_back_to_link(Context& c, SocialIdentity identity, OAuthState state) {
  const std::string error_url = state.error_url.value_or(c.auth.url("/error"));
  const auto to_error = [&](std::string_view error) {
    return redirect_answer(with_query(error_url, "error", error));
  };
  // The session that asked must still be there, and be this browser's.
  const SessionAndUser* who = co_await c.session();
  if (!who || who->session.id != state.link->session_id || who->user.id != state.link->user_id)
    co_return to_error(word(Refusal::unable_to_link_account));
  const auto outcome = co_await c.auth.db().write(
      [&](store::Tx& tx) { return link_to(c.auth, options_, tx, identity, state.link->user_id, c.now); });
  if (!outcome) co_return to_error(lower(outcome.error().code));
  if (const auto* refused = std::get_if<Refusal>(&*outcome)) co_return to_error(word(*refused));
  co_await tell_linked(c, std::get<Linked>(*outcome), identity.provider.label);
  co_return redirect_answer(state.callback_url);
}

Task<void> SocialService::tell_linked(Context& c, Linked linked, std::string provider_label) {
  if (linked.kind == Linked::Kind::fresh && options_.linked)
    co_await options_.linked(c, std::move(linked.user), std::move(provider_label));
}

Task<Answer> SocialService::callback_by_form(Context& c) {
  // Only the redirect that follows carries the cookies a cross-site form does not get (SameSite=Lax).
  std::string url = c.auth.url("/callback/" + c.params.find("id")->second);
  for (const char* name : k_response_members) {
    auto value = c.opt_text(name);
    if (!value) value = c.query_text(name);
    if (value) url = with_query(url, name, *value);
  }
  co_return redirect_answer(std::move(url));
}

// ---- identities whose address is somebody's

Task<Answer> SocialService::prove_control_first(Context& c, SocialIdentity identity, std::string error_url,
                                                std::string callback_url) {
  const PendingLink pending{identity.provider.label, *identity.profile.email, std::move(callback_url)};
  std::optional<std::string> next;
  if (options_.prove_control) next = co_await options_.prove_control(c, pending);
  if (!next) co_return redirect_answer(with_query(error_url, "error", word(Refusal::account_not_linked)));
  const std::string id = c.auth.rng().token();
  const std::string row = json::Value(json::Object{{"providerId", identity.provider.account_provider_id},
                                                   {"accountId", identity.profile.subject},
                                                   {"label", pending.provider_label},
                                                   {"email", pending.email}})
                              .dump();
  co_await c.auth.db().write([&](store::Tx& tx) {
    c.auth.verifications().put(tx, pending_identifier(id), row, c.now + k_pending_link_lifetime, c.now);
  });
  c.set_cookie(c.auth.cookies().signed_cookie("pending_link", id, k_pending_link_lifetime));
  co_return redirect_answer(std::move(*next));
}

Task<std::optional<PendingLink>> pending_link(Auth* auth, web::Request request) {
  const auto id = auth->cookies().read_signed(request, "pending_link");
  if (!id) co_return std::nullopt;
  const Time now = auth->clock().now();
  const auto row = co_await auth->db().read(
      [&](store::Tx& tx) { return auth->verifications().find(tx, pending_identifier(*id), now); });
  auto pending = row ? PendingRow::parse(row->value) : std::nullopt;
  if (!pending) co_return std::nullopt;
  co_return PendingLink{std::move(pending->label), std::move(pending->email), {}};
}

Result<std::optional<Account>, Fault> link_pending(const Auth& auth, store::Tx& tx,
                                                   const web::Request& request, const User& user, Time now) {
  const auto id = auth.cookies().read_signed(request, "pending_link");
  const auto row = id ? auth.verifications().find(tx, pending_identifier(*id), now) : std::nullopt;
  auto pending = row ? PendingRow::parse(row->value) : std::nullopt;
  // Control of one address says nothing about another.
  if (!pending || pending->email != user.email) return std::nullopt;
  auth.verifications().remove(tx, pending_identifier(*id));
  TRY(auto account, auth.accounts().link(tx,
                                         {.account_id = std::move(pending->account_id),
                                          .provider_id = std::move(pending->provider_id),
                                          .user_id = user.id},
                                         now));
  return std::optional(std::move(account));
}

}  // namespace latchkey::auth
