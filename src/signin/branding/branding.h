#pragma once
// What apps and the operator may change about the looks of pages and mails (epds-flows, section 5).
//
//   GET /brand/colors.css?brand=…   colours, made readable
//   GET /brand/logo?client_id=…     the logo of an app the operator trusts, fetched and checked by us

#include <memory>
#include <set>
#include <string>

#include "oauth/server/clients.h"
#include "signin/branding/brand_css.h"
#include "signin/branding/mail_template.h"
#include "signin/branding/remote_cache.h"
#include "web/router.h"

namespace latchkey::signin {

/// The operator's own looks: PDS_LOGO_URL, PDS_PRIMARY_COLOR, PDS_HOME_URL and so on.
struct OperatorBranding {
  std::string name = {};  // "" : Latchkey
  BrandColors colors = {};
  std::string logo_url = {}, favicon_url = {};
  std::string home_url = {}, terms_of_service_url = {}, privacy_policy_url = {}, support_url = {};
};

/// home_url, terms_url, privacy_url, support_url and has_operator_links for templates of pages and mails.
void add_operator_links(json::Object& view, const OperatorBranding& branding);

/// How a code mail differs from ours.
struct MailBranding {
  std::string from_name = {};  // "" : the operator's
  std::string logo_url = {};   // "" : none
  std::optional<std::string> subject = {};
  std::optional<std::string> html = {};
};

inline constexpr std::size_t k_max_logo = 256 * 1024;

/// Thread-safe.
class Branding {
 public:
  struct Options {
    std::string origin;                      // of the pages
    std::set<std::string> template_domains;  // EMAIL_TEMPLATE_ALLOWED_DOMAINS; none: only trusted clients
    std::set<std::string> trusted_clients;   // client_ids
  };
  /// Finds a client by its client_id.
  using FindClient =
      std::function<Task<Result<std::shared_ptr<const oauth::Client>, oauth::Fault>>(std::string)>;
  Branding(Options options, FindClient find, Fetch& fetch, const Clock& clock);

  void add_routes(web::Router& router);

  /// Address of the client's colours over the operator's; "" when there are none.
  static std::string colors_url(const BrandColors& of_operator, const oauth::Client* client);
  /// Address of its logo on our origin; "" when it has none to show. Names and logos of strangers prove
  /// nothing: a logo is shown only of clients the operator trusts.
  std::string logo_url(const oauth::Client& client);
  /// What the client's metadata makes of a code mail, as far as the client may; null: there is no client.
  /// `values.logo_uri` is filled in here. Whatever goes wrong leaves our own.
  Task<MailBranding> mail(std::shared_ptr<const oauth::Client> client, MailValues values);

  /// Whether this client's words may stand in mails of ours.
  bool may_brand_mails(const oauth::Client& client) const;
  /// Whether this template may be fetched for it.
  bool may_fetch_template(const oauth::Client& client, const std::string& uri) const;

 private:
  struct Logo {
    std::string type;
    std::shared_ptr<const Bytes> bytes;
  };
  Task<web::Response> logo(web::Request request);
  static Task<web::Response> colors(web::Request request);

  Options options_;
  FindClient find_;
  RemoteCache<Logo> logos_;
  RemoteCache<MailTemplate> templates_;
};

}  // namespace latchkey::signin
