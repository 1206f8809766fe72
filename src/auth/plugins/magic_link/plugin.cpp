#include <memory>
#include <stdexcept>

#include "auth/core/auth.h"
#include "auth/plugins/magic_link/magic_link.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;

constexpr std::string_view k_type = "magic-link";
constexpr std::size_t k_token_length = 32;

/// 32 letters: mail programs cut links at digits and signs less often.
std::string fresh_token(Rng& rng) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string out;
  while (out.size() < k_token_length) out += letters[rng.below(letters.size())];
  return out;
}

/// Whom a link was mailed to: the value of its row.
struct Link {
  std::string email;
  std::optional<std::string> name;

  std::string str() const {
    json::Object out{{"type", k_type}, {"email", email}};
    if (name) out.append("name", *name);
    return json::Value(std::move(out)).dump();
  }
  static std::optional<Link> parse(std::string_view text) {
    const auto value = json::parse(text);
    if (!value) return std::nullopt;
    const std::string *type = value->string_at("type"), *email = value->string_at("email"),
                      *name = value->string_at("name");
    if (!type || *type != k_type || !email) return std::nullopt;
    return Link{*email, name ? std::optional(*name) : std::nullopt};
  }
};

/// A target of the query, on our origin; "" counts as absent.
std::optional<std::string> target(const Context& c, std::string_view name) {
  const auto given = c.query_text(name).value_or("");
  return given.empty() ? std::nullopt : std::optional(c.auth.absolute(given));
}

class MagicLink {
 public:
  explicit MagicLink(MagicLinkOptions options) : options_(std::move(options)) {}

  // Known and unknown addresses are not told apart: nobody is looked up.
  Task<Answer> send(Context& c) {
    const Link link{lower_case(c.text("email")), c.opt_text("name")};
    const std::string token = fresh_token(c.auth.rng()), id = identifier(token);
    co_await c.auth.db().write([&](store::Tx& tx) {
      c.auth.verifications().put(tx, id, link.str(), c.now + options_.expires_in, c.now);
    });
    const auto callback = c.text("callbackURL");
    std::string url = with_query(c.auth.url("/magic-link/verify"), "token", token);
    url = with_query(url, "callbackURL", callback.empty() ? "/" : callback);
    for (const char* other : {"newUserCallbackURL", "errorCallbackURL"})
      if (const auto given = c.text(other); !given.empty()) url = with_query(url, other, given);
    User to;
    to.email = link.email;
    to.name = link.name.value_or("");
    co_await c.auth.mail(&options_.send, {std::move(to), std::move(url), token, c.accept_language()});
    co_return status_true();
  }

  Task<Answer> verify(Context& c) {
    const std::string id = identifier(*c.query_text("token"));
    const std::string callback = target(c, "callbackURL").value_or(c.auth.absolute("/"));
    const std::string on_error = target(c, "errorCallbackURL").value_or(callback);
    const auto row =
        co_await c.auth.db().write([&](store::Tx& tx) { return c.auth.verifications().take(tx, id, c.now); });
    const auto link = row ? Link::parse(row->value) : std::nullopt;
    if (!link) co_return redirect_answer(with_query(on_error, "error", "INVALID_TOKEN"));
    struct Found {
      User user;
      bool is_new = false;
    };
    auto found = co_await c.auth.db().write([&](store::Tx& tx) -> Result<Found, Fault> {
      if (auto known = c.auth.users().find_by_email(tx, link->email)) {
        TRY(User user, c.auth.prove_mailbox(tx, *std::move(known), c.now));
        return Found{std::move(user)};
      }
      if (options_.disable_sign_up) return fail(Fault(403, "new_user_signup_disabled", ""));
      TRY(User user,
          c.auth.users().create(
              tx, {.email = link->email, .name = link->name.value_or(""), .email_verified = true}, c.now));
      return Found{std::move(user), true};
    });
    if (!found) {
      const Fault& f = found.error();
      std::string to = with_query(on_error, "error", f.code.empty() ? "failed_to_create_user" : f.code);
      if (!f.message.empty()) to = with_query(to, "error_description", f.message);
      co_return redirect_answer(std::move(to));
    }
    CO_TRY(const SessionAndUser in, co_await c.start_session(std::move(found->user), Remember::yes));
    if (!target(c, "callbackURL"))
      co_return json_answer(json::Object{{"token", in.session.token},
                                         {"user", c.auth.users().to_json(in.user)},
                                         {"session", c.auth.sessions().to_json(in.session)}});
    co_return redirect_answer(found->is_new ? target(c, "newUserCallbackURL").value_or(callback) : callback);
  }

 private:
  std::string identifier(std::string_view token) const {
    return "magic-link:" + (options_.store == MagicLinkOptions::Store::plain
                                ? std::string(token)
                                : base64url(crypto::sha256(as_bytes(token))));
  }
  static web::Response status_true() { return json_answer(json::Object{{"status", true}}); }

  const MagicLinkOptions options_;
};

}  // namespace

Plugin magic_link(MagicLinkOptions options) {
  if (!options.send) throw std::invalid_argument("magic_link: send is missing");
  auto it = std::make_shared<MagicLink>(std::move(options));
  const std::vector<Member> targets{optional_text("callbackURL"), optional_text("newUserCallbackURL"),
                                    optional_text("errorCallbackURL")};
  Shape body{{email("email"), optional_text("name")}}, query{{text("token")}};
  for (const Member& m : targets) {
    body.members.push_back(m);
    query.members.push_back(m);
  }
  return {.id = "magic-link",
          .endpoints = {post("/sign-in/magic-link", [it](Context& c) { return it->send(c); },
                             {.body = body, .form_guard = FormGuard::on}),
                        get("/magic-link/verify", [it](Context& c) { return it->verify(c); },
                            {.query = query, .callback = CallbackQuery::checked})},
          .rate_limits = {{"/sign-in/magic-link", RateLimitRule{60s, 5}},
                          {"/magic-link/verify", RateLimitRule{60s, 5}}}};
}

}  // namespace latchkey::auth
