#include "auth/plugins/passkey/passkey.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "auth/core/auth.h"
#include "auth/plugins/passkey/errors.h"
#include "auth/plugins/passkey/names.h"
#include "base/encoding.h"
#include "base/url.h"

namespace latchkey::auth {
namespace {

// The name @better-auth/passkey gives it.
constexpr std::string_view k_cookie = "better-auth-passkey";

enum class Ceremony { registration, authentication };
std::string_view word(Ceremony c) { return c == Ceremony::registration ? "registration" : "authentication"; }

std::string host_of(std::string_view origin) {
  const auto url = Url::parse(origin);
  return url ? url->host : "";
}

/// §5.1.3: the RP ID is the origin's host or a registrable suffix of it. Which suffixes are
/// registrable browsers know.
void check_origin(std::string_view origin, std::string_view rp_id) {
  const std::string host = host_of(origin);
  const bool secure =
      origin.starts_with("https://") ||
      (origin.starts_with("http://") && (host == "localhost" || host.ends_with(".localhost")));
  if (!secure || (host != rp_id && !host.ends_with(fmt::format(".{}", rp_id))))
    throw std::invalid_argument(fmt::format("passkeys of {} cannot be used at {}", rp_id, origin));
}

/// What a ceremony began with.
struct Challenge {
  Bytes challenge;
  std::string user_id;  // "" when nobody was signed in
};

std::vector<webauthn::Descriptor> descriptors(const std::vector<Passkey>& all) {
  std::vector<webauthn::Descriptor> out;
  for (const Passkey& p : all) {
    webauthn::Descriptor d{p.credential_id, {}};
    for (std::size_t from = 0; from < p.transports.size();) {
      const auto to = std::min(p.transports.find(',', from), p.transports.size());
      d.transports.push_back(p.transports.substr(from, to - from));
      from = to + 1;
    }
    out.push_back(std::move(d));
  }
  return out;
}

std::unexpected<Fault> refuse_check(PasskeyError error, int status, webauthn::Check check) {
  Fault fault(wire(error));
  fault.status = status;
  fault.detail = webauthn::name(check);
  return std::unexpected(std::move(fault));
}
std::unexpected<Fault> bad_name() {
  return std::unexpected(
      Fault(400, "VALIDATION_ERROR",
            fmt::format("[body.name] Invalid input: expected 1 to {} characters", k_max_passkey_name)));
}

class Service {
 public:
  explicit Service(PasskeyOptions options) : options_(std::move(options)) {
    for (const auto& origin : options_.origins) check_origin(origin, options_.rp_id);
  }

  Task<Answer> registration_options(Context& c);
  Task<Answer> verify_registration(Context& c);
  Task<Answer> authentication_options(Context& c);
  Task<Answer> verify_authentication(Context& c);
  Task<Answer> list(Context& c);
  Task<Answer> remove(Context& c);
  Task<Answer> rename(Context& c);

 private:
  webauthn::RelyingParty relying_party(const Auth& auth) const;
  Task<std::string> begin(Context& c, Ceremony ceremony, json::Object user_data);
  std::string first_name(Context& c, const webauthn::Registration& made) const;

