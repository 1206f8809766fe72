#include "signin/branding/branding.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "signin/branding/image_type.h"

namespace latchkey::signin {
namespace {

constexpr std::size_t k_max_logos = 100;  // times k_max_logo: 25 MB at the very most
constexpr std::size_t k_max_templates = 100;

// The media type, without its parameters and in lower case (RFC 9110 §8.3.1).
std::string media_type(const FetchResponse& answer) {
  std::string type = answer.header("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.pop_back();
  for (char& c : type)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return type;
}

Result<MailTemplate, std::string> read_template(const FetchResponse& answer) {
  if (media_type(answer) != "text/html") return fail(std::string("it is not text/html"));
  return MailTemplate::parse(answer.body);
}

web::Response not_here() { return web::Response::text("Not found\n", 404); }

}  // namespace

void add_operator_links(json::Object& view, const OperatorBranding& branding) {
  view.set("home_url", branding.home_url).set("terms_url", branding.terms_of_service_url);
  view.set("privacy_url", branding.privacy_policy_url).set("support_url", branding.support_url);
  view.set("has_operator_links", !(branding.home_url.empty() && branding.terms_of_service_url.empty() &&
                                   branding.privacy_policy_url.empty() && branding.support_url.empty()));
}

Branding::Branding(Options options, FindClient find, Fetch& fetch, const Clock& clock)
    : options_(std::move(options)),
      find_(std::move(find)),
      logos_(
          {.what = "logo",
           .accept = "image/png, image/jpeg, image/webp, image/gif",
           .max_bytes = k_max_logo,
           .max_entries = k_max_logos},
          [](const FetchResponse& answer) -> Result<Logo, std::string> {
            // By its bytes: what the other server calls it does not change what a browser makes of it.
            const auto type = raster_type(answer.body);
            if (type.empty()) return fail(std::string("it is no PNG, JPEG, GIF or WebP"));
            return Logo{std::string(type),
                        std::make_shared<const Bytes>(to_bytes(std::string_view(answer.body)))};
          },
          fetch, clock),
      templates_({.what = "mail template",
                  .accept = "text/html",
                  .max_bytes = k_max_mail_template,
                  .max_entries = k_max_templates},
                 read_template, fetch, clock) {}

void Branding::add_routes(web::Router& router) {
  router.get("/brand/logo", [this](web::Request r) { return logo(std::move(r)); });
  router.get("/brand/colors.css", [](web::Request r) { return colors(std::move(r)); });
}

std::string Branding::colors_url(const BrandColors& of_operator, const oauth::Client* client) {
  BrandColors colors = of_operator;
  if (client) {
    if (client->branding.brand_color) colors.brand = client->branding.brand_color;
    if (client->branding.background_color) colors.ground = client->branding.background_color;
  }
  return colors.any() ? "/brand/colors.css?" + to_query(colors) : std::string();
}

std::string Branding::logo_url(const oauth::Client& client) {
  if (!client.trusted || !client.logo_uri || logos_.is_known_bad(*client.logo_uri)) return {};
  return fmt::format("{}/brand/logo?client_id={}", options_.origin, percent_encode(client.id.str()));
}

// Everything in the answer follows from the address, which names colours and nothing else.
Task<web::Response> Branding::colors(web::Request request) {
  const auto query = request.query_fields();
  const auto colors = query ? colors_of(*query) : std::nullopt;
  if (!colors) co_return not_here();
  web::Response response;
  response.header("content-type", "text/css; charset=utf-8");
  response.header("cache-control", "public, max-age=86400");
  response.body = brand_css(*colors);
  co_return response;
}

// Only for clients from the operator's list: nobody can make this server fetch and show what they like.
Task<web::Response> Branding::logo(web::Request request) {
  const auto client_id = request.query_value("client_id");
  if (!client_id || !options_.trusted_clients.contains(*client_id)) co_return not_here();
  const auto client = co_await find_(*client_id);
  if (!client || !(*client)->trusted || !(*client)->logo_uri) co_return not_here();
  const auto found = co_await logos_.get(*(*client)->logo_uri);
  if (!found) co_return not_here();
  web::Response response;
  response.header("content-type", found->type);
  response.header("content-security-policy", "default-src 'none'; sandbox; frame-ancestors 'none'");
  response.header("x-content-type-options", "nosniff");
  // Mails are read on other origins.
  response.header("cross-origin-resource-policy", "cross-origin");
  response.header("cache-control", "public, max-age=600");
  response.shared_body = found->bytes;
  co_return response;
}

bool Branding::may_brand_mails(const oauth::Client& client) const {
  return client.trusted || (client.id.kind() == oauth::ClientId::Kind::discoverable &&
                            options_.template_domains.contains(client.id.host()));
}

bool Branding::may_fetch_template(const oauth::Client& client, const std::string& uri) const {
  const auto url = Url::parse(uri);
  if (!url || url->scheme != "https" || !may_brand_mails(client)) return false;
  if (!options_.template_domains.empty() && !options_.template_domains.contains(url->host)) return false;
  // A stranger must not send mails in the looks of another app.
  return client.trusted || url->host == client.id.host();
}

Task<MailBranding> Branding::mail(std::shared_ptr<const oauth::Client> client, MailValues values) {
  MailBranding out;
  if (!client || !may_brand_mails(*client)) co_return out;
  if (client->trusted && !client->client_name.empty()) out.from_name = values.app_name;
  values.logo_uri = out.logo_url = logo_url(*client);
  const auto& wishes = client->branding;
  if (wishes.email_subject_template) {
    if (const auto subject = SubjectTemplate::parse(*wishes.email_subject_template))
      out.subject = subject->render(values);
    else
      log::info("a client's mail subject could not be used",
                {{"client_id", client->id.str()}, {"detail", subject.error()}});
  }
  if (wishes.email_template_uri && may_fetch_template(*client, *wishes.email_template_uri))
    if (const auto body = co_await templates_.get(*wishes.email_template_uri))
      out.html = body->render(values);
  co_return out;
}

}  // namespace latchkey::signin
