#include "signin/reader.h"

#include <algorithm>

#include "web/cookie.h"

namespace latchkey::signin {
namespace {

constexpr std::chrono::hours k_choice_life{24 * 365};
constexpr std::chrono::minutes k_ui_locales_life{10};  // as long as a sign-in
constexpr std::string_view k_parameter = "lang";

// Whether there is nothing in the query but the choice itself.
bool is_plain(const web::Request& request) {
  const auto fields = request.query_fields();
  return fields && std::ranges::all_of(*fields, [](const auto& field) { return field.first == k_parameter; });
}

std::string in_language(const std::string& here, const std::string& lang) {
  std::string out = here;
  if (!out.ends_with('?')) out += out.find('?') == std::string::npos ? '?' : '&';
  return out.append(k_parameter).append("=").append(lang);
}

}  // namespace

Readers::Readers(const web::Messages& messages, bool https)
    : messages_(messages),
      choice_cookie_(web::host_cookie_name("latchkey_lang", https)),
      ui_locales_cookie_(web::host_cookie_name("latchkey_ui_locales", https)),
      https_(https) {}

const web::Catalogue* Readers::chosen(const web::Request& request) const {
  const auto tag = request.query_value(k_parameter);
  return tag ? messages_.find(*tag) : nullptr;
}

Reader Readers::of(const web::Request& request, std::string_view ui_locales) const {
  Reader out{.words = chosen(request), .wanted = {}, .here = {}};
  if (request.method == "GET" && is_plain(request)) out.here = "?";
  if (!out.words)
    if (const auto tag = request.cookie(choice_cookie_)) out.words = messages_.find(*tag);
  const auto from_list = [&](std::string_view tags) {
    return messages_.lookup(web::LanguagePriority::from_list(tags));
  };
  if (!out.words) out.words = from_list(ui_locales);
  if (!out.words) out.words = from_list(request.cookie(ui_locales_cookie_).value_or(""));
  if (out.words) {
    out.wanted = out.lang();
    return out;
  }
  const auto accepted = web::LanguagePriority::from_accept_language(request.headers.get("accept-language"));
  out.words = messages_.lookup(accepted);
  if (!out.words) out.words = &messages_.source();
  out.wanted = accepted.wanted.empty() ? out.lang() : accepted.wanted.front();
  return out;
}

void Readers::remember_choice(web::Response& response, const web::Request& request) const {
  if (const auto* words = chosen(request))
    web::set_cookie(response, {.name = choice_cookie_,
                               .value = words->lang(),
                               .max_age = k_choice_life,
                               .domain = "",
                               .secure = https_});
}

void Readers::remember_ui_locales(web::Response& response, std::string_view ui_locales) const {
  if (const auto* words = messages_.lookup(web::LanguagePriority::from_list(ui_locales)))
    web::set_cookie(response, {.name = ui_locales_cookie_,
                               .value = words->lang(),
                               .max_age = k_ui_locales_life,
                               .domain = "",
                               .secure = https_});
}

void Readers::offer_languages(json::Object& view, const Reader& reader) const {
  if (reader.here.empty()) return;
  json::Array languages;
  for (const auto& words : messages_.all())
    if (&words != reader.words)
      languages.push_back(json::Object{{"language_tag", words.lang()},
                                       {"language_name", words.name()},
                                       {"language_url", in_language(reader.here, words.lang())}});
  view.set("has_languages", !languages.empty());
  view.set("languages", std::move(languages));
}

}  // namespace latchkey::signin
