#include "auth/plugins/email_otp/plugin.h"

#include <charconv>
#include <memory>
#include <stdexcept>

#include "auth/core/auth.h"
#include "auth/core/symmetric.h"
#include "auth/plugins/email_otp/errors.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

constexpr const char *k_sign_in = "sign-in", *k_email_verification = "email-verification",
                     *k_forget_password = "forget-password", *k_change_email = "change-email";
constexpr const char* k_change_email_is_off = "Change email with OTP is disabled";

enum class Consume { yes, no };
enum class Verdict { right, invalid, expired, too_many };

struct Stored {
  std::string code;  // or what rests of it
  int attempts = 0;

  static std::optional<Stored> parse(std::string_view value) {
    const auto colon = value.rfind(':');
    if (colon == value.npos) return std::nullopt;
    Stored out{std::string(value.substr(0, colon)), 0};
    const auto count = value.substr(colon + 1);
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), out.attempts);
    if (error != std::errc() || end != count.data() + count.size()) return std::nullopt;
    return out;
  }
  std::string str() const { return code + ":" + std::to_string(attempts); }
};

std::unexpected<Fault> refusal(Verdict verdict) {
  switch (verdict) {
    case Verdict::expired:
      return refuse(OtpError::OTP_EXPIRED);
    case Verdict::too_many:
      return refuse(OtpError::TOO_MANY_ATTEMPTS);
    default:
      return refuse(OtpError::INVALID_OTP);
  }
}

web::Response success() { return json_answer(json::Object{{"success", true}}); }

class EmailOtpPlugin {
 public:
  explicit EmailOtpPlugin(EmailOtpOptions options) : options_(std::move(options)) {}

  Task<Answer> send(Context& c);
  Task<Answer> sign_in(Context& c);
  Task<Answer> check(Context& c);
  Task<Answer> verify_email(Context& c);
  Task<Answer> request_password_reset(Context& c);
  Task<Answer> reset_password(Context& c);
  Task<Answer> request_email_change(Context& c);
  Task<Answer> change_email(Context& c);
  Task<void> signed_up(Context& c, web::Response& response);

 private:
  /// What a code is for. `email` is whom limits count.
  struct Subject {
    std::string type, email;
    std::string about = email;  // "<user id>:<address>" for a change of address
    std::string identifier() const { return type + "-otp-" + about; }
  };
  /// Who is mailed to; others get the same answer.
  enum class Audience { anybody, users, unverified_users, nobodys_address };

  std::string fresh_code(Rng& rng) const;
  std::string resting(Context& c, std::string_view identifier, const std::string& code) const;
  bool is_code(Context& c, std::string_view identifier, const Stored& stored, std::string_view typed) const;
  /// The code that rests, when it is to be sent again.
  std::optional<std::string> reusable(Context& c, const Stored& stored) const;
  Task<void> issue(Context& c, Subject subject, Audience audience);
  /// Counts the try. Consuming, a right code is good no more; a wrong one is put back with one try less.
  Verdict judge(store::Tx& tx, Context& c, const Subject& subject, std::string_view typed,
                Consume consume) const;
  /// judge() in a transaction of its own: a fault would take the counted try back.
  Task<Verdict> spend(Context& c, Subject subject);

  EmailOtpOptions options_;
};

// --- Codes

std::string EmailOtpPlugin::fresh_code(Rng& rng) const {
  std::string out;
  for (std::size_t i = 0; i < options_.otp_length; ++i) out += static_cast<char>('0' + rng.below(10));
  return out;
}

std::string hash_of(std::string_view code) { return base64url(crypto::sha256(as_bytes(code))); }

/// Under the secret, or one before it.
std::optional<std::string> decrypted(const Auth& auth, std::string_view sealed) {
  auto plain = decrypt_symmetric(auth.secret(), sealed);
  for (const auto& old : auth.options().old_secrets)
    if (!plain) plain = decrypt_symmetric(old.reveal(), sealed);
  return plain;
}

