#pragma once
// The auth framework: users, sessions, accounts and verification values in the tables, cookies and routes of
// Better Auth, for C++ programs and the clients Better Auth has.
//
//   auth::Auth auth({.base_url = "https://myapp.com", .secret = …, .database = db, .clock = clock, .rng =
//   rng,
//                    .email_and_password = {.enabled = true}, .plugins = {bearer(), …}});
//   auth.migrate();
//   router.mount("/api/auth", auth.handler());
//   …
//   if (auto who = co_await auth.session_of(request)) …

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "auth/core/accounts.h"
#include "auth/core/context.h"
#include "auth/core/options.h"
#include "auth/core/origins.h"
#include "auth/core/sessions.h"
#include "auth/core/users.h"
#include "auth/core/verifications.h"

namespace latchkey::auth {

/// Two plugins (or a plugin and the core) claim the same thing. Names both.
struct Conflict : std::logic_error {
  using std::logic_error::logic_error;
};

class Auth {
 public:
  /// Throws Conflict, and std::invalid_argument for options that cannot work: a short secret, a base URL that
  /// is none.
  explicit Auth(Options options);
  ~Auth();
  Auth(const Auth&) = delete;

  /// Creates and completes the tables. Before the first request.
  void migrate();
  /// What migrate() would do. Reads only.
  std::vector<SchemaChange> pending();
  /// Answers everything at and below the base path. Must not outlive this.
  web::Handler handler();
  Task<web::Response> handle(web::Request request);

  // --- For pages of the program itself ---

  /// Whose session a request carries. Reads only: nothing is extended or deleted.
  Task<std::optional<SessionAndUser>> session_of(web::Request request);
  /// `answer` with the session's cookies cleared; the row is deleted.
  Task<web::Response> sign_out(web::Request request, web::Response answer);
  /// `answer` with the cookies of a session that was created in a transaction of the program.
  web::Response signed_in(web::Response answer, const Session& session, Remember remember) const;
  /// The token of the request's cookie, when its signature is ours.
  std::optional<std::string> session_token(const web::Request& request) const;
  /// Drops what has expired. Every few minutes is enough.
  Task<void> clean();

  // --- For plugins, and for programs in transactions of their own ---

  const Options& options() const { return options_; }
  store::Database& db() const { return options_.database; }
  const Clock& clock() const { return options_.clock; }
  Rng& rng() const { return options_.rng; }
  const Users& users() const { return users_; }
  const Sessions& sessions() const { return sessions_; }
  const Accounts& accounts() const { return accounts_; }
  const Verifications& verifications() const { return verifications_; }
  const Cookies& cookies() const { return cookies_; }
  const TrustedOrigins& origins() const { return origins_; }

  const std::string& origin() const { return origin_; }        // "https://myapp.com"
  const std::string& base_path() const { return base_path_; }  // "/api/auth"
  std::string url(std::string_view path) const;                // origin + base path + path
  std::string absolute(std::string_view target) const;         // a relative target on our origin
  std::string_view secret() const { return options_.secret.reveal(); }

  /// On the password pool.
  Task<std::string> hash_password(std::string password);
  /// Takes as long when there is nothing to compare with.
  Task<bool> verify_password(std::string password, std::optional<std::string> stored);
  /// Failing is logged and nothing else: the answer must not tell that there was somebody to mail to.
  Task<void> mail(const SendLink* send, LinkMail mail);
  Task<void> mail(Task<void> sending);
  /// For codes and links that prove a mailbox. When its user never showed that it is theirs, whoever made
  /// that user loses every way in (passwords, identities, sessions, rows of plugins such as passkeys), and
  /// the address is verified.
  Result<User, Fault> prove_mailbox(store::Tx& tx, User user, Time now) const;
  /// PASSWORD_TOO_SHORT, PASSWORD_TOO_LONG.
  Result<void, Fault> check_password_length(std::string_view password) const;

 private:
  struct Route {
    std::vector<std::string> segments;  // of a path with parameters; empty for an exact one
    std::string path;
    std::vector<const Endpoint*> endpoints;  // one for each method
  };

  void claim(const std::string& thing, const std::string& owner);
  void add_route(const Endpoint& endpoint, const std::string& owner);
  using Params = std::map<std::string, std::string, std::less<>>;
  std::pair<const Route*, Params> find_route(std::string_view path) const;
  struct Limit {
    std::optional<RateLimitRule> rule = {};
    std::string_view counter = {};  // "": the route's path
  };
  Limit limit_of(std::string_view path) const;
  Task<Answer> run(Context& context, const Endpoint* endpoint);
  Task<Result<void, Fault>> run_before(Context& context);
  Task<web::Response> answer(Context& context, const Endpoint* endpoint);
  Result<void, Fault> check_targets(const Context& context, const Endpoint& endpoint) const;
  void add_cors(const web::Request& request, web::Response& response) const;

  Options options_;
  std::string origin_, base_path_;
  std::vector<Endpoint> core_endpoints_;
  std::map<std::string, std::string> owners_;  // "route POST /sign-in/email" → who has it
  std::map<std::string, Route, std::less<>> exact_;
  std::vector<Route> patterns_;
  std::vector<BeforeHook> before_;
  std::vector<AfterHook> after_;
  std::vector<PathLimit> plugin_limits_;
  std::string cors_request_headers_ = "content-type, authorization";
  std::string cors_response_headers_ = "set-auth-token, set-auth-jwt, x-retry-after";
  Models models_;
  Cookies cookies_;
  TrustedOrigins origins_;
  Users users_;
  Sessions sessions_;
  Accounts accounts_;
  Verifications verifications_;
  std::unique_ptr<RateLimits> rate_limits_;
};

/// `url` with a parameter more, ahead of its fragment; encoded as URLSearchParams does (a space is '+').
std::string with_query(std::string_view url, std::string_view name, std::string_view value);

}  // namespace latchkey::auth
