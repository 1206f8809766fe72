#pragma once
// An ePDS: a personal data server, its authorization server and the sign-in pages, behind one handler that
// tells the two host names apart. `latchkey serve` runs one, `latchkey dev` runs one among its neighbours.

#include "auth/plugins/email_otp/email_otp.h"
#include "auth/plugins/social/provider.h"
#include "mail/sender.h"
#include "oauth/server/server.h"
#include "pds/pds.h"
#include "signin/sign_in.h"
#include "signin/split_hosts.h"
#include "store/migrate.h"
#include "web/rate_limit.h"
#include "web/router.h"
#include "web/template.h"

namespace latchkey::signin {

struct EpdsOptions {
  pds::Config pds;
  std::string auth_origin;  // equal to pds.public_url: one origin for both
  std::string plc_url;
  std::string service_name;      // for people, in pages and mails
  Secret<Bytes> session_secret;  // AUTH_SESSION_SECRET: codes, flows, CSRF tokens
  Secret<Bytes> dpop_secret;     // PDS_DPOP_SECRET: OAuth tokens and nonces
  Secret<Bytes> storage_secret;  // seals signing keys in the database
  std::vector<std::shared_ptr<auth::SocialProvider>> providers = {};  // beside codes and passkeys
  std::string passkey_rp_id = {};                                     // "": the host of the pages
  std::chrono::seconds session_expires_in{7 * 86'400}, session_update_age{86'400};  // of /api/auth
  oauth::LocalHosts local_hosts = oauth::LocalHosts::refuse;
  std::set<std::string> trusted_clients = {};  // OAuth client_ids
  auth::EmailOtpLimits email_limits = {};
  std::chrono::hours recovery_delay{0};  // how long the primary mailbox may call a recovery off
  std::optional<web::RateLimitOptions> rate_limits = {};  // none: requests are not counted
  OperatorBranding branding = {};
  std::set<std::string> email_template_domains = {};  // EMAIL_TEMPLATE_ALLOWED_DOMAINS
  std::string template_directory = {};                // web::TemplateDirectory
  std::optional<SplitHostsOptions> split_hosts = {};  // none: the sign-in pages are ours alone
};

struct EpdsParts {
  store::Database& db;  // migrated with epds_migrations()
  Fetch& fetch;
  identity::Resolver* resolver;  // handles of others; null: they are not found
  lexicon::Resolver* lexicons;   // null: permission sets cannot be had
  mail::Sender& mailer;
  ThreadPool& passwords;
  ThreadPool& reads;
  const Clock& clock;
  Rng& rng;
};

/// Creates or updates the tables of every part.
void migrate_epds(store::Database& db);
/// What it would run. Reads only.
std::vector<store::Migration> pending_epds(store::Tx& tx, store::Engine engine);

class Epds {
 public:
  Epds(EpdsOptions options, EpdsParts parts);
  ~Epds();
  Epds(const Epds&) = delete;

  /// Takes up what a crash left behind. Await it before the first request.
  Task<void> start();
  /// Deletes what has expired. Every few minutes is enough.
  Task<void> clean();
  /// Resumes when the mails under way have left. Await it before the parts go.
  Task<void> settled();
  /// All routes, for both hosts. The object must outlive the router.
  web::Router router();
  /// For a listener that only a sign-in service of ours on another host reaches; empty without split_hosts.
  web::Router internal_router();

  oauth::Server& oauth();
  pds::Pds& pds();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::signin
