#include "signin/way_back.h"

namespace latchkey::signin {

std::string redirect_target(const std::string& redirect_uri) {
  const auto url = Url::parse(redirect_uri);
  return url ? url->authority() : redirect_uri;
}

std::string redirect_scheme(std::string_view redirect_uri) {
  return std::string(redirect_uri.substr(0, redirect_uri.find(':') + 1));
}

web::Response way_back(const Pages& pages, Result<oauth::AuthorizationResponse, oauth::Fault> outcome,
                       const web::Request& request) {
  if (!outcome) return pages.fault_page(outcome.error(), request);
  if (outcome->response_mode != "form_post") return oauth::redirect_response(*outcome);
  // OAuth 2.0 Form Post Response Mode §2: the browser carries the parameters in a form of its own.
  json::Array parameters;
  for (const auto& [name, value] : outcome->parameters)
    parameters.push_back(json::Object{{"name", name}, {"value", value}});
  const Reader reader = pages.reader(request);
  return pages.page(reader, "form_post",
                    {{"title", reader.text("form_post.heading")},
                     {"redirect_uri", outcome->redirect_uri},
                     {"redirect_host", redirect_target(outcome->redirect_uri)},
                     {"parameters", std::move(parameters)}},
                    200, {redirect_scheme(outcome->redirect_uri)});
}

}  // namespace latchkey::signin
