#include "auth/service/sign_in_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::service {
namespace {

constexpr const char *k_page = "/sign-in", *k_new = "/sign-in/new", *k_next = "/sign-in/next",
                     *k_error = "/sign-in/error";
constexpr std::size_t k_max_shown = 2048;  // of what was typed

std::string with_callback(const char* path, const std::string& callback) {
  return callback.empty() ? path : auth::with_query(path, "callbackURL", callback);
}

void hand_on_cookies(const web::Response& from, web::Response& to) {
  for (auto& cookie : from.headers.all("set-cookie")) to.headers.add("set-cookie", std::move(cookie));
}

std::string string_at(const web::Response& answer, std::string_view name) {
  const auto body = json::parse(answer.body);
  const std::string* value = body ? body->string_at(name) : nullptr;
  return value ? *value : std::string();
}

std::string host_of(std::string_view url) {
  const auto parsed = Url::parse(url);
  return parsed ? parsed->authority() : std::string();
}

/// Our words for what /error is told; the rest is "something".
const char* words_of_error(std::string_view code) {
  if (code == "access_denied") return "service.error.denied";
  for (const auto* one : {"account_not_linked", "email_does_not_match",
                          "account_already_linked_to_different_user", "unable_to_link_account"})
    if (code == one) return "service.error.not_linked";
  if (code == "signup_disabled" || code == "new_user_signup_disabled" || code == "SIGNUP_DISABLED")
    return "service.error.closed";
  for (const auto* one :
       {"state_mismatch", "state_not_found", "INVALID_TOKEN", "EXPIRED_TOKEN", "TOKEN_EXPIRED"})
    if (code == one) return "service.error.expired";
  return "service.error.other";
}

bool is_error_code(std::string_view code) {
  return !code.empty() && code.size() <= 64 && std::ranges::all_of(code, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

SignInPages::SignInPages(Options options, auth::Auth& auth, const signin::Pages& pages)
    : options_(std::move(options)),
      auth_(auth),
      pages_(pages),
      cookie_name_(web::host_cookie_name("latchkey_sign_in", pages.https())) {}

void SignInPages::add_routes(web::Router& router) {
  const auto form = [&](const char* path, Act act) {
    pages_.post(router, path, [this, act](web::Request r) { return with_form(act, std::move(r)); });
  };
  pages_.get(router, k_page, [this](web::Request r) { return open(std::move(r)); });
  pages_.get(router, k_next, [this](web::Request r) { return next(std::move(r)); });
  pages_.get(router, k_error, [this](web::Request r) { return error(std::move(r)); });
  form("/sign-in/out", &SignInPages::sign_out);
  if (options_.bluesky) form("/sign-in/bluesky", &SignInPages::bluesky);
  if (options_.code || options_.link_expires_in) form("/sign-in/email", &SignInPages::email);
  if (options_.code) form("/sign-in/code", &SignInPages::code);
  if (options_.password) form("/sign-in/password", &SignInPages::password);
  if (options_.sign_up)
    pages_.get_and_post(
        router, k_new, [this](web::Request r) { return open_new(std::move(r)); },
        [this](web::Request r) { return with_form(&SignInPages::sign_up, std::move(r)); });
}

// --- What comes in

std::string SignInPages::callback_of(const FormFields& fields) const {
  auto given = single(fields, "callbackURL").value_or("");
  return auth_.origins().allows_redirect(given) ? given : std::string();
}

// Providers' ways back are paths of this origin.
std::string SignInPages::next_url(const std::string& callback) const {
  if (callback.empty()) return k_page;
  return callback.starts_with('/') ? callback : with_callback(k_next, callback);
}

std::string SignInPages::token(const std::string& cookie) const {
  return base64url(crypto::hmac_sha256(options_.form_key.reveal(), as_bytes("csrf\n" + cookie)));
}

SignInPages::Form SignInPages::opened(const web::Request& request, const char* path) const {
  Form form{.reader = pages_.reader(request),
            .cookie = request.cookie(cookie_name_).value_or(""),
            .callback = {},
            .fields = {}};
  if (form.cookie.empty()) form.cookie = auth_.rng().token(24);
  if (auto fields = request.query_fields()) form.callback = callback_of(*fields);
  form.reader.here = with_callback(path, form.callback);
  return form;
}

Task<web::Response> SignInPages::with_form(Act act, web::Request request) {
  Form form{.reader = pages_.reader(request),
            .cookie = request.cookie(cookie_name_).value_or(""),
            .callback = {},
            .fields = signin::Pages::form_of(request)};
  if (form.cookie.empty() || !signin::Pages::has_token(form.fields, token(form.cookie)))
    co_return pages_.forged(request);
  form.callback = callback_of(form.fields);
  form.reader.here = with_callback(k_page, form.callback);
  request.headers.set("accept-language", form.reader.lang());  // what is mailed is in the page's, too
  co_return co_await (this->*act)(std::move(form), std::move(request));
}

Task<web::Response> SignInPages::api(web::Request from, std::string path, json::Object body) {
  from.method = "POST";
  from.path = from.target = auth_.base_path() + path;
  from.query.clear();
  from.body = json::Value(std::move(body)).dump();
  from.headers.set("content-type", "application/json");
  // Where the form came from was looked at; and its page is ours.
  from.headers.set("origin", auth_.origin());
  co_return co_await auth_.handle(std::move(from));
}

// --- Pages

web::Response SignInPages::page(const Form& form, const char* name, json::Object view, int status) const {
  view.set("app_name", options_.app_name);
  const char first = options_.app_name.empty() ? '?' : options_.app_name[0];
  view.set("app_initial", (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z')
                              ? std::string(1, static_cast<char>(first & ~0x20))
                              : "A");
  if (!view.find("title"))
    view.set("title", form.reader.text("email.title", {{"app_name", options_.app_name}}));
  view.set("csrf", token(form.cookie)).set("callback", form.callback).set("api", auth_.base_path());
  std::vector<std::string> form_action;
  if (const auto url = Url::parse(form.callback)) form_action.push_back(url->origin());
  auto response = pages_.page(form.reader, name, std::move(view), status, std::move(form_action));
  web::set_cookie(
      response,
      {.name = cookie_name_, .value = form.cookie, .max_age = {}, .domain = "", .secure = pages_.https()});
  return response;
}

web::Response SignInPages::ways_in(const Form& form, Say say) const {
  const bool link = !options_.code && options_.link_expires_in;
  // A code or a link is the shorter way; the password asks for more.
  const bool password = options_.password && !options_.code && !link;
  const bool email = options_.code || link || password;
  json::Array providers;
  for (const auto& button : options_.providers) {
    auto view = button.view();
    std::string url = auth::with_query(auth_.base_path() + "/sign-in/social", "provider", button.id);
    url = auth::with_query(url, "callbackURL", next_url(form.callback));
    view.set("provider_url", auth::with_query(url, "errorCallbackURL", k_error));
    providers.push_back(std::move(view));
  }
  if (say.email.size() > k_max_shown) say.email.clear();
  if (say.handle.size() > k_max_shown) say.handle.clear();
  json::Object view{{"with_handle", options_.bluesky},
                    {"with_email", email},
                    {"with_both", options_.bluesky && email},
                    {"with_code", options_.code.has_value()},
                    {"with_link", link},
                    {"with_password", password},
                    {"with_passkey", options_.passkeys},
                    {"with_others", options_.bluesky || email},
                    {"sign_up_url", password && options_.sign_up ? with_callback(k_new, form.callback) : ""},
                    {"email_action", password ? "/sign-in/password" : "/sign-in/email"},
                    {"passkey_next", next_url(form.callback)},
                    {"email", say.email},
                    {"handle", say.handle},
                    {"handles_url", options_.typeahead ? "/sign-in/handles" : ""},
                    {"error", say.error},
                    {"notice", say.notice}};
  view.set("providers", std::move(providers));
  return page(form, "service_sign_in", std::move(view), say.status);
}

web::Response SignInPages::new_page(Form form, Say say) const {
  form.reader.here = with_callback(k_new, form.callback);
  if (say.name.size() > k_max_shown) say.name.clear();
  if (say.email.size() > k_max_shown) say.email.clear();
  return page(form, "service_new",
              {{"title", form.reader.text("service.new")},
               {"name", say.name},
               {"email", say.email},
               {"min_length", std::to_string(options_.sign_up->min_length)},
               {"max_length", std::to_string(options_.sign_up->max_length)},
               {"back_url", with_callback(k_page, form.callback)},
               {"error", say.error}},
              say.status);
}

web::Response SignInPages::code_page(const Form& form, Say say) const {
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(options_.code->expires_in).count();
  return page(form, "service_code",
              {{"email", form.text("email")},
               {"digits", std::to_string(options_.code->digits)},
               {"minutes", std::int64_t{minutes}},
               {"different_url", form.reader.here},
               {"error", say.error},
               {"notice", say.notice}},
              say.status);
}

web::Response SignInPages::signed_in(const Form& form, const auth::User& user) const {
  const auto text = [&](const char* field) {
    const auto* value = user.fields.find(field);
    return value && value->string() ? *value->string() : std::string();
  };
  const std::string did = text("bskyDid"), handle = text("bskyHandle");
  const bool placeholder = user.email.ends_with(".invalid");  // RFC 2606 §2
  std::string email = user.email_verified && !placeholder ? user.email : std::string();
  std::string name = signin::plain_name(user.name);
  if (name.empty())
    name = !handle.empty() ? "@" + handle : !email.empty() ? std::exchange(email, {}) : user.id;
  json::Object view{
      {"name", name}, {"email", email}, {"handle", handle}, {"did", did}, {"next_url", form.callback}};
  const std::string host = host_of(auth_.absolute(form.callback));
  view.set("target_host", host.empty() ? options_.app_name : host);
  view.set("with_passkey", options_.passkeys);
  return page(form, "service_you", std::move(view), 200);
}

web::Response SignInPages::done(const Form& form, const web::Response& answer) const {
  auto response = web::Response::redirect(303, form.callback.empty() ? k_page : form.callback);
  hand_on_cookies(answer, response);
  return response;
}

web::Response SignInPages::leave(const Form& form, const web::Response& answer) const {
  const std::string url = string_at(answer, "url"), host = host_of(url);
  auto response = page(form, "message",
                       {{"heading", form.reader.text("service.leaving", {{"target_host", host}})},
                        {"message", form.reader.text("service.leaving_lead")},
                        {"next_url", url},
                        {"next_label", form.reader.text("common.continue")}},
                       200);
  response.header("refresh", "0;url=" + url);
  hand_on_cookies(answer, response);
  return response;
}

std::string SignInPages::words_of_failure(const Form& form, const web::Response& answer) const {
  if (answer.status == 429) return form.reader.text("service.too_many");
  const std::string code = string_at(answer, "code");
  if (code == "INVALID_EMAIL" || code == "VALIDATION_ERROR") return form.reader.text("email.invalid");
  if (code == "INVALID_EMAIL_OR_PASSWORD") return form.reader.text("service.password_wrong");
  if (code == "PASSWORD_TOO_SHORT" || code == "PASSWORD_TOO_LONG")
    return form.reader.text("service.password_length",
                            {{"min_length", std::to_string(options_.sign_up->min_length)},
                             {"max_length", std::to_string(options_.sign_up->max_length)}});
  if (code == "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL") return form.reader.text("service.error.not_linked");
  if (code == "EMAIL_NOT_VERIFIED") return form.reader.text("service.unverified");
  return form.reader.text("service.failed");
}

Task<web::Response> SignInPages::open(web::Request request) {
  const Form form = opened(request, k_page);
  const auto who = co_await auth_.session_of(request);
  // Not sent on at once: where the app's host does not get our cookie, it would send people back here.
  co_return who ? signed_in(form, who->user) : ways_in(form, {});
}

Task<web::Response> SignInPages::open_new(web::Request request) {
  const Form form = opened(request, k_new);
  if (co_await auth_.session_of(request))
    co_return web::Response::redirect(303, with_callback(k_page, form.callback));
  co_return new_page(form, {});
}

Task<web::Response> SignInPages::next(web::Request request) {
  const auto fields = request.query_fields();
  const std::string callback = fields ? callback_of(*fields) : std::string();
  if (const auto error = request.query_value("error"))  // a link that was followed too late
    co_return web::Response::redirect(303, auth::with_query(k_error, "error", *error));
  const auto who = co_await auth_.session_of(request);
  if (who && !callback.empty()) co_return web::Response::redirect(303, callback);
  co_return web::Response::redirect(303, with_callback(k_page, callback));
}

Task<web::Response> SignInPages::error(web::Request request) {
  signin::Reader reader = pages_.reader(request);
  std::string code = request.query_value("error").value_or("");
  if (!is_error_code(code)) code.clear();
  reader.here = code.empty() ? k_error : auth::with_query(k_error, "error", code);
  const std::string heading = reader.text("service.error");
  co_return pages_.page(reader, "error",
                        {{"title", heading},
                         {"heading", heading},
                         {"message", reader.text(words_of_error(code))},
                         {"detail", code},
                         {"back_url", k_page},
                         {"back_label", reader.text("service.back")},
                         {"request_id", request.id}},
                        400);
}

// --- Forms

Task<web::Response> SignInPages::bluesky(Form form, web::Request request) {
  std::string handle = form.text("handle");
  std::erase(handle, ' ');
  const auto answer = co_await api(std::move(request), "/bsky/sign-in",
                                   {{"handle", handle}, {"callbackURL", next_url(form.callback)}});
  if (answer.status == 200 && !string_at(answer, "url").empty()) co_return leave(form, answer);
  const std::string code = string_at(answer, "code");
  const bool unknown = code == "INVALID_HANDLE" || code == "VALIDATION_ERROR";
  co_return ways_in(
      form, {.error = unknown ? form.reader.text("service.handle_failed") : words_of_failure(form, answer),
             .handle = handle,
             .status = answer.status == 429 ? 429 : 400});
}

Task<web::Response> SignInPages::email(Form form, web::Request request) {
  const std::string email = form.text("email");
  json::Object body{{"email", email}};
  if (options_.code)
    body.set("type", "sign-in");
  else
    body.set("callbackURL", next_url(form.callback)).set("errorCallbackURL", k_error);
  const auto answer = co_await api(std::move(request),
                                   options_.code ? "/email-otp/send-verification-otp" : "/sign-in/magic-link",
                                   std::move(body));
  if (answer.status != 200)
    co_return ways_in(form,
                      {.error = words_of_failure(form, answer), .email = email, .status = answer.status});
  if (options_.code)
    co_return code_page(form,
                        {.notice = form.text("resend").empty() ? "" : form.reader.text("code.sent_again")});
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(*options_.link_expires_in).count();
  co_return page(form, "message",
                 {{"heading", form.reader.text("code.heading")},
                  {"message", form.reader.text("service.link_sent",
                                               {{"email", email}, {"minutes", std::to_string(minutes)}})},
                  {"good", true}},
                 200);
}

Task<web::Response> SignInPages::code(Form form, web::Request request) {
  std::string digits = form.text("code");
  std::erase_if(digits, [](char c) { return c == ' ' || c == '-'; });
  const auto answer = co_await api(std::move(request), "/sign-in/email-otp",
                                   {{"email", form.text("email")}, {"otp", digits}});
  if (answer.status == 200) co_return done(form, answer);
  const bool busy = answer.status == 429;
  co_return code_page(form, {.error = form.reader.text(busy ? "service.too_many" : "code.wrong"),
                             .status = busy ? 429 : 400});
}

Task<web::Response> SignInPages::password(Form form, web::Request request) {
  const std::string email = form.text("email");
  const auto answer = co_await api(std::move(request), "/sign-in/email",
                                   {{"email", email}, {"password", form.text("password")}});
  if (answer.status == 200) co_return done(form, answer);
  co_return ways_in(form, {.error = words_of_failure(form, answer), .email = email, .status = answer.status});
}

Task<web::Response> SignInPages::sign_up(Form form, web::Request request) {
  const std::string name = form.text("name"), email = form.text("email");
  const auto answer = co_await api(std::move(request), "/sign-up/email",
                                   {{"name", name},
                                    {"email", email},
                                    {"password", form.text("password")},
                                    {"callbackURL", with_callback(k_next, form.callback)}});
  if (answer.status != 200)
    co_return new_page(
        form,
        {.error = words_of_failure(form, answer), .email = email, .name = name, .status = answer.status});
  if (!options_.sign_up->verified_first) co_return done(form, answer);
  co_return page(form, "message",
                 {{"heading", form.reader.text("code.heading")},
                  {"message", form.reader.text("service.verify_sent", {{"email", email}})},
                  {"good", true},
                  {"next_url", form.reader.here},
                  {"next_label", form.reader.text("service.back")}},
                 200);
}

Task<web::Response> SignInPages::sign_out(Form form, web::Request request) {
  const auto answer = co_await api(std::move(request), "/sign-out", {});
  auto response = web::Response::redirect(303, form.reader.here);
  hand_on_cookies(answer, response);
  co_return response;
}

}  // namespace latchkey::service
