// The way out: to the provider's page, or past it with an ID token.
#include "auth/plugins/social/service.h"
#include "base/log.h"

namespace latchkey::auth {
namespace {

constexpr std::size_t k_max_scopes = 100, k_max_parameters = 50, k_max_parameter = 2048;

std::vector<std::string> strings(const json::Object& o, std::string_view name) {
  std::vector<std::string> out;
  const auto* v = o.find(name);
  if (v && v->array())
    for (const auto& item : *v->array())
      if (item.string() && out.size() < k_max_scopes) out.push_back(*item.string());
  return out;
}

FormFields text_members(const json::Value* object) {
  FormFields out;
  if (object && object->object())
    for (const auto& m : *object->object())
      if (m.value.string() && m.key.size() + m.value.string()->size() <= k_max_parameter &&
          out.size() < k_max_parameters)
        out.emplace_back(m.key, *m.value.string());
  return out;
}

/// An absent or empty target is none.
std::optional<std::string> target(std::optional<std::string> url) {
  return url && !url->empty() ? std::move(url) : std::nullopt;
}

Result<json::Object, Fault> additional_data(const Context& c) {
  const auto* data = c.body.find("additionalData");
  if (!data || !data->object()) return json::Object();
  if (data->dump().size() > k_max_additional_data)
    return fail(Fault(400, "VALIDATION_ERROR", "[body.additionalData] Too big"));
  return *data->object();
}

}  // namespace

Task<Result<std::string, Fault>> SocialService::start(Context& c, SocialProvider& provider, Start start) {
  const auto& about = provider.description();
  start.state.provider = about.id;
  start.state.code_verifier = c.auth.rng().token(96);  // 128 characters
  if (about.uses_nonce) start.state.nonce = c.auth.rng().token(32);
  AuthorizationRequest request{.redirect_uri = c.auth.url("/callback/" + about.id),
                               .state = {},
                               .code_verifier = start.state.code_verifier,
                               .nonce = start.state.nonce,
                               .scopes = std::move(start.scopes),
                               .login_hint = std::move(start.login_hint),
                               .additional = std::move(start.additional)};
  request.state = co_await remember_state(c, std::move(start.state));
  auto url = co_await provider.authorization_url(std::move(request));
  if (!url) {
    Fault fault(wire(SocialError::PROVIDER_UNAVAILABLE));
    fault.detail = url.error().detail;
    co_return fail(std::move(fault));
  }
  co_return std::move(*url);
}

Task<Answer> SocialService::start_from_body(Context& c, SocialProvider& provider,
                                            std::optional<LinkRequest> link) {
  CO_TRY(auto data, additional_data(c));
  CO_TRY(
      const std::string url,
      co_await start(c, provider,
                     {.state = {.callback_url = target(c.opt_text("callbackURL")).value_or(c.auth.origin()),
                                .error_url = target(c.opt_text("errorCallbackURL")),
                                .new_user_url = target(c.opt_text("newUserCallbackURL")),
                                .link = std::move(link),
                                .request_sign_up = c.flag("requestSignUp", false),
                                .additional = std::move(data)},
                      .scopes = strings(c.body, "scopes"),
                      .login_hint = c.opt_text("loginHint"),
                      .additional = text_members(c.body.find("additionalParams"))}));
  const bool redirect = !c.flag("disableRedirect", false);
  auto answer = json_answer(json::Object{{"url", url}, {"redirect", redirect}});
  if (redirect) answer.header("location", url);
  co_return answer;
}

Task<Answer> SocialService::sign_in(Context& c) {
  auto* provider = find(c.text("provider"));
  if (!provider) co_return refuse(SocialError::PROVIDER_NOT_FOUND);
  if (c.body.find("idToken")) co_return co_await sign_in_by_id_token(c, *provider);
  co_return co_await start_from_body(c, *provider, std::nullopt);
}

Task<Answer> SocialService::sign_in_by_link(Context& c) {
  // A picture or frame on some page must not replace the state of a sign-in that is under way.
  if (!c.request.may_be_navigation()) co_return refuse(403, "Not a page");
  auto* provider = find(c.query_text("provider").value_or(""));
  if (!provider) co_return refuse(SocialError::PROVIDER_NOT_FOUND);
  // Anybody can make a link: it may only lead back into this origin.
  const auto callback = target(c.query_text("callbackURL")), error = target(c.query_text("errorCallbackURL"));
  if (callback && !is_relative_target(*callback)) co_return refuse(Error::INVALID_CALLBACK_URL);
  if (error && !is_relative_target(*error)) co_return refuse(Error::INVALID_ERROR_CALLBACK_URL);
  const auto url = co_await start(c, *provider,
                                  {.state = {.callback_url = callback.value_or("/"), .error_url = error},
                                   .login_hint = c.query_text("loginHint")});
  if (url) co_return redirect_answer(*url);
  log::warn("sign-in provider is not available",
            {{"provider", provider->description().id}, {"detail", url.error().detail}});
  co_return redirect_answer(
      with_query(error.value_or(c.auth.url("/error")), "error", "provider_unavailable"));
}

Task<Answer> SocialService::link(Context& c) {
  auto* provider = find(c.text("provider"));
  if (!provider) co_return refuse(SocialError::PROVIDER_NOT_FOUND);
  if (c.body.find("idToken")) co_return co_await link_by_id_token(c, *provider);
  const SessionAndUser& who = c.signed_in();
  co_return co_await start_from_body(c, *provider, LinkRequest{who.user.id, who.user.email, who.session.id});
}

// ---- ID tokens of apps

Task<Result<SocialIdentity, Fault>> SocialService::identity_of_id_token(Context& c,
                                                                        SocialProvider& provider) {
  // Bound to no browser; people who are recognised by identity only take the way through the provider's page.
  if (!provider.description().takes_id_tokens || options_.match == SocialOptions::Match::by_identity)
    co_return refuse(SocialError::ID_TOKEN_NOT_SUPPORTED);
  const auto* sent = c.body.find("idToken");
  const auto* token = sent->string_at("token");
  if (!token)
    co_return fail(Fault(400, "VALIDATION_ERROR",
                         "[body.idToken.token] Invalid input: expected string, received undefined"));
  const auto* nonce = sent->string_at("nonce");
  auto profile = co_await provider.verify_id_token(*token, nonce ? std::optional(*nonce) : std::nullopt);
  if (!profile) {
    Fault fault = Fault(wire(Error::INVALID_TOKEN)).with_status(401);
    fault.detail = profile.error().detail;
    co_return fail(std::move(fault));
  }
  co_return SocialIdentity{provider.description(), std::move(*profile), {.id_token = *token}};
}

Task<Answer> SocialService::sign_in_by_id_token(Context& c, SocialProvider& provider) {
  CO_TRY(auto identity, co_await identity_of_id_token(c, provider));
  CO_TRY(auto outcome,
         co_await finish_sign_in(c, std::move(identity),
                                 c.flag("requestSignUp", false) ? SignUpRequest::yes : SignUpRequest::no));
  if (const auto* refused = std::get_if<Refusal>(&outcome)) co_return fail(fault_of(*refused));
  if (std::holds_alternative<ControlNeeded>(outcome)) co_return fail(fault_of(Refusal::account_not_linked));
  const auto& in = std::get<Finished>(outcome);
  co_return json_answer(json::Object{
      {"redirect", false}, {"token", in.session.token}, {"user", c.auth.users().to_json(in.user)}});
}

Task<Answer> SocialService::link_by_id_token(Context& c, SocialProvider& provider) {
  CO_TRY(const auto identity, co_await identity_of_id_token(c, provider));
  const std::string user_id = c.signed_in().user.id;
  CO_TRY(const auto outcome, co_await c.auth.db().write([&](store::Tx& tx) {
    return link_to(c.auth, options_, tx, identity, user_id, c.now);
  }));
  if (const auto* refused = std::get_if<Refusal>(&outcome)) co_return fail(fault_of(*refused));
  co_await tell_linked(c, std::get<Linked>(outcome), identity.provider.label);
  co_return json_answer(json::Object{{"url", ""}, {"status", true}, {"redirect", false}});
}

}  // namespace latchkey::auth