std::string EmailOtpPlugin::resting(Context& c, std::string_view identifier, const std::string& code) const {
  if (options_.strict) return options_.strict->keyed(identifier, code);
  switch (options_.store) {
    case EmailOtpOptions::Store::plain:
      return code;
    case EmailOtpOptions::Store::hashed:
      return hash_of(code);
    case EmailOtpOptions::Store::encrypted:
      return encrypt_symmetric(c.auth.secret(), code, c.auth.rng());
  }
  std::abort();
}

bool EmailOtpPlugin::is_code(Context& c, std::string_view identifier, const Stored& stored,
                             std::string_view typed) const {
  if (options_.strict) {
    const auto digits = digits_of(typed, options_.otp_length);
    return digits && crypto::equal(stored.code, options_.strict->keyed(identifier, *digits));
  }
  switch (options_.store) {
    case EmailOtpOptions::Store::plain:
      return crypto::equal(stored.code, typed);
    case EmailOtpOptions::Store::hashed:
      return crypto::equal(stored.code, hash_of(typed));
    case EmailOtpOptions::Store::encrypted: {
      const auto plain = decrypted(c.auth, stored.code);
      return plain && crypto::equal(*plain, typed);
    }
  }
  std::abort();
}

std::optional<std::string> EmailOtpPlugin::reusable(Context& c, const Stored& stored) const {
  if (options_.resend != EmailOtpOptions::Resend::reuse || options_.strict) return std::nullopt;
  if (stored.attempts >= options_.allowed_attempts) return std::nullopt;
  if (options_.store == EmailOtpOptions::Store::plain) return stored.code;
  if (options_.store == EmailOtpOptions::Store::encrypted) return decrypted(c.auth, stored.code);
  return std::nullopt;
}

Task<void> EmailOtpPlugin::issue(Context& c, Subject subject, Audience audience) {
  const std::string id = subject.identifier(), fresh = fresh_code(c.auth.rng());
  const Stored to_store{resting(c, id, fresh)};
  struct Issued {
    std::string code;
    Stored stored;
    bool sent = true;       // a limit may say no
    bool withheld = false;  // by the audience
  };
  const Issued issued = co_await c.auth.db().write([&](store::Tx& tx) {
    const auto& rows = c.auth.verifications();
    Issued out{fresh, to_store};
    if (options_.strict) out.sent = options_.strict->take_send(tx, subject.email, c.client_address(), c.now);
    const auto row = rows.find(tx, id, c.now);
    if (const auto before = row ? Stored::parse(row->value) : std::nullopt)
      if (auto again = reusable(c, *before)) out = {std::move(*again), *before, out.sent};
    const auto user = c.auth.users().find_by_email(tx, subject.email);
    if (audience == Audience::users) out.withheld = !user;
    if (audience == Audience::unverified_users) out.withheld = !user || user->email_verified;
    if (audience == Audience::nobodys_address) out.withheld = user.has_value();
    // Written whether or not anything is sent, so that both take as long; a code nobody was told opens
    // nothing, and one that was told before stays good when a limit refuses the next.
    const bool kept = out.sent && !out.withheld;
    const std::string where = kept ? id : "nobody-" + id;
    rows.remove(tx, where);
    rows.put(tx, where, out.stored.str(), c.now + options_.expires_in, c.now);
    if (!kept) rows.remove(tx, where);
    return out;
  });
  if (!issued.sent || (issued.withheld && options_.feign == EmailOtpOptions::Feign::off)) co_return;
  co_await c.auth.mail(options_.send({.email = std::move(subject.email),
                                      .otp = issued.code,
                                      .type = std::move(subject.type),
                                      .accept_language = c.accept_language(),
                                      .withheld = issued.withheld}));
}

