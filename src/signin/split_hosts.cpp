#include "signin/split_hosts.h"

#include "base/log.h"
#include "crypto/hash.h"
#include "signin/audit.h"
#include "signin/flows.h"
#include "signin/way_back.h"

namespace latchkey::signin {
namespace {

// How long to wait for the request that is making the same account.
constexpr int k_twin_looks = 13;
constexpr std::chrono::milliseconds k_twin_pause{250};

// In the form the other host reads.
web::Response refused(int status, std::string_view error) {
  return web::Response::json(json::Object{{"error", std::string(error)}}, status);
}

// Of digests, so that the secret's length takes no part.
bool same_secret(std::string_view given, const Secret<Bytes>& secret) {
  return crypto::equal(crypto::sha256(as_bytes(given)), crypto::sha256(secret.reveal()));
}

}  // namespace

SplitHosts::SplitHosts(SplitHostsOptions options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      host_(Url::parse(parts_.oauth.issuer()).value().host) {}

void SplitHosts::add_routes(web::Router& router) {
  router.get("/oauth/magic-callback", [this](web::Request r) { return callback(std::move(r)); });
}

web::Router SplitHosts::internal_routes() {
  web::Router router;
  router.get("/_internal/account-by-email",
             [this](web::Request r) { return account_by_email(std::move(r)); });
  return router;
}

Task<void> SplitHosts::clean() {
  const Time now = parts_.clock.now();
  co_await parts_.db.write([now](store::Tx& tx) { hand_overs::clean(tx, now); });
}

Task<web::Response> SplitHosts::account_by_email(web::Request request) {
  const auto given = request.headers.all("x-internal-secret");
  if (given.size() != 1 || !same_secret(given[0], options_.internal_secret))
    co_return refused(401, "Unauthorized");
  const auto typed = request.query_value("email");
  if (!typed || typed->empty()) co_return refused(400, "Missing email");
  if (has_control_characters(*typed)) co_return refused(400, "Invalid email");
  std::optional<pds::Account> account;
  // An address this server does not take is nobody's.
  if (const auto email = mail::EmailAddress::parse(*typed))
    account = co_await parts_.accounts.find_by_email(*email);
  json::Object answer{{"did", nullptr}};
  if (account) answer.set("did", account->did.str());
  co_return web::Response::json(std::move(answer));
}

Task<web::Response> SplitHosts::callback(web::Request request) {
  // The names of accounts lead to this server, too.
  if (request.hostname() != host_) co_return refused(421, "Misdirected request");
  if (!request.may_be_navigation()) co_return refused(403, "Not a navigation");
  // A link preview that only looks must not use it up.
  if (request.method == "HEAD") co_return web::Response::empty();

  const auto query = request.query_fields();
  const auto handed =
      read_hand_over(query ? *query : FormFields(), options_.callback_secret, parts_.clock.now());
  if (!handed) co_return refused(handed.error().status, handed.error().error);
  const bool first = co_await parts_.db.write([&](store::Tx& tx) { return hand_overs::spend(tx, *handed); });
  if (!first) co_return refused(400, "Callback already used");

  // Opened here and ended before the answer: no later request of this browser has to find it.
  auto open = co_await parts_.oauth.open_handed_over(handed->request_uri, flows::hash_of(parts_.rng.token()));
  if (!open) co_return parts_.pages.fault_page(open.error(), request);

  // From here on the app is told what went wrong, whatever it was.
  Result<pds::Account, Refusal> account = fail(Refusal{oauth::Error::server_error, "Authentication failed"});
  try {
    account = co_await account_of(*handed, *open, request);
  } catch (const std::exception& e) {
    log::error("hand-over failed", {{"request_id", request.id}, {"detail", e.what()}});
  }
  if (!account)
    co_return way_back(
        parts_.pages,
        co_await parts_.oauth.refuse(*std::move(open), account.error().error, account.error().description),
        request);
  // The other host showed exactly these scopes.
  const auto asked = oauth::ScopeSet::parse(open->request.scope);
  oauth::Approval approval{
      .did = account->did.str(), .scope = asked ? *asked : oauth::ScopeSet(), .ip = request.remote_ip};
  auto outcome = co_await parts_.oauth.approve(*open, std::move(approval));
  if (outcome && single(outcome->parameters, "code")) co_await note(*account, *open, request);
  co_return way_back(parts_.pages, std::move(outcome), request);
}

Task<Result<pds::Account, SplitHosts::Refusal>> SplitHosts::account_of(HandOver handed,
                                                                       oauth::OpenRequest open,
                                                                       web::Request request) {
  const auto denied = [](std::string why) {
    return fail(Refusal{oauth::Error::access_denied, std::move(why)});
  };
  const auto email = mail::EmailAddress::parse(handed.email);
  if (!email) co_return denied("This e-mail address cannot be used");
  auto account = co_await parts_.accounts.find_by_email(*email);

  // The pushed request may be for one account and no other.
  const auto named = AtIdentifier::parse(open.request.login_hint.value_or(""));
  if (named) {
    const auto wanted = co_await parts_.accounts.find(*named);
    if (!account || !wanted || account->did != wanted->did)
      co_return denied("The account that signed in is not the one that was asked for");
  }
  if (!account) {
    // Nobody was told that an account will be made: a recovery, or an account that went meanwhile.
    if (!handed.new_account) co_return denied("This account is gone");
    co_return co_await make_account(*email, std::move(request));
  }
  if (!account->email_confirmed_at) {
    // Anybody can make an account by password with somebody else's address and wait. So an address leads to
    // an account only once it was confirmed, unless the request names that account.
    if (!named)
      co_return denied("This address was never confirmed for its account. Sign in with the account's handle");
    const Time now = parts_.clock.now();
    co_await parts_.db.write(
        [&](store::Tx& tx) { pds::accounts::confirm_email(tx, account->id, email->str(), now); });
  }
  co_return *std::move(account);
}

Task<Result<pds::Account, SplitHosts::Refusal>> SplitHosts::make_account(mail::EmailAddress email,
                                                                         web::Request request) {
  if (auto may = pds::may_sign_up(parts_.sign_up, email, std::nullopt); !may)
    co_return fail(Refusal{oauth::Error::access_denied, may.error().message});
  auto made =
      co_await parts_.accounts.create_account({.email = email, .email_proof = pds::EmailProof::proven});
  if (made) {
    const std::string did = made->did.str();
    const Actor actor = Actor::of(request);
    const Time now = parts_.clock.now();
    co_await parts_.db.write(
        [&](store::Tx& tx) { audit::note(tx, did, Event::account_created, "", actor, now); });
    co_return *std::move(made);
  }
  // Taken: the person signs in for the first time in two places. The other request is about to have the
  // account.
  if (made.error().code == xrpc::Error::InvalidRequest)
    for (int i = 0; i < k_twin_looks; ++i) {
      if (i > 0) co_await sleep_for(k_twin_pause);
      if (auto twin = co_await parts_.accounts.find_by_email(email)) co_return *std::move(twin);
    }
  log::error("account creation failed",
             {{"request_id", request.id}, {"error", made.error().message}, {"detail", made.error().detail}});
  co_return fail(Refusal{oauth::Error::server_error, "The account could not be created. Try again."});
}

Task<void> SplitHosts::note(pds::Account account, oauth::OpenRequest open, web::Request request) {
  const std::string did = account.did.str();
  // By what, only the other host knows.
  const std::string by = Url::parse(parts_.pages.origin()).value().host;
  const std::string app =
      *Pages::app_view(parts_.pages.reader(request), *open.client).find("app_name")->string();
  const Actor actor = Actor::of(request);
  const Time now = parts_.clock.now();
  co_await parts_.db.write([&](store::Tx& tx) {
    audit::note(tx, did, Event::signed_in, by, actor, now);
    audit::note(tx, did, Event::app_allowed, app, actor, now);
  });
}

}  // namespace latchkey::signin
