#pragma once
// A whole sign-in in one process, without sockets or wall clock: an ePDS, a PLC directory, mails that end in
// a trap, browsers and apps. With the same seed everything replays byte for byte.
//
//   World w;
//   App app(w);
//   Browser browser(w);
//   const Tokens tokens = sign_in(app, browser, "alice@example.com");
//
// One thread runs everything; only the database has threads of its own.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "atproto/lexicon/network_resolver.h"
#include "dev/lexicon_names/lexicon_names.h"
#include "dev/plc_directory/directory.h"
#include "mail/trap.h"
#include "signin/epds.h"
#include "store/testing.h"

namespace latchkey::dev::world {

struct WorldOptions {
  std::uint64_t seed = 1;
  store::Engine engine = store::Engine::sqlite;
  std::string pds = "https://pds.test";
  std::string auth = "https://auth.pds.test";  // equal to pds: one origin
  std::string sign_up = "open";                // pds::SignUpPolicy
  std::optional<std::string> admin_password = {};
  auth::EmailOtpLimits limits = {};
  std::chrono::hours recovery_delay{0};
  std::optional<web::RateLimitOptions> rate_limits = {};  // none: requests are not counted
  Fetch* fetch = nullptr;                                 // instead of the network in memory
  std::set<std::string> trusted_clients = {};             // client_ids
  signin::OperatorBranding branding = {};
  std::set<std::string> email_template_domains = {};
  std::optional<signin::SplitHostsOptions> split_hosts = {};
  /// Where else people sign in. Asked at every start.
  std::function<std::vector<std::shared_ptr<auth::SocialProvider>>(const Clock&)> providers = {};
  bool resolves_handles = false;  // of domains that are not ours
};
/// Where the routes for the private listener are.
inline constexpr const char* k_internal = "http://internal.test";
inline WorldOptions one_origin() { return {.auth = "https://pds.test"}; }

/// What the ePDS reaches: sites by origin, documents by URL.
class MemoryNetwork final : public Fetch {
 public:
  using Answer = std::function<Task<web::Response>(web::Request)>;
  void site(std::string origin, Answer answer) { sites_[std::move(origin)] = std::move(answer); }
  void document(std::string url, const json::Value& body) { documents_[std::move(url)] = body.dump(); }

  std::set<std::string> down;                               // origins that do not answer
  std::set<std::string> losing_answers;                     // origins whose answers get lost on the way
  std::map<std::string, std::chrono::milliseconds> delays;  // by origin, in the executor's time
  std::vector<std::string> log;                             // "POST https://…"

  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override;

 private:
  std::map<std::string, Answer> sites_;
  std::map<std::string, std::string> documents_;
};

/// Hands mails to the trap; may refuse them or take its time.
class Postman final : public mail::Sender {
 public:
  explicit Postman(mail::Trap& trap) : trap_(trap) {}
  bool refuses = false;
  bool throws = false;
  std::chrono::milliseconds delay{0};
  std::vector<mail::Message> to_nobody;
  Task<Result<void, mail::MailError>> send(mail::Message message) override;
  Task<void> send_to_nobody(mail::Message message) override;

 private:
  mail::Trap& trap_;
};

/// An answer as its reader sees it.
struct Page {
  std::string url;
  int status = 0;
  web::Headers headers;
  std::string body;

  std::string header(std::string_view name) const { return std::string(headers.get(name)); }
  std::string location() const { return header("location"); }
  /// Where a page sends the browser on by itself: "Refresh: 0;url=…".
  std::string refresh() const {
    const std::string value = header("refresh");
    return value.substr(std::min(value.size(), std::string_view("0;url=").size()));
  }
  bool shows(std::string_view text) const { return body.find(text) != std::string::npos; }
  /// The text of <h1>.
  std::string heading() const;
  json::Value json() const;
  std::string text(std::string_view member) const;  // of a JSON answer; "" when absent
  std::string error() const { return text("error"); }
  /// A parameter of the redirect's target, in query or fragment; "" when absent.
  std::string parameter(std::string_view name) const;

  struct Form {
    std::string action;
    FormFields fields;  // hidden ones
  };
  std::vector<Form> forms() const;
  /// The form whose action begins with this path; throws when there is none.
  Form form(std::string_view path) const;
};

class World {
 public:
  explicit World(WorldOptions options = {});
  ~World();

  /// Answers a request and finishes what it left to be done.
  Page send(web::Request request);
  /// Starts all of them before the first has ended.
  std::vector<Page> together(std::vector<web::Request> requests);
  template <class T>
  T run(Task<T> task) {
    return latchkey::run(executor, std::move(task));
  }
  template <class F>
  auto read(F fn) {
    return run(db().read(std::move(fn)));
  }
  template <class F>
  auto write(F fn) {
    return run(db().write(std::move(fn)));
  }
  /// The process dies and another one starts on the same data.
  void restart();

