#include "auth/plugins/passkey/passkey.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "auth/core/auth.h"
#include "auth/plugins/passkey/names.h"
#include "auth/plugins/passkey/testing.h"
#include "store/testing.h"

namespace latchkey::auth {
namespace {
using namespace std::chrono_literals;
using webauthn::Algorithm;
using webauthn::testing::SoftAuthenticator;

constexpr const char* k_origin = "https://auth.example";

/// Somebody's browser: its cookies.
struct Visitor {
  std::map<std::string, std::string> cookies;
  std::string agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0";
  void take(const web::Response& answer) {
    for (const auto& [name, value] : answer.headers) {
      if (name != "set-cookie") continue;
      const auto equals = value.find('='), end = value.find(';');
      cookies[value.substr(0, equals)] = value.substr(equals + 1, end - equals - 1);
    }
  }
};

struct Reply {
  int status;
  json::Value body;
  std::string code() const { return body.string_at("code") ? *body.string_at("code") : ""; }
  const json::Value& operator[](std::string_view key) const {
    static const json::Value k_none;
    const auto* found = body.find(key);
    return found ? *found : k_none;
  }
};

class PasskeyTest : public store::EngineTest {
 protected:
  void SetUp() override {
    store::EngineTest::SetUp();
    if (IsSkipped()) return;
    db_ = std::make_unique<store::TestDatabase>(GetParam());
    restart({});
  }
  void restart(PasskeyOptions options) {
    std::vector<Plugin> plugins;
    plugins.push_back(passkey(std::move(options)));
    auth_ = std::make_unique<Auth>(Options{.base_url = k_origin,
                                           .secret = Secret<std::string>(std::string(32, 's')),
                                           .database = **db_,
                                           .clock = clock_,
                                           .rng = rng_,
                                           .rate_limit = {.enabled = false},
                                           .plugins = std::move(plugins)});
    auth_->migrate();
  }

  Visitor signed_in(const std::string& email) {
    const Time now = clock_.now();
    const auto session = run((**db_).write([&](store::Tx& tx) -> Result<Session, Fault> {
      auto user = auth_->users().find_by_email(tx, email);
      if (!user) {
        TRY(user, auth_->users().create(tx, {.email = email, .email_verified = true}, now));
      }
      return auth_->sessions().create(tx, {.user_id = user->id, .expires_at = now + 7 * 24h}, now);
    }));
    EXPECT_TRUE(session.has_value());
    Visitor v;
    v.take(auth_->signed_in(web::Response::empty(), *session, Remember::yes));
    return v;
  }
  std::string id_of(const std::string& email) {
    return run((**db_).read([&](store::Tx& tx) { return auth_->users().find_by_email(tx, email)->id; }));
  }

  Reply ask(Visitor& v, std::string method, const std::string& path, std::optional<json::Value> body = {}) {
    web::Headers headers;
    headers.set("origin", k_origin);
    headers.set("user-agent", v.agent);
    std::string cookie;
    for (const auto& [name, value] : v.cookies) cookie += (cookie.empty() ? "" : "; ") + name + "=" + value;
    if (!cookie.empty()) headers.set("cookie", cookie);
    if (body) headers.set("content-type", "application/json");
    const auto answer = run(auth_->handle(
        web::Request::make(std::move(method), fmt::format("{}/api/auth/passkey/{}", k_origin, path),
                           body ? body->dump() : "", std::move(headers))));
    v.take(answer);
    const auto parsed = json::parse(answer.body);
    return {answer.status, parsed ? *parsed : json::Value()};
  }
  static Bytes challenge_in(const Reply& options) {
    return from_base64url(*options.body.string_at("challenge")).value();
  }