  PasskeyOptions options_;
};

webauthn::RelyingParty Service::relying_party(const Auth& auth) const {
  webauthn::RelyingParty rp{
      .id = options_.rp_id, .origins = options_.origins, .user_verification = options_.user_verification};
  if (rp.id.empty()) rp.id = host_of(auth.origin());
  if (rp.origins.empty()) rp.origins = {auth.origin()};
  return rp;
}

/// A row names purpose and user; the signed cookie, this browser. Returns the challenge.
Task<std::string> Service::begin(Context& c, Ceremony ceremony, json::Object user_data) {
  const std::string challenge = c.auth.rng().token(32);
  const std::string token = random_id(c.auth.rng());
  const std::string value = json::Value(json::Object{{"type", word(ceremony)},
                                                     {"expectedChallenge", challenge},
                                                     {"userData", std::move(user_data)},
                                                     {"context", nullptr}})
                                .dump();
  co_await c.auth.db().write([&](store::Tx& tx) {
    c.auth.verifications().put(tx, token, value, c.now + k_challenge_lifetime, c.now);
  });
  c.set_cookie(c.auth.cookies().signed_cookie(k_cookie, token, k_challenge_lifetime));
  co_return challenge;
}

/// Once, for this purpose, in time.
std::optional<Challenge> take(store::Tx& tx, const Context& c, std::string_view token, Ceremony ceremony) {
  const auto row = c.auth.verifications().take(tx, token, c.now);
  if (!row) return std::nullopt;
  const auto value = json::parse(row->value);
  if (!value) return std::nullopt;
  const auto *type = value->string_at("type"), *challenge = value->string_at("expectedChallenge");
  const auto* user = value->find("userData");
  const auto* user_id = user ? user->string_at("id") : nullptr;
  if (!type || *type != word(ceremony) || !challenge || !user_id) return std::nullopt;
  auto bytes = from_base64url(*challenge);
  if (!bytes) return std::nullopt;
  return Challenge{std::move(*bytes), *user_id};
}

Task<Answer> Service::registration_options(Context& c) {
  const User user = c.signed_in().user;
  const auto existing = co_await c.auth.db().read([&](store::Tx& tx) { return passkeys::list(tx, user.id); });
  const std::string label = user.email.empty() ? user.id : user.email;
  const auto rp = relying_party(c.auth);
  webauthn::CreationOptions options{.rp_id = rp.id,
                                    .rp_name = options_.rp_name.empty() ? rp.id : options_.rp_name,
                                    .user_id = base64url(as_bytes(user.id)),
                                    .user_name = c.query_text("name").value_or(label),
                                    .user_display_name = label,
                                    .exclude_credentials = descriptors(existing),
                                    .resident_key = options_.resident_key,
                                    .user_verification = options_.user_verification};
  if (const auto attachment = c.query_text("authenticatorAttachment"))
    options.attachment = *attachment == "platform" ? webauthn::AuthenticatorAttachment::platform
                                                   : webauthn::AuthenticatorAttachment::cross_platform;
  options.challenge = co_await begin(c, Ceremony::registration,
                                     json::Object{{"id", user.id}, {"name", label}, {"displayName", label}});
  co_return json_answer(webauthn::to_json(options));
}

std::string Service::first_name(Context& c, const webauthn::Registration& made) const {
  if (const auto maker = authenticator_name(webauthn::str(made.aaguid))) return std::string(*maker);
  return options_.agent_words ? options_.agent_words(c.user_agent()) : "Passkey";
}

Task<Answer> Service::verify_registration(Context& c) {
  const User user = c.signed_in().user;
  std::optional<std::string> name;
  if (const auto wish = c.opt_text("name"); wish && !wish->empty()) {
    name = parse_passkey_name(*wish);
    if (!name) co_return bad_name();
  }
  const auto token = c.auth.cookies().read_signed(c.request, k_cookie);
  if (!token) co_return refuse(PasskeyError::CHALLENGE_NOT_FOUND);
  const auto challenge =
      co_await c.auth.db().write([&](store::Tx& tx) { return take(tx, c, *token, Ceremony::registration); });
  if (!challenge) co_return refuse(PasskeyError::CHALLENGE_NOT_FOUND);
  if (challenge->user_id != user.id)
    co_return refuse(PasskeyError::YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY);

  const auto* sent = c.body.find("response");
  const auto response = sent ? webauthn::parse_registration_response(*sent) : std::nullopt;
  if (!response) co_return refuse(PasskeyError::FAILED_TO_VERIFY_REGISTRATION);
  const auto made =
      webauthn::verify_registration(relying_party(c.auth), challenge->challenge, response->attestation);
  if (!made) co_return refuse_check(PasskeyError::FAILED_TO_VERIFY_REGISTRATION, 400, made.error());
  if (made->sign_count > passkeys::k_max_counter)
    co_return refuse_check(PasskeyError::FAILED_TO_VERIFY_REGISTRATION, 400, webauthn::Check::sign_count);

  Passkey fresh{.id = random_id(c.auth.rng()),
                .name = name,
                .public_key = base64(made->public_key),
                .user_id = user.id,
                .credential_id = base64url(made->credential_id),
                .counter = made->sign_count,
                .multi_device = made->backup_eligible,
                .backed_up = made->backed_up,
                .transports = fmt::format("{}", fmt::join(response->transports, ",")),
                .created_at = c.now,
                .aaguid = webauthn::str(made->aaguid),
                .last_used_at = {},
                .user_handle = base64url(as_bytes(user.id))};
  const std::string otherwise = first_name(c, *made);
  const bool with_session = c.flag("createSession", false);
  struct Kept {
    Passkey passkey;
    std::optional<Session> session;
  };
  CO_TRY(auto kept, co_await c.auth.db().write([&](store::Tx& tx) -> Result<Kept, Fault> {
    Kept out{fresh, {}};
    // §7.1 step 26: of anybody.
    if (passkeys::find_by_credential(tx, fresh.credential_id))
      return refuse(PasskeyError::PREVIOUSLY_REGISTERED);
    const auto others = passkeys::list(tx, user.id);
    if (others.size() >= options_.max_per_user) return refuse(PasskeyError::TOO_MANY_PASSKEYS);
    if (!out.passkey.name) {
      std::vector<std::string> taken;
      for (const Passkey& p : others) taken.push_back(p.name.value_or(""));
      out.passkey.name = free_name(otherwise, taken);
    }
    passkeys::add(tx, out.passkey);
    if (with_session) {
      TRY(out.session, c.auth.sessions().create(tx, c.new_session(user.id, Remember::yes), c.now));
    }
    return out;
  }));
  if (options_.changed) co_await options_.changed(user, kept.passkey, PasskeyChange::added);
  auto answer = passkeys::to_json(kept.passkey);
  if (kept.session) {
    c.set_session({*kept.session, user}, Remember::yes);
    answer.set("session", c.auth.sessions().to_json(*kept.session));
    answer.set("user", c.auth.users().to_json(user));
  }
  co_return json_answer(std::move(answer));
}

Task<Answer> Service::authentication_options(Context& c) {
  // A page that asks who is there offers every passkey of the site, whoever is signed in already.
  const bool anybody = c.query_text("discoverable") == "true";
  const auto* session = anybody ? nullptr : co_await c.session();
  const std::string user_id = session ? session->user.id : "";
  webauthn::RequestOptions options{.rp_id = relying_party(c.auth).id,
                                   .user_verification = options_.user_verification};
  if (!user_id.empty())
    options.allow_credentials =
        descriptors(co_await c.auth.db().read([&](store::Tx& tx) { return passkeys::list(tx, user_id); }));
  // Without passkeys of their own they are asked like a stranger, and are one to the answer.
  const std::string expected = options.allow_credentials.empty() ? "" : user_id;
  options.challenge = co_await begin(c, Ceremony::authentication, json::Object{{"id", expected}});
  co_return json_answer(webauthn::to_json(options));
}

Task<Answer> Service::verify_authentication(Context& c) {
  const auto token = c.auth.cookies().read_signed(c.request, k_cookie);
  if (!token) co_return refuse(PasskeyError::CHALLENGE_NOT_FOUND);
  const json::Value sent = *c.body.find("response");
  const auto* id = sent.string_at("id");
  struct Begun {
    std::optional<Challenge> challenge;
    std::optional<Passkey> passkey;
  };
  const auto begun = co_await c.auth.db().write([&](store::Tx& tx) {
    Begun out{take(tx, c, *token, Ceremony::authentication), {}};
    if (out.challenge && id) out.passkey = passkeys::find_by_credential(tx, *id);
    return out;
  });
  if (!begun.challenge) co_return refuse(PasskeyError::CHALLENGE_NOT_FOUND);
  if (!begun.passkey) co_return refuse(PasskeyError::PASSKEY_NOT_FOUND, 401);
  const Passkey& known = *begun.passkey;

  const auto response = webauthn::parse_authentication_response(sent);
  auto credential_id = from_base64url(known.credential_id);
  auto public_key = from_base64(known.public_key);
  if (!response || !credential_id || !public_key) co_return refuse(PasskeyError::AUTHENTICATION_FAILED);
  // §7.2 steps 5 and 6: a user who was asked for their own passkeys answers with one of them.
  const std::string& expected = begun.challenge->user_id;
  if (!expected.empty() && expected != known.user_id)
    co_return refuse_check(PasskeyError::AUTHENTICATION_FAILED, 400, webauthn::Check::credential_id);
  webauthn::CredentialRecord record{.credential_id = std::move(*credential_id),
                                    .public_key = std::move(*public_key),
                                    .sign_count = static_cast<std::uint32_t>(known.counter),
                                    .backup_eligible = known.multi_device,
                                    .user_handle = {}};
  if (known.user_handle) record.user_handle = from_base64url(*known.user_handle);
  const auto proven = webauthn::verify_assertion(
      relying_party(c.auth), begun.challenge->challenge, *response, record,
      expected.empty() ? webauthn::UserIdentified::by_the_credential : webauthn::UserIdentified::before);
  if (!proven)
    co_return refuse_check(PasskeyError::AUTHENTICATION_FAILED,
                           proven.error() == webauthn::Check::signature ? 401 : 400, proven.error());
  if (proven->sign_count > passkeys::k_max_counter)
    co_return refuse_check(PasskeyError::AUTHENTICATION_FAILED, 400, webauthn::Check::sign_count);

  CO_TRY(auto who, co_await c.auth.db().write([&](store::Tx& tx) -> Result<SessionAndUser, Fault> {
    // Two answers with one count, at the same time: the second is a copy's.
    if (!passkeys::use(tx, known, proven->sign_count, proven->backed_up, c.now))
      return refuse_check(PasskeyError::AUTHENTICATION_FAILED, 400, webauthn::Check::sign_count);
    auto user = c.auth.users().find(tx, known.user_id);
    if (!user) return refuse(PasskeyError::USER_NOT_FOUND);
    TRY(auto session, c.auth.sessions().create(tx, c.new_session(user->id, Remember::yes), c.now));
    return SessionAndUser{std::move(session), std::move(*user)};
  }));
  c.set_session(who, Remember::yes);
  co_return json_answer(json::Object{{"session", c.auth.sessions().to_json(who.session)},
                                     {"user", c.auth.users().to_json(who.user)}});
}

Task<Answer> Service::list(Context& c) {
  const std::string user_id = c.signed_in().user.id;
  const auto all = co_await c.auth.db().read([&](store::Tx& tx) { return passkeys::list(tx, user_id); });
  json::Array out;
  for (const Passkey& p : all) out.emplace_back(passkeys::to_json(p));
  co_return json_answer(std::move(out));
}

/// Somebody else's passkey is not found, as one that never was.
Result<Passkey, Fault> own(const std::vector<Passkey>& all, std::string_view id) {
  const auto at = std::ranges::find(all, id, &Passkey::id);
  if (at == all.end()) return refuse(PasskeyError::PASSKEY_NOT_FOUND);
  return *at;
}

Task<Answer> Service::remove(Context& c) {
  const User user = c.signed_in().user;
  const std::string id = c.text("id");
  CO_TRY(auto removed, co_await c.auth.db().write([&](store::Tx& tx) -> Result<Passkey, Fault> {
    const auto all = passkeys::list(tx, user.id);
    TRY(auto passkey, own(all, id));
    if (options_.before_remove) TRY_VOID(options_.before_remove(tx, passkey, all.size() - 1));
    passkeys::remove(tx, id);
    return passkey;
  }));
  if (options_.changed) co_await options_.changed(user, removed, PasskeyChange::removed);
  co_return json_answer(json::Object{{"status", true}});
}

Task<Answer> Service::rename(Context& c) {
  const std::string user_id = c.signed_in().user.id, id = c.text("id");
  const auto name = parse_passkey_name(c.text("name"));
  if (!name) co_return bad_name();
  CO_TRY(auto renamed, co_await c.auth.db().write([&](store::Tx& tx) -> Result<Passkey, Fault> {
    TRY(auto passkey, own(passkeys::list(tx, user_id), id));
    passkeys::rename(tx, id, *name);
    passkey.name = *name;
    return passkey;
  }));
  co_return json_answer(json::Object{{"passkey", passkeys::to_json(renamed)}});
}

EndpointHandler route(std::shared_ptr<Service> service, Task<Answer> (Service::*handler)(Context&)) {
  return [service = std::move(service), handler](Context& c) { return ((*service).*handler)(c); };
}

}  // namespace

Plugin passkey(PasskeyOptions options) {
  const auto service = std::make_shared<Service>(std::move(options));
  Member attachment = one_of("authenticatorAttachment", {"platform", "cross-platform"});
  attachment.presence = Member::Presence::optional;
  return {
      .id = "passkey",
      .endpoints =
          {get("/passkey/generate-register-options", route(service, &Service::registration_options),
               {.query = Shape{{attachment, optional_text("name"), optional_text("context")}},
                .needs = Needs::fresh_session}),
           post("/passkey/verify-registration", route(service, &Service::verify_registration),
                {.body =
                     Shape{{{"response", Type::any}, optional_text("name"), optional_flag("createSession")}},
                 .needs = Needs::fresh_session}),
           get("/passkey/generate-authenticate-options", route(service, &Service::authentication_options),
               {.query = Shape{{optional_text("discoverable")}}}),
           post("/passkey/verify-authentication", route(service, &Service::verify_authentication),
                {.body = Shape{{{"response", Type::object}}}}),
           get("/passkey/list-user-passkeys", route(service, &Service::list), {.needs = Needs::session}),
           post("/passkey/delete-passkey", route(service, &Service::remove),
                {.body = Shape{{text("id")}}, .needs = Needs::session}),
           post("/passkey/update-passkey", route(service, &Service::rename),
                {.body = Shape{{text("id"), text("name")}}, .needs = Needs::session})},
      .tables = {passkeys::table()},
      .errors = {wire(PasskeyError::CHALLENGE_NOT_FOUND),
                 wire(PasskeyError::YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY),
                 wire(PasskeyError::FAILED_TO_VERIFY_REGISTRATION), wire(PasskeyError::PREVIOUSLY_REGISTERED),
                 wire(PasskeyError::TOO_MANY_PASSKEYS), wire(PasskeyError::PASSKEY_NOT_FOUND),
                 wire(PasskeyError::AUTHENTICATION_FAILED)},
      .cookies = {std::string(k_cookie)},
  };
}

}  // namespace latchkey::auth
