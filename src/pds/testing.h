#pragma once
// A PDS in memory for tests: fake clock, seeded randomness, a PLC directory that can fail at any step, and
// requests that go through the router.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "atproto/plc/operation.h"
#include "pds/pds.h"
#include "pds/schema.h"
#include "store/testing.h"

namespace latchkey::pds {

/// Stands for the process dying at this point: nothing that runs after it may matter.
struct Crash : std::runtime_error {
  Crash() : std::runtime_error("crash") {}
};

class MemoryPlc final : public PlcClient {
 public:
  enum class Mode { normal, refuse, unreachable, lost_answer, crash_before, crash_after };

  Task<Result<void, PlcFault>> submit(std::string did, std::string text) override {
    ++submits;
    if (before_submit) before_submit();
    if (mode == Mode::crash_before) throw Crash();
    if (mode == Mode::unreachable) co_return fail(PlcFault{PlcFault::Kind::unreachable, "down"});
    if (mode == Mode::refuse) co_return fail(PlcFault{PlcFault::Kind::refused, "no"});
    auto operation = plc::Operation::parse(text);
    if (!operation || plc::did_of(*operation).str() != did || !plc::check_incoming(*operation) ||
        !plc::check_next(Did::parse(did).value(), {}, *operation, Time()))
      co_return fail(PlcFault{PlcFault::Kind::refused, "invalid operation"});
    logs[did] = {{.operation = *operation, .cid = operation->cid(), .created_at = Time()}};
    operations.insert_or_assign(did, *operation);
    if (after_submit) after_submit();
    if (mode == Mode::crash_after) throw Crash();
    if (mode == Mode::lost_answer) co_return fail(PlcFault{PlcFault::Kind::unreachable, "answer lost"});
    co_return {};
  }

  Task<Result<void, PlcFault>> append(Did did, plc::Operation operation) override {
    ++appends;
    if (before_submit) before_submit();
    if (mode == Mode::crash_before) throw Crash();
    if (mode == Mode::unreachable) co_return fail(PlcFault{PlcFault::Kind::unreachable, "down"});
    auto& log = logs[did.str()];
    if (holds(log, operation.cid())) co_return {};
    if (mode == Mode::refuse || !plc::check_incoming(operation) ||
        !plc::check_next(did, log, operation, Time()))
      co_return fail(PlcFault{PlcFault::Kind::refused, "no"});
    log.push_back({.operation = operation, .cid = operation.cid(), .created_at = Time()});
    operations.insert_or_assign(did.str(), operation);
    if (after_submit) after_submit();
    if (mode == Mode::crash_after) throw Crash();
    if (mode == Mode::lost_answer) co_return fail(PlcFault{PlcFault::Kind::unreachable, "answer lost"});
    co_return {};
  }

  Task<Result<std::vector<plc::LogEntry>, PlcFault>> log(Did did) override {
    if (mode == Mode::unreachable) co_return fail(PlcFault{PlcFault::Kind::unreachable, "down"});
    const auto found = logs.find(did.str());
    if (found == logs.end()) co_return fail(PlcFault{PlcFault::Kind::refused, "no such DID"});
    auto copy = found->second;
    if (after_log) std::exchange(after_log, nullptr)();
    co_return copy;
  }

  Task<Result<std::optional<json::Value>, PlcFault>> resolve(std::string did) override {
    ++resolves;
    if (mode == Mode::unreachable) co_return fail(PlcFault{PlcFault::Kind::unreachable, "down"});
    auto found = operations.find(did);
    if (found == operations.end()) co_return std::optional<json::Value>();
    co_return std::optional<json::Value>(plc::did_document(Did::parse(did).value(), *found->second.data()));
  }

  Mode mode = Mode::normal;
  std::map<std::string, plc::Operation> operations;  // the newest of each DID
  std::map<std::string, std::vector<plc::LogEntry>> logs;
  std::function<void()> before_submit, after_submit, after_log;
  int submits = 0, appends = 0, resolves = 0;
};

/// A mailbox that can be full.
class FakeMailer final : public AccountMailer {
 public:
  Task<Result<void, mail::MailError>> send_account_delete(mail::EmailAddress to, std::string handle,
                                                          std::string token) override {
    if (broken) co_return fail(mail::MailError{.kind = mail::MailError::Kind::refused, .detail = "down"});
    last_to = to.str();
    last_handle = std::move(handle);
    last_token = std::move(token);
    ++sent;
    co_return {};
  }
  bool broken = false;
  std::string last_to, last_handle, last_token;
  int sent = 0;
};

/// Knows tokens by heart.
class FakeOauth final : public OauthVerifier {
 public:
  Task<Result<OauthCredentials, OauthFault>> verify(OauthRequest request) override {
    last = request;
    auto found = tokens.find(request.token);
    if (found == tokens.end())
      co_return fail(OauthFault{.status = 401,
                                .error = "invalid_token",
                                .description = "unknown token",
                                .www_authenticate = "DPoP error=\"invalid_token\""});
    co_return found->second;
  }
  std::string current_nonce() override { return "nonce-1"; }

  std::map<std::string, OauthCredentials> tokens;
  OauthRequest last;
};

struct Answered {
  int status = 0;
  json::Value body;
  std::string text;
  web::Headers headers;

