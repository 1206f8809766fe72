#pragma once
// The sign-in pages of `latchkey auth`, for apps that want none of their own. They are a client of the routes
// below the base path, inside of the process: every limit and rule of these holds.
//
//   GET  /sign-in?callbackURL=…            the ways in; or who is signed in
//   POST /sign-in/{bluesky,email,code,password,out}
//   GET, POST /sign-in/new                 an account with a password
//   GET  /sign-in/next?callbackURL=…       where providers and passkeys come back to
//   GET  /sign-in/error?error=…

#include <optional>
#include <string>
#include <vector>

#include "auth/core/auth.h"
#include "signin/pages.h"
#include "signin/providers.h"

namespace latchkey::service {

class SignInPages {
 public:
  struct Options {
    std::string app_name;
    Secret<Bytes> form_key;  // of CSRF tokens
    bool bluesky = false, passkeys = false, password = false;
    bool typeahead = false;  // handle_typeahead.h is there
    struct Code {
      std::size_t digits;
      std::chrono::seconds expires_in;
    };
    std::optional<Code> code = {};
    struct SignUp {  // with a password, so long
      std::size_t min_length, max_length;
      bool verified_first;  // a link is mailed, and nobody signed in before it is opened
    };
    std::optional<SignUp> sign_up = {};
    std::optional<std::chrono::seconds> link_expires_in = {};  // when there is no code
    std::vector<signin::ProviderButton> providers = {};
  };
  SignInPages(Options options, auth::Auth& auth, const signin::Pages& pages);

  void add_routes(web::Router& router);

 private:
  /// What a form came with.
  struct Form {
    signin::Reader reader;
    std::string cookie;    // what binds its token to the browser
    std::string callback;  // "" or allowed
    FormFields fields;
    std::string text(std::string_view name) const { return single(fields, name).value_or(""); }
  };
  /// What a page says besides.
  struct Say {
    std::string error = {}, notice = {}, email = {}, handle = {}, name = {};
    int status = 200;
  };
  using Act = Task<web::Response> (SignInPages::*)(Form, web::Request);

  Task<web::Response> open(web::Request request);
  Task<web::Response> open_new(web::Request request);
  Task<web::Response> next(web::Request request);
  Task<web::Response> error(web::Request request);
  Task<web::Response> bluesky(Form form, web::Request request);
  Task<web::Response> email(Form form, web::Request request);
  Task<web::Response> code(Form form, web::Request request);
  Task<web::Response> password(Form form, web::Request request);
  Task<web::Response> sign_up(Form form, web::Request request);
  Task<web::Response> sign_out(Form form, web::Request request);

  /// A page that is gone to, with a token for its forms.
  Form opened(const web::Request& request, const char* path) const;
  Task<web::Response> with_form(Act act, web::Request request);
  /// A request to the framework, from this browser. Its cookies are the caller's to hand on.
  Task<web::Response> api(web::Request from, std::string path, json::Object body);

  web::Response ways_in(const Form& form, Say say) const;
  web::Response new_page(Form form, Say say) const;
  web::Response code_page(const Form& form, Say say) const;
  web::Response signed_in(const Form& form, const auth::User& user) const;
  /// After a success: with the cookies of `answer`.
  web::Response done(const Form& form, const web::Response& answer) const;
  /// To another server. Not by a redirect, which form-action of the page would not let pass.
  web::Response leave(const Form& form, const web::Response& answer) const;
  web::Response page(const Form& form, const char* name, json::Object view, int status) const;
  std::string words_of_failure(const Form& form, const web::Response& answer) const;

  std::string callback_of(const FormFields& fields) const;
  std::string next_url(const std::string& callback) const;
  std::string token(const std::string& cookie) const;

  const Options options_;
  auth::Auth& auth_;
  const signin::Pages& pages_;
  const std::string cookie_name_;
};

}  // namespace latchkey::service