Verdict EmailOtpPlugin::judge(store::Tx& tx, Context& c, const Subject& subject, std::string_view typed,
                              Consume consume) const {
  const auto& rows = c.auth.verifications();
  const std::string id = subject.identifier();
  const auto row = rows.newest(tx, id);
  auto stored = row ? Stored::parse(row->value) : std::nullopt;
  const bool good_until_now = stored && row->expires_at > c.now;
  const bool has_tries = stored && stored->attempts < options_.allowed_attempts;
  bool matches = good_until_now && has_tries && is_code(c, id, *stored, typed);
  if (options_.strict)
    matches = options_.strict->take_try(tx, subject.email, c.client_address(), matches, c.now) ==
              EmailOtp::Tried::right;
  if (matches) {
    if (consume == Consume::yes) rows.remove(tx, id);
    return Verdict::right;
  }
  if (stored) rows.remove(tx, id);
  if (good_until_now && has_tries) {
    ++stored->attempts;
    rows.put(tx, id, stored->str(), row->expires_at, c.now);
    return Verdict::invalid;
  }
  if (options_.strict) {  // as much to write as above
    const std::string nobody = "nobody-" + id;
    rows.put(tx, nobody, Stored{options_.strict->keyed(id, "")}.str(), c.now, c.now);
    rows.remove(tx, nobody);
    return Verdict::invalid;
  }
  if (!stored) return Verdict::invalid;
  return good_until_now ? Verdict::too_many : Verdict::expired;
}

Task<Verdict> EmailOtpPlugin::spend(Context& c, Subject subject) {
  co_return co_await c.auth.db().write(
      [&](store::Tx& tx) { return judge(tx, c, subject, c.text("otp"), Consume::yes); });
}

// --- Routes

Task<Answer> EmailOtpPlugin::send(Context& c) {
  const std::string email = lower_case(c.text("email")), type = c.text("type");
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  if (type == k_change_email) co_return refuse(400, "Invalid OTP type");  // has a route of its own
  const bool anybody = type == k_sign_in && !options_.disable_sign_up;
  co_await issue(c, {type, email}, anybody ? Audience::anybody : Audience::users);
  co_return success();
}

Task<Answer> EmailOtpPlugin::sign_in(Context& c) {
  const std::string email = lower_case(c.text("email"));
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  CO_TRY(auto fields, writable_fields(c.auth.users().fields(), c.body, Writing::create));
  const NewUser fresh{.email = email,
                      .name = c.text("name"),
                      .email_verified = true,
                      .image = c.opt_text("image"),
                      .fields = std::move(fields)};
  const Verdict verdict = co_await spend(c, {k_sign_in, email});
  if (verdict != Verdict::right) co_return refusal(verdict);
  CO_TRY(User user, co_await c.auth.db().write([&](store::Tx& tx) -> Result<User, Fault> {
    if (auto known = c.auth.users().find_by_email(tx, email))
      return c.auth.prove_mailbox(tx, *std::move(known), c.now);
    if (options_.disable_sign_up) return refuse(OtpError::INVALID_OTP);
    return c.auth.users().create(tx, fresh, c.now);
  }));
  CO_TRY(const SessionAndUser in, co_await c.start_session(std::move(user), Remember::yes));
  co_return json_answer(json::Object{{"token", in.session.token}, {"user", c.auth.users().to_json(in.user)}});
}

Task<Answer> EmailOtpPlugin::check(Context& c) {
  const std::string email = lower_case(c.text("email"));
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  struct Outcome {
    Verdict verdict;
    bool known;
  };
  const Outcome out = co_await c.auth.db().write([&](store::Tx& tx) {
    return Outcome{judge(tx, c, {c.text("type"), email}, c.text("otp"), Consume::no),
                   c.auth.users().find_by_email(tx, email).has_value()};
  });
  if (out.verdict != Verdict::right) co_return refusal(out.verdict);
  if (!out.known) co_return refuse(Error::USER_NOT_FOUND);  // told to whoever reads the mailbox
  co_return success();
}