  // The two ceremonies, in their halves.
  Bytes start_registration(Visitor& v) { return challenge_in(ask(v, "GET", "generate-register-options")); }
  Reply finish_registration(Visitor& v, const SoftAuthenticator& a, const Bytes& challenge,
                            json::Object more = {}) {
    more.set("response", SoftAuthenticator::to_json(a.create(challenge)));
    return ask(v, "POST", "verify-registration", std::move(more));
  }
  Reply enroll(Visitor& v, SoftAuthenticator& a, json::Object more = {}) {
    const auto options = ask(v, "GET", "generate-register-options");
    if (options.status != 200) return options;
    a.user_handle = from_base64url(*options["user"].string_at("id"));
    return finish_registration(v, a, challenge_in(options), std::move(more));
  }
  Bytes start_sign_in(Visitor& v, const std::string& query = "") {
    return challenge_in(ask(v, "GET", "generate-authenticate-options" + query));
  }
  Reply finish_sign_in(Visitor& v, const SoftAuthenticator& a, const Bytes& challenge) {
    return ask(v, "POST", "verify-authentication",
               json::Object{{"response", SoftAuthenticator::to_json(a.get(challenge))}});
  }
  Reply sign_in(Visitor& v, const SoftAuthenticator& a) { return finish_sign_in(v, a, start_sign_in(v)); }

  FakeClock clock_;
  SeededRng rng_;
  std::unique_ptr<store::TestDatabase> db_;
  std::unique_ptr<Auth> auth_;
};

TEST_P(PasskeyTest, IsMadeBySomebodySignedInAndThenSignsIn) {
  Visitor alice = signed_in("alice@example.com");
  SoftAuthenticator a;
  a.flags |= 0x08 | 0x10;
  const auto made = enroll(alice, a, {{"name", " My key "}});
  ASSERT_EQ(made.status, 200) << made.body.dump();
  EXPECT_EQ(made["name"], json::Value("My key"));
  EXPECT_EQ(made["userId"], json::Value(id_of("alice@example.com")));
  EXPECT_EQ(made["credentialID"], json::Value(base64url(a.credential_id)));
  EXPECT_EQ(made["publicKey"], json::Value(base64(a.key.cose())));
  EXPECT_EQ(made["counter"], json::Value(0));
  EXPECT_EQ(made["deviceType"], json::Value("multiDevice"));
  EXPECT_EQ(made["backedUp"], json::Value(true));
  EXPECT_EQ(made["transports"], json::Value("internal,hybrid"));
  EXPECT_EQ(made["aaguid"], json::Value("00000000-0000-0000-0000-000000000000"));
  EXPECT_EQ(made["createdAt"], json::Value("2025-06-15T15:06:40.000Z"));
  EXPECT_TRUE(made["lastUsedAt"].is_null());
  EXPECT_EQ(made.body.find("userHandle"), nullptr);

  clock_.advance(1h);
  Visitor elsewhere;
  const auto in = sign_in(elsewhere, a);
  ASSERT_EQ(in.status, 200) << in.body.dump();
  EXPECT_EQ(in["user"].find("email")->dump(), R"("alice@example.com")");
  EXPECT_EQ(in["session"].find("userId")->dump(), in["user"].find("id")->dump());
  const auto list = ask(elsewhere, "GET", "list-user-passkeys");  // by the new session's cookie
  ASSERT_EQ(list.body.array()->size(), 1u) << list.body.dump();
  EXPECT_EQ(*list.body.array()->front().string_at("lastUsedAt"), "2025-06-15T16:06:40.000Z");
}

TEST_P(PasskeyTest, OptionsAskForWhatIsFixedHere) {
  Visitor alice = signed_in("alice@example.com");
  const auto first = ask(alice, "GET", "generate-register-options?authenticatorAttachment=platform");
  EXPECT_EQ(first["rp"], json::Value(json::Object{{"name", "auth.example"}, {"id", "auth.example"}}));
  EXPECT_EQ(first["authenticatorSelection"].find("userVerification")->dump(), R"("required")");
  EXPECT_EQ(first["authenticatorSelection"].find("residentKey")->dump(), R"("required")");
  EXPECT_EQ(first["authenticatorSelection"].find("authenticatorAttachment")->dump(), R"("platform")");
  EXPECT_EQ(*first["user"].string_at("name"), "alice@example.com");
  EXPECT_EQ(from_base64url(*first["user"].string_at("id")), to_bytes(id_of("alice@example.com")));
  EXPECT_TRUE(first["excludeCredentials"].array()->empty());
  EXPECT_EQ(ask(alice, "GET", "generate-register-options?authenticatorAttachment=usb").code(),
            "VALIDATION_ERROR");

  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  const auto second = ask(alice, "GET", "generate-register-options");
  ASSERT_EQ(second["excludeCredentials"].array()->size(), 1u);
  EXPECT_EQ(*second["excludeCredentials"].array()->front().string_at("id"), base64url(a.credential_id));
  EXPECT_NE(*first.body.string_at("challenge"), *second.body.string_at("challenge"));
}

TEST_P(PasskeyTest, StrangersAreAskedForAnyPasskeyAndUsersForTheirOwn) {
  Visitor alice = signed_in("alice@example.com"), nobody;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  EXPECT_EQ(ask(nobody, "GET", "generate-authenticate-options").body.find("allowCredentials"), nullptr);
  const auto own = ask(alice, "GET", "generate-authenticate-options");
  ASSERT_EQ(own["allowCredentials"].array()->size(), 1u);
  EXPECT_EQ(own["allowCredentials"].array()->front().find("transports")->dump(), R"(["internal","hybrid"])");
  EXPECT_EQ(
      ask(alice, "GET", "generate-authenticate-options?discoverable=true").body.find("allowCredentials"),
      nullptr);
}

TEST_P(PasskeyTest, AttackSwap_WhoIsAskedForTheirOwnPasskeysAnswersWithOne) {
  Visitor alice = signed_in("alice@example.com"), bob = signed_in("bob@example.com");
  SoftAuthenticator a(Algorithm::ES256, 1), b(Algorithm::ES256, 2);
  ASSERT_EQ(enroll(alice, a).status, 200);
  ASSERT_EQ(enroll(bob, b).status, 200);
  const auto challenge = start_sign_in(alice);
  EXPECT_EQ(finish_sign_in(alice, b, challenge).code(), "AUTHENTICATION_FAILED");
  EXPECT_EQ(finish_sign_in(alice, b, start_sign_in(alice, "?discoverable=true")).status, 200);
}

TEST_P(PasskeyTest, AttackReplay_AChallengeIsGoodOnce) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  const auto registration = start_registration(alice);
  a.user_handle = to_bytes(id_of("alice@example.com"));
  ASSERT_EQ(finish_registration(alice, a, registration).status, 200);
  a.credential_id = Bytes(32, 2);
  EXPECT_EQ(finish_registration(alice, a, registration).code(), "CHALLENGE_NOT_FOUND");
  a.credential_id = Bytes(32, 1);

