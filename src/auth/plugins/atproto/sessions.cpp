// What a stored session is good for: to say whether it still is, to end, and to make calls.
#include "auth/plugins/atproto/profile.h"
#include "auth/plugins/atproto/service.h"

namespace latchkey::auth {
namespace {

using oauth::client::CallOptions;
using ClientError = oauth::client::Error;
using ClientFault = oauth::client::Fault;

constexpr std::chrono::milliseconds k_call_timeout{15'000};
constexpr std::chrono::milliseconds k_own_timeout{5'000};
constexpr std::size_t k_max_own_answer = 16 * 1024;

std::string column(const User& user, std::string_view name) {
  const auto* value = user.fields.find(name);
  const auto* text = value ? value->string() : nullptr;
  return text ? *text : std::string();
}

auto no_session() {
  return fail(
      ClientFault{ClientError::session_ended, "The session has ended. Sign in again.", "no row", {}, {}});
}

bool ended(const ClientFault& f) { return f.code == ClientError::session_ended; }

/// RFC 6750 §3.1. The client has tried what it can by now.
bool token_refused(const FetchResponse& answer) {
  return answer.status == 401 &&
         answer.header("www-authenticate").find("error=\"invalid_token\"") != std::string::npos;
}

void add_text(json::Object& out, const char* name, const std::string& text) {
  if (!text.empty()) out.set(name, text);
}

}  // namespace

Task<AtprotoService::SessionResult> AtprotoService::session_of(std::string user_id,
                                                               std::optional<std::string> did) {
  const auto row = co_await on_->auth.db().read([&](store::Tx& tx) -> std::optional<bsky::Sessions::Found> {
    std::string which = did.value_or("");
    if (!did)
      if (const auto user = on_->auth.users().find(tx, user_id)) which = column(*user, "bskyDid");
    return on_->sessions.find(tx, user_id, which);
  });
  if (!row) co_return no_session();
  if (auto known = on_->opened.get(row->id, row->text)) co_return *std::move(known);
  CO_TRY(auto session, co_await on_->client.restore(row->id));
  on_->opened.put(row->id, row->text, session);
  co_return session;
}

Task<AtprotoService::SessionResult> AtprotoService::session_of(Context& c) {
  return session_of(c.signed_in().user.id, column(c.signed_in().user, "bskyDid"));
}

Task<std::vector<Did>> AtprotoService::accounts_of(std::string user_id) {
  const auto dids =
      co_await on_->auth.db().read([&](store::Tx& tx) { return on_->sessions.dids_of(tx, user_id); });
  std::vector<Did> out;
  for (const auto& text : dids)
    if (auto did = Did::parse(text)) out.push_back(*std::move(did));
  co_return out;
}

Task<Answer> AtprotoService::session(Context& c) {
  auto session = co_await session_of(c);
  if (!session) co_return refuse(AtprotoError::SESSION_NOT_FOUND);
  const User& user = c.signed_in().user;
  std::optional<AtprotoProfile> profile;
  if (options_.profile_sync == AtprotoOptions::ProfileSync::off) {
    if (!co_await usable(*session)) co_return refuse(AtprotoError::SESSION_NOT_FOUND);
  } else {
    auto read = co_await bsky::read_profile(*session);
    const bool over = read ? read->from == bsky::ReadProfile::From::record && !co_await accepted(*session)
                           : ended(read.error());
    if (over) co_return refuse(AtprotoError::SESSION_NOT_FOUND);
    if (read) profile = std::move(read->profile);
  }
  // The handle is the directory's word and its domain's, never the profile's.
  const auto identity = co_await options_.resolver.identify(session->did());
  std::string handle =
      identity ? (identity->handle ? identity->handle->str() : "") : column(user, "bskyHandle");
  if (handle.empty()) handle = "handle.invalid";
  json::Object out{
      {"active", true},           {"did", session->did().str()},        {"handle", handle},
      {"pdsUrl", session->pds()}, {"atprotoDid", session->did().str()}, {"atprotoHandle", handle}};
  add_text(out, "displayName", profile ? profile->display_name : user.name);
  add_text(out, "description", profile ? profile->description : column(user, "bskyBio"));
  add_text(out, "avatar", profile ? profile->avatar : user.image.value_or(""));
  add_text(out, "banner", profile ? profile->banner : column(user, "bskyBanner"));
  co_return json_answer(std::move(out));
}

/// lexicon com.atproto.server.getSession. Nothing but the server's own no counts.
Task<bool> AtprotoService::accepted(oauth::client::Session session) {
  const auto answer = co_await session.call("GET", "com.atproto.server.getSession",
                                            {.max_answer = k_max_own_answer, .timeout = k_own_timeout});
  co_return answer ? !token_refused(*answer) : !ended(answer.error());
}

/// Refreshed when it has to be. A server that does not answer ends no session.
Task<bool> AtprotoService::usable(oauth::client::Session session) {
  const auto until = session.expires_at();
  if (!until || on_->auth.clock().now() < *until) co_return true;
  const auto refreshed = co_await session.refresh();
  co_return refreshed || !ended(refreshed.error());
}

Task<Answer> AtprotoService::restore(Context& c) {
  auto session = co_await session_of(c);
  if (!session || !co_await usable(*session)) co_return json_answer(json::Object{{"active", false}});
  json::Object out{{"active", true}, {"did", session->did().str()}};
  add_text(out, "handle", column(c.signed_in().user, "bskyHandle"));
  co_return json_answer(std::move(out));
}

Task<Answer> AtprotoService::sign_out(Context& c) {
  const std::string did = column(c.signed_in().user, "bskyDid");
  if (auto session = co_await session_of(c)) {
    co_await session->sign_out();
  } else {  // a row of another program, perhaps
    co_await c.auth.db().write(
        [&](store::Tx& tx) { return on_->sessions.put_aside(tx, c.signed_in().user.id, did, c.now); });
  }
  co_return json_answer(json::Object{{"success", true}});
}

// ---- calls on behalf of the user

Task<Result<FetchResponse, ClientFault>> AtprotoService::call_as(std::string user_id, std::string did,
                                                                 std::string method, std::string nsid,
                                                                 CallOptions options) {
  CO_TRY(auto session, co_await session_of(user_id, did));
  auto answer = co_await session.call(method, nsid, options);
  if (answer || !ended(answer.error())) co_return answer;
  // Signed in again meanwhile, on another device: the account has another session now.
  CO_TRY(auto newer, co_await session_of(user_id, did));
  if (newer.id() == session.id()) co_return answer;
  co_return co_await newer.call(std::move(method), std::move(nsid), std::move(options));
}

Task<Answer> AtprotoService::call(Context& c) {
  const web::Request& request = c.request;
  // What comes with a cookie comes from the app's pages. POSTs have shown their Origin by now.
  if (request.headers.has("cookie") && request.headers.get("sec-fetch-site") == "cross-site" &&
      !c.auth.origins().trusts(request.headers.get("origin")))
    co_return refuse(AtprotoError::CROSS_SITE_CALL_BLOCKED);
  const std::string& nsid = c.params.find("nsid")->second;
  if (request.headers.count("atproto-proxy") > 1 ||
      !calls_.allows(nsid, request.headers.get("atproto-proxy")))
    co_return refuse(AtprotoError::CALL_NOT_ALLOWED);
  CallOptions options{.params = *request.query_fields(),
                      .headers = bsky::call_headers(request),
                      .max_answer = options_.max_call_answer,
                      .timeout = k_call_timeout};
  if (request.method == "POST") {
    if (request.body.size() > options_.max_call_body)
      co_return fail(Fault(413, "PAYLOAD_TOO_LARGE", "Request body is too large"));
    if (bsky::is_form_type(request.content_type()) || request.headers.has("content-encoding") ||
        (!request.body.empty() && request.content_type().empty()))
      co_return fail(
          Fault(415, "UNSUPPORTED_MEDIA_TYPE", "A call has a body of a type of its own, uncompressed"));
    options.body = request.body;
    options.content_type = request.headers.get("content-type");
  }
  auto answer = co_await call_as(c.signed_in().user.id, column(c.signed_in().user, "bskyDid"), request.method,
                                 nsid, std::move(options));
  if (!answer && ended(answer.error())) co_return refuse(AtprotoError::BSKY_SESSION_ENDED);
  const bool passes = answer && (answer->status / 100 == 2 || answer->status >= 400) && answer->status < 600;
  if (!passes) {
    Fault fault(wire(AtprotoError::PDS_UNREACHABLE));
    fault.detail = answer ? "status " + std::to_string(answer->status) : answer.error().detail;
    co_return fail(std::move(fault));
  }
  if (token_refused(*answer)) co_return refuse(AtprotoError::BSKY_SESSION_ENDED);
  co_return bsky::call_answer(*std::move(answer), c.auth.origin().starts_with("https://"));
}

}  // namespace latchkey::auth
