#pragma once
// What every page for people shares: its headers, also on redirects and errors, the pages for what went
// wrong, and how an app is named.

#include <string>
#include <string_view>
#include <vector>

#include "mail/address.h"
#include "oauth/server/clients.h"
#include "oauth/server/error.h"
#include "signin/branding/branding.h"
#include "signin/reader.h"
#include "web/router.h"
#include "web/template.h"

namespace latchkey::signin {

/// One line of at most 80 characters of what a client calls itself; "" when nothing visible is left.
std::string plain_name(std::string_view utf8);

/// What is wrong with a typed address.
std::string address_words(const Reader& reader, const mail::AddressError& error);

class Pages {
 public:
  struct Options {
    std::string origin;        // where the pages live: https://auth.pds.example
    std::string service_host;  // pds.example, for people
    OperatorBranding branding = {};
  };
  Pages(Options options, const web::Templates& templates, const web::Messages& messages, Branding& branding);

  /// A route whose every answer is a page or leads to one, and a page for the methods it does not have.
  /// Requests for another host, GETs that are no navigation and POSTs that come from elsewhere by the
  /// browser's own word do not reach the handler (the form's CSRF token is the handler's to check). A
  /// handler's exception becomes a page; HEAD runs no handler.
  void get(web::Router& router, const char* path, web::Handler handler) const;
  void post(web::Router& router, const char* path, web::Handler handler) const;
  void get_and_post(web::Router& router, const char* path, web::Handler get, web::Handler post) const;

  /// Whose request it is. `ui_locales` is what an app asks for in it.
  Reader reader(const web::Request& request, std::string_view ui_locales = {}) const {
    return readers_.of(request, ui_locales);
  }
  const Readers& readers() const { return readers_; }
  /// A page in the reader's language. `service_host` and the languages to choose from are put in.
  web::Response page(const Reader& reader, const std::string& name, json::Object view, int status = 200,
                     std::vector<std::string> form_action = {}) const;
  /// The words are the messages "error.<what>" and "error.<what>.message".
  web::Response error_page(int status, std::string_view what, const web::Request& request) const;
  /// The description is part of the protocol and so in English; the page says in the reader's language what
  /// to do.
  web::Response fault_page(const oauth::Fault& fault, const web::Request& request) const;
  web::Response not_found(const web::Request& request) const;
  /// The fields of the request's form, once for all who ask; none when it is no form, or of more fields.
  static FormFields form_of(const web::Request& request, std::size_t max_fields = 100);
  static bool has_token(const FormFields& form, std::string_view csrf_token);
  /// What a form from elsewhere is answered with.
  web::Response forged(const web::Request& request) const;
  /// app_name, app_host and app_initial for templates.
  static json::Object app_view(const Reader& reader, const oauth::Client& client);
  /// The same of an app of which only the client_id is at hand.
  static json::Object app_view(const Reader& reader, std::string_view client_id);

  /// The app's colours and logo, where it may have its own, for a page about it.
  void add_branding(json::Object& view, const oauth::Client& client) const;

  const std::string& origin() const { return options_.origin; }
  const std::string& service_host() const { return options_.service_host; }
  bool https() const { return https_; }

 private:
  std::optional<web::Response> refusal(const web::Request& request) const;
  Task<web::Response> guarded(web::Handler handler, web::Request request) const;
  void add(web::Router& router, const char* method, const char* path, web::Handler handler) const;
  void refuse_others(web::Router& router, const char* path, const char* allow) const;

  Options options_;
  bool https_;
  std::string host_;
  std::vector<std::string> img_src_;  // where the operator's pictures are
  Branding& branding_;
  const web::Templates& templates_;
  Readers readers_;
};

}  // namespace latchkey::signin