  const auto challenge = start_sign_in(v);
  const Visitor before = v;
  ASSERT_EQ(finish_sign_in(v, a, challenge).status, 200);
  Visitor thief = before;  // the cookie and the answer, both seen on their way
  const auto again = finish_sign_in(thief, a, challenge);
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.code(), "CHALLENGE_NOT_FOUND");
}

TEST_P(PasskeyTest, AttackReplay_AWrongAnswerSpendsTheChallengeToo) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  const auto challenge = start_sign_in(v);
  SoftAuthenticator wrong = [&] {
    SoftAuthenticator w;
    w.user_handle = a.user_handle;
    return w;  // the same id, another key
  }();
  const auto refused = finish_sign_in(v, wrong, challenge);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.code(), "AUTHENTICATION_FAILED");
  EXPECT_EQ(finish_sign_in(v, a, challenge).code(), "CHALLENGE_NOT_FOUND");
}

TEST_P(PasskeyTest, AttackOtherBrowser_AChallengeIsBoundToTheCookie) {
  Visitor alice = signed_in("alice@example.com"), one, other;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  const auto challenge = start_sign_in(one);
  EXPECT_EQ(finish_sign_in(other, a, challenge).code(), "CHALLENGE_NOT_FOUND") << "no cookie";
  start_sign_in(other);
  EXPECT_EQ(finish_sign_in(other, a, challenge).code(), "AUTHENTICATION_FAILED") << "a cookie of its own";
  Visitor forged = one;
  for (auto& [name, value] : forged.cookies)
    if (name.ends_with("passkey")) value[0] = value[0] == 'A' ? 'B' : 'A';
  EXPECT_EQ(finish_sign_in(forged, a, challenge).code(), "CHALLENGE_NOT_FOUND") << "a broken signature";
  EXPECT_EQ(finish_sign_in(one, a, challenge).status, 200);
}