  store::Database& db() { return *database; }
  std::vector<mail::TrappedMail> mails(std::optional<std::string> to = {}) const {
    return trap.list(std::move(to));
  }
  /// The newest code mailed to this address; "" when there is none.
  std::string code(std::string_view to) const;
  std::optional<pds::Account> account(std::string_view email);

  WorldOptions options;  // restart() reads them again
  FakeClock clock;
  SeededRng rng;
  InlineExecutor executor;
  MemoryNetwork network;
  mail::Trap trap{clock};
  Postman postman{trap};
  store::TemporaryFolder folder_;
  store::TestDatabase plc_database, database;
  PlcDirectory plc;
  web::Router plc_routes;
  identity::Resolver identities;
  LexiconNames lexicon_names;  // an account's handle is the authority for its lexicons
  lexicon::NetworkResolver lexicons;
  std::unique_ptr<signin::Epds> epds;
  std::unique_ptr<web::Router> routes, internal_routes;
  std::string transcript;  // every answer so far

 private:
  Page finished(std::string url, web::Response response);

  ThreadPool passwords_{1}, reads_{1};
  int requests_ = 0;
};

/// A browser: cookies per host, forms, redirects only when told.
class Browser {
 public:
  explicit Browser(World& world, std::string ip = "192.0.2.1") : world_(world), ip_(std::move(ip)) {}

  enum class Says { fetch_metadata, origin, nothing };
  Says says = Says::fetch_metadata;  // about where a POST comes from

  Page get(std::string url);
  Page post(std::string url, FormFields fields);
  /// Fills the form of the page whose action begins with `action`.
  Page submit(const Page& page, std::string_view action, FormFields fields = {});
  /// One redirect.
  Page follow(const Page& page);
  /// Redirects until a page is shown or one leads to another site.
  Page follow_all(Page page);

  /// The same in two steps, for requests at once or with something odd about them.
  web::Request request(std::string method, const std::string& url, FormFields fields = {}) const;
  web::Request submission(const Page& page, std::string_view action, FormFields fields = {}) const;
  Page took(Page answer);
  Page send(web::Request request) { return took(world_.send(std::move(request))); }

  struct Cookie {
    std::string value;
    std::string attributes;  // as set, after the value
    std::optional<Time> expires;
  };
  std::map<std::string, std::map<std::string, Cookie>> jar;  // by host
  World& world() const { return world_; }

 private:
  World& world_;
  std::string ip_;
};

struct Tokens {
  std::string access, refresh, did, scope;
};

/// An atproto OAuth client on our own proofs and assertions.
class App {
 public:
  enum class Kind { loopback, web, confidential };
  /// `scope` is what its metadata declares, "" for the usual; `host` is its own, "" for the kind's.
  explicit App(World& world, Kind kind = Kind::loopback, std::string name = "Example App",
               std::string scope = "", std::string host = "");

  struct Login {
    std::string request_uri, state, verifier;
  };
  /// The form of a fresh pushed request; its verifier becomes the newest.
  FormFields par_form();
  /// A pushed request with these parameters added or replaced.
  Login start(FormFields extra = {});
  std::string authorize_url(const Login& login, std::optional<std::string> login_hint = {}) const;
  FormFields code_form(const Login& login, std::string code) const;
  /// Exchanges the code the redirect brought; checks iss and state first.
  Tokens redeem(const Login& login, const Page& back);

  /// A POST to the authorization server with a proof, and once more when it wants another nonce.
  Page post(const std::string& path, FormFields form);
  Page post_with_proof(const std::string& path, const FormFields& form, const std::string& proof);
  /// An XRPC call with the access token.
  Page call(const std::string& method, const std::string& path, const Tokens& tokens,
            std::optional<json::Value> body = {});
  std::string proof(const std::string& method, const std::string& url, std::optional<std::string> token = {});
  /// Adds the client assertion when the client has to bring one.
  FormFields authenticated(FormFields form);
  const std::string& client_id() const { return client_id_; }
  const std::string& redirect_uri() const { return redirect_uri_; }
  const json::Object& metadata() const { return metadata_; }

  crypto::PrivateKey dpop_key;
  std::optional<std::string> nonce;

 private:
  World& world_;
  Kind kind_;
  crypto::PrivateKey client_key_;
  std::string client_id_, redirect_uri_;
  json::Object metadata_;
  std::string verifier_;
};

FormFields with(FormFields form, std::string name, std::string value);
FormFields without(FormFields form, std::string_view name);

/// From the app's redirect to its callback, giving the code from the mail and approving: Flow 1 when `hint`.
enum class Hint { on_authorize_url, none };
Page walk(App& app, const App::Login& login, Browser& browser, std::string email, Hint hint = Hint::none);
/// The part of it up to the consent page.
Page walk_to_consent(App& app, const App::Login& login, Browser& browser, std::string email,
                     Hint hint = Hint::none);
Tokens sign_in(App& app, Browser& browser, std::string email, Hint hint = Hint::none);

}  // namespace latchkey::dev::world