// As a link of verification does, this leaves passwords and sessions alone: the user was made by whoever asks
// for the proof.
Task<Answer> EmailOtpPlugin::verify_email(Context& c) {
  const std::string email = lower_case(c.text("email"));
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  const Verdict verdict = co_await spend(c, {k_email_verification, email});
  if (verdict != Verdict::right) co_return refusal(verdict);
  CO_TRY(User user, co_await c.auth.db().write([&](store::Tx& tx) -> Result<User, Fault> {
    const auto known = c.auth.users().find_by_email(tx, email);
    if (!known) return refuse(Error::USER_NOT_FOUND);
    return c.auth.users().update(tx, known->id, {.email_verified = true}, c.now);
  }));
  json::Value token;
  if (c.auth.options().email_verification.auto_sign_in_after_verification) {
    CO_TRY(const SessionAndUser in, co_await c.start_session(user, Remember::yes));
    token = in.session.token;
  }
  co_return json_answer(
      json::Object{{"status", true}, {"token", std::move(token)}, {"user", c.auth.users().to_json(user)}});
}

Task<Answer> EmailOtpPlugin::request_password_reset(Context& c) {
  if (!c.auth.options().email_and_password.enabled) co_return refuse(Error::EMAIL_PASSWORD_DISABLED);
  const std::string email = lower_case(c.text("email"));
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  co_await issue(c, {k_forget_password, email}, Audience::users);
  co_return success();
}

Task<Answer> EmailOtpPlugin::reset_password(Context& c) {
  const auto& passwords = c.auth.options().email_and_password;
  if (!passwords.enabled) co_return refuse(Error::EMAIL_PASSWORD_DISABLED);
  const std::string email = lower_case(c.text("email")), password = c.text("password");
  if (!is_email(email)) co_return refuse(Error::INVALID_EMAIL);
  CO_TRY_VOID(c.auth.check_password_length(password));  // before the code is spent
  const Verdict verdict = co_await spend(c, {k_forget_password, email});
  if (verdict != Verdict::right) co_return refusal(verdict);
  const std::string hash = co_await c.auth.hash_password(password);  // guesses cost no hash
  CO_TRY_VOID(co_await c.auth.db().write([&](store::Tx& tx) -> Result<void, Fault> {
    const auto known = c.auth.users().find_by_email(tx, email);
    if (!known) return refuse(Error::USER_NOT_FOUND);
    TRY(const User user, c.auth.prove_mailbox(tx, *known, c.now));
    if (auto account = c.auth.accounts().credential(tx, user.id)) {
      account->password = hash;
      TRY_VOID(c.auth.accounts().update(tx, *std::move(account), c.now));
    } else {
      TRY_VOID(c.auth.accounts().link(
          tx, {.account_id = user.id, .provider_id = k_credential, .user_id = user.id, .password = hash},
          c.now));
    }
    if (passwords.revoke_sessions_on_password_reset) TRY_VOID(c.auth.sessions().remove_all(tx, user.id));
    return {};
  }));
  co_return success();
}

Task<Answer> EmailOtpPlugin::request_email_change(Context& c) {
  if (!options_.change_email.enabled) co_return refuse(400, k_change_email_is_off);
  const User& user = c.signed_in().user;
  const std::string fresh = lower_case(c.text("newEmail"));
  if (!is_email(fresh)) co_return refuse(Error::INVALID_EMAIL);
  if (fresh == user.email) co_return refuse(400, "Email is the same");
  if (options_.change_email.verify_current) {
    if (c.text("otp").empty()) co_return refuse(400, "OTP is required to verify current email");
    const Verdict verdict = co_await spend(c, {k_email_verification, user.email});
    if (verdict != Verdict::right) co_return refusal(verdict);
  }
  co_await issue(c, {k_change_email, fresh, user.id + ":" + fresh}, Audience::nobodys_address);
  co_return success();
}