TEST_P(PasskeyTest, AttackPurpose_AChallengeOfOneCeremonyIsNoneOfTheOther) {
  Visitor alice = signed_in("alice@example.com");
  SoftAuthenticator a, b(Algorithm::ES256, 2);
  ASSERT_EQ(enroll(alice, a).status, 200);
  EXPECT_EQ(finish_sign_in(alice, a, start_registration(alice)).code(), "CHALLENGE_NOT_FOUND");
  EXPECT_EQ(finish_registration(alice, b, start_sign_in(alice)).code(), "CHALLENGE_NOT_FOUND");
}

TEST_P(PasskeyTest, AttackUserSwap_AChallengeRegistersForWhoAskedForIt) {
  Visitor alice = signed_in("alice@example.com"), bob = signed_in("bob@example.com");
  const auto challenge = start_registration(alice);
  for (const auto& [name, value] : alice.cookies)
    if (name.ends_with("passkey")) bob.cookies[name] = value;
  const auto r = finish_registration(bob, SoftAuthenticator(), challenge);
  EXPECT_EQ(r.status, 401);
  EXPECT_EQ(r.code(), "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY");
}

TEST_P(PasskeyTest, ChallengesLiveFiveMinutes) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  auto challenge = start_sign_in(v);
  clock_.advance(k_challenge_lifetime - 1s);
  EXPECT_EQ(finish_sign_in(v, a, challenge).status, 200);
  Visitor late;
  challenge = start_sign_in(late);
  clock_.advance(k_challenge_lifetime);
  EXPECT_EQ(finish_sign_in(late, a, challenge).code(), "CHALLENGE_NOT_FOUND");
}

TEST_P(PasskeyTest, AttackWrongSite_AnswersOfOtherOriginsAndRpIdsAreRefused) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  const auto refused = [&](auto bend) {
    SoftAuthenticator bent = [&] {
      SoftAuthenticator copy;
      copy.user_handle = a.user_handle;
      return copy;
    }();
    std::swap(bent.key, a.key);
    bend(bent);
    const auto code = sign_in(v, bent).code();
    std::swap(bent.key, a.key);
    return code;
  };
  EXPECT_EQ(refused([](auto& b) { b.origin = "https://auth.example.evil"; }), "AUTHENTICATION_FAILED");
  EXPECT_EQ(refused([](auto& b) { b.rp_id = "example"; }), "AUTHENTICATION_FAILED");
  EXPECT_EQ(refused([](auto& b) { b.flags = 0x01; }), "AUTHENTICATION_FAILED");
  EXPECT_EQ(refused([](auto& b) { b.user_handle = to_bytes("mallory"); }), "AUTHENTICATION_FAILED");
  EXPECT_EQ(refused([](auto& b) { b.credential_id = Bytes(32, 9); }), "PASSKEY_NOT_FOUND");
  EXPECT_EQ(refused([](auto&) {}), "");
}

TEST_P(PasskeyTest, AttackRollback_TheCountIsKeptFromSignInToSignIn) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  a.sign_count = 5;
  ASSERT_EQ(enroll(alice, a).status, 200);
  EXPECT_EQ(sign_in(v, a).code(), "AUTHENTICATION_FAILED");
  a.sign_count = 6;
  EXPECT_EQ(sign_in(v, a).status, 200);
  EXPECT_EQ(sign_in(v, a).code(), "AUTHENTICATION_FAILED") << "a copy that counts alone";
  a.sign_count = 9;
  EXPECT_EQ(sign_in(v, a).status, 200);
}

