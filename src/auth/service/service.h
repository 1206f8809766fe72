#pragma once
// `latchkey auth`: the auth framework as a service beside an app in any language, behind one handler. Its
// routes below the base path, forward-auth for reverse proxies, and sign-in pages for apps that have none.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/auth.h"
#include "auth/plugins/jwt/jwt.h"
#include "auth/plugins/social/provider.h"
#include "base/fetch.h"
#include "mail/sender.h"
#include "web/router.h"

namespace latchkey::service {

enum class Switch { off, on };

struct EmailOtpSettings {
  std::size_t otp_length = 8;
  std::chrono::seconds expires_in{600};
  int allowed_attempts = 5;
  bool disable_sign_up = false;
  std::int64_t codes_per_minute = 30;  // mailed to everybody together
};
struct MagicLinkSettings {
  std::chrono::seconds expires_in{300};
  bool disable_sign_up = false;
};

struct ServiceOptions {
  std::string base_url;  // "https://app.example.com"; its path, when it has one, is the base path
  std::string app_name;  // what pages and mails call it
  Secret<std::string> secret;
  std::vector<Secret<std::string>> old_secrets = {};
  std::vector<std::string> trusted_origins = {};
  auth::Cors cors = auth::Cors::trusted_origins;

  auth::SessionOptions session = {};
  auth::CookieOptions cookies = {};
  auth::RateLimitOptions rate_limit = {};
  auth::AccountLinkingOptions linking = {};
  bool delete_user = false;

  // Ways in. Those that send mails need a mailer.
  std::optional<EmailOtpSettings> email_otp = {};
  std::optional<MagicLinkSettings> magic_link = {};
  auth::EmailAndPasswordOptions email_and_password = {};
  std::vector<std::shared_ptr<auth::SocialProvider>> providers = {};
  std::optional<std::string> passkey_rp_id = {};  // "": the host of base_url
  std::optional<auth::Plugin> bluesky = {};
  bool anonymous = false;
  // And what comes out.
  bool bearer = false;
  std::optional<auth::JwtOptions> jwt = {};

  Switch forward_auth = Switch::on, sign_in_page = Switch::on;
  std::string typeahead = {};           // origin of the AppView that suggests handles there; "": none
  std::string template_directory = {};  // "": the embedded templates
};

struct ServiceParts {
  store::Database& db;
  Fetch& fetch;
  mail::Sender* mailer;  // may be null
  ThreadPool& passwords;
  const Clock& clock;
  Rng& rng;
};

class Service {
 public:
  /// Throws std::invalid_argument and auth::Conflict for options that cannot work. All parts outlive it.
  Service(ServiceOptions options, ServiceParts parts);
  ~Service();
  Service(const Service&) = delete;

  auth::Auth& auth();
  /// What migrate() would create, one line each: "table session". Reads only.
  std::vector<std::string> pending();
  /// Creates what is missing, and changes nothing that is there. Before the first request.
  void migrate();
  /// Every route. Must not outlive this.
  web::Router router();
  /// Drops what has expired. Every 5 minutes is enough.
  Task<void> clean();
  /// Resumes when every mail that was asked for was handed over. Await it before the mailer goes.
  Task<void> settled();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::service