Task<Answer> EmailOtpPlugin::change_email(Context& c) {
  if (!options_.change_email.enabled) co_return refuse(400, k_change_email_is_off);
  const User& user = c.signed_in().user;
  const std::string fresh = lower_case(c.text("newEmail"));
  if (!is_email(fresh)) co_return refuse(Error::INVALID_EMAIL);
  if (fresh == user.email) co_return refuse(400, "Email is the same");
  const Verdict verdict = co_await spend(c, {k_change_email, fresh, user.id + ":" + fresh});
  if (verdict != Verdict::right) co_return refusal(verdict);
  CO_TRY(User changed, co_await c.auth.db().write([&](store::Tx& tx) -> Result<User, Fault> {
    if (c.auth.users().find_by_email(tx, fresh)) return refuse(400, "Email already in use");
    return c.auth.users().update(tx, user.id, {.email = fresh, .email_verified = true}, c.now);
  }));
  c.update_session_user(std::move(changed));
  co_return success();
}

Task<void> EmailOtpPlugin::signed_up(Context& c, web::Response& response) {
  const std::string email = lower_case(c.text("email"));
  if (response.status == 200) co_await issue(c, {k_email_verification, email}, Audience::unverified_users);
}

}  // namespace

Plugin email_otp(EmailOtpOptions options) {
  if (options.otp_length < 4 || options.otp_length > 12)
    throw std::invalid_argument("email_otp: otp_length must be 4 to 12");
  if (options.allowed_attempts < 1)
    throw std::invalid_argument("email_otp: allowed_attempts must be 1 or more");
  if (!options.send) throw std::invalid_argument("email_otp: send is missing");
  const bool on_sign_up = options.send_verification_on_sign_up;
  auto it = std::make_shared<EmailOtpPlugin>(std::move(options));
  const auto on = [it](Task<Answer> (EmailOtpPlugin::*route)(Context&)) {
    return [it, route](Context& c) { return (it.get()->*route)(c); };
  };
  using This = EmailOtpPlugin;
  const Member type = one_of("type", {k_email_verification, k_sign_in, k_forget_password, k_change_email});
  const Shape only_email{{text("email")}};
  const Shape code{{text("email"), text("otp")}};
  constexpr RateLimitRule k_limit{60s, 3};
  Plugin plugin{
      .id = "email-otp",
      .endpoints =
          {post("/email-otp/send-verification-otp", on(&This::send),
                {.body = Shape{{text("email"), type}}, .form_guard = FormGuard::on}),
           post("/sign-in/email-otp", on(&This::sign_in),
                {.body = Shape{{text("email"), text("otp"), optional_text("name"), optional_text("image")}}}),
           post("/email-otp/check-verification-otp", on(&This::check),
                {.body = Shape{{text("email"), type, text("otp")}}}),
           post("/email-otp/verify-email", on(&This::verify_email), {.body = code}),
           post("/email-otp/request-password-reset", on(&This::request_password_reset), {.body = only_email}),
           post("/forget-password/email-otp", on(&This::request_password_reset), {.body = only_email}),
           post("/email-otp/reset-password", on(&This::reset_password),
                {.body = Shape{{text("email"), text("otp"), text("password")}}}),
           post("/email-otp/request-email-change", on(&This::request_email_change),
                {.body = Shape{{text("newEmail"), optional_text("otp")}}, .needs = Needs::session}),
           post("/email-otp/change-email", on(&This::change_email),
                {.body = Shape{{text("newEmail"), text("otp")}}, .needs = Needs::session})},
      .rate_limits = {{"/email-otp/*", k_limit},
                      {"/sign-in/email-otp", k_limit},
                      {"/forget-password/email-otp", k_limit}},
      .errors = {wire(OtpError::INVALID_OTP), wire(OtpError::OTP_EXPIRED),
                 wire(OtpError::TOO_MANY_ATTEMPTS)}};
  if (on_sign_up)
    plugin.after.push_back({.matches = [](const Context& c) { return c.path == "/sign-up/email"; },
                            .run = [it](Context& c, web::Response& r) { return it->signed_up(c, r); }});
  return plugin;
}

}  // namespace latchkey::auth