TEST_P(PasskeyTest, AttackRollback_OfTwoAnswersAtOnceOneCounts) {
  Visitor alice = signed_in("alice@example.com");
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  run((**db_).write([&](store::Tx& tx) {
    const auto read = passkeys::find_by_credential(tx, base64url(a.credential_id)).value();
    EXPECT_TRUE(passkeys::use(tx, read, 1, true, clock_.now()));
    EXPECT_FALSE(passkeys::use(tx, read, 1, true, clock_.now()));
    EXPECT_TRUE(passkeys::find_by_credential(tx, read.credential_id)->backed_up);
  }));
}

TEST_P(PasskeyTest, CountsBeyondTheColumnAreRefused) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  a.sign_count = 0x80000000;
  EXPECT_EQ(enroll(alice, a).code(), "FAILED_TO_VERIFY_REGISTRATION");
  a.sign_count = 0x7ffffffe;
  ASSERT_EQ(enroll(alice, a).status, 200);
  a.sign_count = 0x7fffffff;
  EXPECT_EQ(sign_in(v, a).status, 200);
  a.sign_count = 0x80000000;
  EXPECT_EQ(sign_in(v, a).code(), "AUTHENTICATION_FAILED");
}

TEST_P(PasskeyTest, AttackTakeover_ACredentialBelongsToOneUser) {
  Visitor alice = signed_in("alice@example.com"), mallory = signed_in("mallory@example.com"), v;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  SoftAuthenticator same_id;  // with a key of Mallory's
  EXPECT_EQ(enroll(mallory, same_id).code(), "PREVIOUSLY_REGISTERED");
  EXPECT_EQ(enroll(alice, same_id).code(), "PREVIOUSLY_REGISTERED");
  EXPECT_EQ(sign_in(v, a).status, 200);
}

TEST_P(PasskeyTest, AUserHasABoundedNumber) {
  restart({.max_per_user = 2});
  Visitor alice = signed_in("alice@example.com"), bob = signed_in("bob@example.com");
  for (std::uint8_t i = 1; i <= 2; ++i) {
    SoftAuthenticator a(Algorithm::ES256, i);
    EXPECT_EQ(enroll(alice, a).status, 200);
  }
  SoftAuthenticator third(Algorithm::ES256, 3);
  EXPECT_EQ(enroll(alice, third).code(), "TOO_MANY_PASSKEYS");
  EXPECT_EQ(enroll(bob, third).status, 200) << "of one user";
}

TEST_P(PasskeyTest, RegistrationNeedsAFreshSession) {
  Visitor nobody, alice = signed_in("alice@example.com");
  SoftAuthenticator a;
  EXPECT_EQ(enroll(nobody, a).code(), "UNAUTHORIZED");
  EXPECT_EQ(finish_registration(nobody, a, Bytes(32)).code(), "UNAUTHORIZED");
  clock_.advance(24h - 1s);
  EXPECT_EQ(enroll(alice, a).status, 200);
  clock_.advance(1s);
  EXPECT_EQ(enroll(alice, a).code(), "SESSION_NOT_FRESH");
  EXPECT_EQ(finish_registration(alice, a, Bytes(32)).code(), "SESSION_NOT_FRESH");
}

TEST_P(PasskeyTest, NamesComeFromTheMakerOrTheBrowser) {
  restart({.agent_words = [](std::string_view agent) {
    return std::string(agent.find("Firefox") != agent.npos ? "Firefox on Linux" : "?");
  }});
  Visitor alice = signed_in("alice@example.com");
  std::vector<std::string> names;
  for (std::uint8_t i = 1; i <= 5; ++i) {
    SoftAuthenticator a(Algorithm::ES256, i);
    if (i > 3)
      a.aaguid = {0xba, 0xda, 0x55, 0x66, 0xa7, 0xaa, 0x40, 0x1f,
                  0xbd, 0x96, 0x45, 0x61, 0x9a, 0x55, 0x12, 0x0d};
    const auto made = enroll(alice, a);
    names.push_back(*made.body.string_at("name"));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"Firefox on Linux", "Firefox on Linux 2", "Firefox on Linux 3",
                                             "1Password", "1Password 2"}));
}