  std::string error() const { return text_at("error"); }
  std::string message() const { return text_at("message"); }
  std::string text_at(std::string_view name) const {
    const auto* value = body.string_at(name);
    return value ? *value : std::string();
  }
};

inline Config test_config() {
  static SeededRng rng(99);
  return Config{.public_url = "https://pds.test",
                .service_did = "did:web:pds.test",
                .handle_domains = {".test"},
                .version = "1.2.3",
                .jwt_secret = Secret<std::string>("a test secret of more than 32 bytes!"),
                .rotation_key = crypto::PrivateKey::generate(crypto::Curve::k256, rng)};
}

/// What a process holds; a World may have several over one database.
struct Process {
  /// Blobs are in `config.blob_directory`.
  Process(store::Database& db, const Clock& clock, Rng& rng, PlcClient& plc, Config config = test_config(),
          identity::Resolver* resolver = nullptr)
      : blob_store(config.blob_directory, reads),
        pds(std::move(config),
            {.db = db,
             .clock = clock,
             .rng = rng,
             .passwords = passwords,
             .reads = reads,
             .plc = plc,
             .blobs = blob_store,
             .sealer = crypto::Sealer(Secret<Bytes>(Bytes(32, 7))),
             .oauth = &oauth,
             .resolver = resolver,
             .mailer = &mailer,
             .recent_sign_in = [this](store::Tx&, const Did& did,
                                      Time) { return recently_signed_in.contains(did.str()); }}),
        router(routes(pds)) {}

  Answered send(web::Request request) {
    auto response = run(read_all(router.handle(std::move(request))));
    Answered out{
        .status = response.status, .body = {}, .text = std::move(response.body), .headers = response.headers};
    if (auto value = json::parse(out.text)) out.body = *std::move(value);
    return out;
  }
  Answered get(std::string_view target, const std::string& authorization = {}) {
    web::Headers headers;
    if (!authorization.empty()) headers.set("Authorization", authorization);
    return send(web::Request::make("GET", "https://pds.test" + std::string(target), {}, headers));
  }
  Answered post(const std::string& nsid, const std::optional<json::Value>& body,
                const std::string& authorization = {}) {
    web::Headers headers;
    if (!authorization.empty()) headers.set("Authorization", authorization);
    if (body) headers.set("Content-Type", "application/json");
    return send(
        web::Request::make("POST", "https://pds.test/xrpc/" + nsid, body ? body->dump() : "", headers));
  }

  ThreadPool passwords{1}, reads{1};
  DiskBlobStore blob_store;
  FakeOauth oauth;
  FakeMailer mailer;
  std::set<std::string> recently_signed_in;
  Pds pds;
  web::Router router;

 private:
  static Task<web::Response> read_all(Task<web::Response> task) {
    auto response = co_await std::move(task);
    if (response.stream) {
      std::string body;
      while (auto piece = co_await response.stream()) body += as_text(*piece);
      response.body = std::move(body);
    }
    if (response.body.empty() && response.shared_body) response.body = as_text(*response.shared_body);
    co_return response;
  }
};

struct SignedIn {
  Did did;
  std::string handle;
  std::string access;   // "Bearer …"
  std::string refresh;  // "Bearer …"
};

struct World {
  explicit World(store::Engine engine = store::Engine::sqlite, Config config = test_config(),
                 identity::Resolver* resolver = nullptr)
      : database(engine, migrations()),
        process(*database, clock, rng, plc, in_folder(std::move(config)), resolver) {}

  Config in_folder(Config config) {
    config.blob_directory = folder.path() + "/blobs";
    return config;
  }

  store::Database& db() { return *database; }
  Pds& pds() { return process.pds; }
  Answered get(std::string_view target, const std::string& auth = {}) { return process.get(target, auth); }
  Answered post(const std::string& nsid, const std::optional<json::Value>& body,
                const std::string& auth = {}) {
    return process.post(nsid, body, auth);
  }

  /// Signed up by name, with the password "correct horse".
  SignedIn sign_up(const std::string& name) {
    auto got = post("com.atproto.server.createAccount", json::Object{{"handle", name + ".test"},
                                                                     {"email", name + "@mail.test"},
                                                                     {"password", "correct horse"}});
    EXPECT_EQ(got.status, 200) << got.text;
    return {.did = Did::parse(got.text_at("did")).value(),
            .handle = got.text_at("handle"),
            .access = "Bearer " + got.text_at("accessJwt"),
            .refresh = "Bearer " + got.text_at("refreshJwt")};
  }
  /// The Authorization header of an app the person granted `scope`.
  std::string app_of(const SignedIn& who, std::string scope) {
    const std::string token = "token-" + std::to_string(process.oauth.tokens.size());
    process.oauth.tokens[token] = {
        .did = who.did.str(), .scope = std::move(scope), .client_id = "https://app.test/client.json"};
    return "DPoP " + token;
  }
  Account account(const SignedIn& who) { return run(pds().accounts().find(who.did)).value(); }
  template <class F>
  auto read(F fn) {
    return run(db().read(std::move(fn)));
  }
  template <class F>
  auto write(F fn) {
    return run(db().write(std::move(fn)));
  }

  FakeClock clock;
  SeededRng rng{1};
  MemoryPlc plc;
  store::TemporaryFolder folder;
  store::TestDatabase database;
  Process process;
};

}  // namespace latchkey::pds