TEST_P(PasskeyTest, OwnersRenameAndRemove) {
  Visitor alice = signed_in("alice@example.com"), bob = signed_in("bob@example.com"), nobody;
  SoftAuthenticator a;
  const auto id = *enroll(alice, a).body.string_at("id");
  const auto rename = [&](Visitor& v, std::string name) {
    return ask(v, "POST", "update-passkey", json::Object{{"id", id}, {"name", std::move(name)}});
  };
  const auto renamed = rename(alice, " Blue key ");
  ASSERT_EQ(renamed.status, 200);
  EXPECT_EQ(*renamed["passkey"].string_at("name"), "Blue key");
  EXPECT_EQ(rename(bob, "mine now").code(), "PASSKEY_NOT_FOUND");
  EXPECT_EQ(rename(nobody, "mine now").code(), "UNAUTHORIZED");
  EXPECT_EQ(rename(alice, "  ").code(), "VALIDATION_ERROR");
  std::string longest;
  for (std::size_t i = 0; i < k_max_passkey_name; ++i) longest += "ü";
  EXPECT_EQ(rename(alice, longest).status, 200);
  EXPECT_EQ(rename(alice, longest + "u").code(), "VALIDATION_ERROR");
  EXPECT_EQ(rename(alice, "two\nlines").code(), "VALIDATION_ERROR");
  EXPECT_EQ(*ask(alice, "GET", "list-user-passkeys").body.array()->front().string_at("name"), longest);

  const json::Value body = json::Object{{"id", id}};
  EXPECT_EQ(ask(bob, "POST", "delete-passkey", body).status, 404);
  EXPECT_EQ(ask(nobody, "POST", "delete-passkey", body).status, 401);
  EXPECT_EQ(ask(alice, "POST", "delete-passkey", body).body.dump(), R"({"status":true})");
  EXPECT_EQ(ask(alice, "POST", "delete-passkey", body).code(), "PASSKEY_NOT_FOUND");
  EXPECT_EQ(sign_in(nobody, a).code(), "PASSKEY_NOT_FOUND");
}

TEST_P(PasskeyTest, TheHostMayKeepTheLastWayIn) {
  restart({.before_remove = [](store::Tx&, const Passkey&, std::size_t others) -> Result<void, Fault> {
    if (others == 0) return std::unexpected(Fault(400, "LAST_METHOD", "The last way in"));
    return {};
  }});
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a(Algorithm::ES256, 1), b(Algorithm::ES256, 2);
  const auto first = *enroll(alice, a).body.string_at("id"), second = *enroll(alice, b).body.string_at("id");
  EXPECT_EQ(ask(alice, "POST", "delete-passkey", json::Object{{"id", first}}).status, 200);
  EXPECT_EQ(ask(alice, "POST", "delete-passkey", json::Object{{"id", second}}).code(), "LAST_METHOD");
  EXPECT_EQ(sign_in(v, b).status, 200) << "nothing was removed";
}

std::vector<std::string> g_told;
Task<void> tell(User user, Passkey passkey, PasskeyChange change) {
  g_told.push_back(fmt::format("{} {} {}", user.email, change == PasskeyChange::added ? "added" : "removed",
                               passkey.name.value_or("")));
  co_return;
}
TEST_P(PasskeyTest, TheHostHearsOfChanges) {
  g_told.clear();
  restart({.changed = tell});
  Visitor alice = signed_in("alice@example.com");
  SoftAuthenticator a;
  const auto id = *enroll(alice, a, {{"name", "Key"}}).body.string_at("id");
  EXPECT_EQ(enroll(alice, a).code(), "PREVIOUSLY_REGISTERED");
  ask(alice, "POST", "delete-passkey", json::Object{{"id", id}});
  EXPECT_EQ(g_told,
            (std::vector<std::string>{"alice@example.com added Key", "alice@example.com removed Key"}));
}

TEST_P(PasskeyTest, ARegistrationMayStartASession) {
  Visitor alice = signed_in("alice@example.com");
  SoftAuthenticator a;
  const auto before = alice.cookies;
  const auto made = enroll(alice, a, {{"createSession", true}});
  EXPECT_EQ(made["session"].find("userId")->dump(), made["user"].find("id")->dump());
  EXPECT_NE(alice.cookies, before);
  EXPECT_EQ(ask(alice, "GET", "list-user-passkeys").body.array()->size(), 1u);
}

TEST_P(PasskeyTest, RowsOfProgramsInJavaScriptSignIn) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  a.user_handle = to_bytes("random bytes that were not kept");
  const auto user_id = id_of("alice@example.com");
  run((**db_).write([&](store::Tx& tx) {
    passkeys::add(tx, {.id = "x",
                       .name = {},
                       .public_key = base64(a.key.cose()),
                       .user_id = user_id,
                       .credential_id = base64url(a.credential_id),
                       .created_at = {},
                       .aaguid = {},
                       .last_used_at = {},
                       .user_handle = {}});
  }));
  EXPECT_EQ(sign_in(v, a).status, 200);
  EXPECT_EQ(ask(v, "GET", "list-user-passkeys").body.array()->front().find("name")->dump(), "null");
}

TEST_P(PasskeyTest, MalformedAnswersAreRefusedAndSpendTheChallenge) {
  Visitor alice = signed_in("alice@example.com"), v;
  SoftAuthenticator a;
  ASSERT_EQ(enroll(alice, a).status, 200);
  const auto with = [&](json::Value response) {
    start_sign_in(v);
    return ask(v, "POST", "verify-authentication", json::Object{{"response", std::move(response)}});
  };
  EXPECT_EQ(with("text").code(), "VALIDATION_ERROR");
  EXPECT_EQ(with(json::Object{}).code(), "PASSKEY_NOT_FOUND");
  EXPECT_EQ(with(json::Object{{"id", base64url(a.credential_id)}}).code(), "AUTHENTICATION_FAILED");
  start_registration(alice);
  EXPECT_EQ(ask(alice, "POST", "verify-registration", json::Object{{"response", "text"}}).code(),
            "FAILED_TO_VERIFY_REGISTRATION");
  EXPECT_EQ(ask(alice, "POST", "verify-registration", json::Object{{"response", "text"}}).code(),
            "CHALLENGE_NOT_FOUND");
}

TEST(PasskeyOptions, OriginsBelongToTheRpId) {
  const auto accepted = [](std::string rp_id, std::string origin) {
    try {
      passkey({.rp_id = std::move(rp_id), .origins = {std::move(origin)}});
      return true;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  EXPECT_TRUE(accepted("pds.example", "https://pds.example"));
  EXPECT_TRUE(accepted("pds.example", "https://auth.pds.example:8443"));
  EXPECT_TRUE(accepted("localhost", "http://localhost:2583"));
  EXPECT_TRUE(accepted("localhost", "http://auth.localhost:2583"));
  EXPECT_FALSE(accepted("pds.example", "http://pds.example"));
  EXPECT_FALSE(accepted("pds.example", "https://evilpds.example"));
  EXPECT_FALSE(accepted("auth.pds.example", "https://pds.example"));
  EXPECT_FALSE(accepted("pds.example", "pds.example"));
  EXPECT_FALSE(accepted("", "https://pds.example")) << "which is it?";
}

INSTANTIATE_TEST_SUITE_P(Store, PasskeyTest, store::engines(), store::engine_name);

}  // namespace
}  // namespace latchkey::auth
