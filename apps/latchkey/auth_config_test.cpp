#include "auth_config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>

#include "crypto/key.h"
#include "environment_testing.h"
#include "ui/embedded.h"

namespace latchkey::app {
namespace {
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// The scalar 0x0101…01: no key of anybody.
constexpr const char* k_pem = R"(-----BEGIN EC PRIVATE KEY-----
MDECAQEEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBoAoGCCqGSM49
AwEH
-----END EC PRIVATE KEY-----
)";
constexpr const char* k_ed25519_pem = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH
-----END PRIVATE KEY-----
)";

std::string default_file() {
  for (const auto& file : ui::config_files())
    if (file.path == "auth.toml")
      return std::string(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  return {};
}

class AuthConfiguration : public ::testing::Test {
 protected:
  AuthConfiguration() {
    char folder[] = "/tmp/latchkey-config-XXXXXX";
    dir_ = ::mkdtemp(folder);
    env_ = {{"BETTER_AUTH_URL", "https://app.example.com"},
            {"LATCHKEY_AUTH_PASSWORD", "true"},
            {"LATCHKEY_AUTH_DATA_DIRECTORY", dir_ + "/data"}};
    std::filesystem::create_directories(dir_ + "/pages");
    std::ofstream(dir_ + "/key.pem") << k_pem;
    std::ofstream(dir_ + "/dkim.pem") << k_ed25519_pem;
  }
  ~AuthConfiguration() override { std::filesystem::remove_all(dir_); }

  Result<AuthConfig, Problems> read(const std::string& file = {}) {
    auto parsed = AuthFile::parse(file, "auth.toml");
    if (!parsed) return fail(std::move(parsed.error()));
    return read_auth_config(*parsed, env_.variables(), env_.names(), rng_);
  }
  Problems problems(const std::string& file = {}) {
    auto config = read(file);
    return config ? Problems() : std::move(config.error());
  }
  void with_mail() {
    env_["SMTP_HOST"] = "smtp.example.com";
    env_["SMTP_FROM"] = "hello@example.com";
  }

  std::string dir_;
  TestEnvironment env_;
  SeededRng rng_;
};

TEST_F(AuthConfiguration, AnAddressAndAWayInAreEnough) {
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->listen_address, "127.0.0.1");
  EXPECT_EQ(config->port, 3005);
  EXPECT_EQ(config->database, dir_ + "/data/auth.sqlite");
  EXPECT_EQ(config->service.app_name, "app.example.com");
  EXPECT_EQ(config->service.session.expires_in, std::chrono::seconds(604'800));
  EXPECT_EQ(config->service.cookies.prefix, "better-auth");
  EXPECT_FALSE(config->mail.has_value());
  EXPECT_THAT(config->trusted_proxies, ElementsAre("127.0.0.1", "::1"));
}

// --- Every key, in the file and in the environment

struct Key {
  const char* path;
  const char* in_file;         // TOML
  const char* in_environment;  // the same
  std::function<std::string(const AuthConfig&)> read;
  const char* means;
  std::map<std::string, std::string> beside = {};  // variables it needs
};

std::string text(bool b) { return b ? "yes" : "no"; }
template <class T>
std::string joined(const T& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : " ") + std::string(one);
  return out;
}
std::string text(std::chrono::seconds s) { return std::to_string(s.count()); }

std::vector<Key> keys() {
  const std::map<std::string, std::string> mail{{"SMTP_HOST", "smtp.example.com"},
                                                {"SMTP_FROM", "a@example.com"}};
  auto otp = mail, link = mail, sendgrid = mail, postmark = mail, ses = mail;
  otp["LATCHKEY_AUTH_EMAIL_OTP"] = "true";
  link["LATCHKEY_AUTH_MAGIC_LINK"] = "true";
  sendgrid["EMAIL_PROVIDER"] = "sendgrid";
  postmark["EMAIL_PROVIDER"] = "postmark";
  ses["EMAIL_PROVIDER"] = "ses";
  ses["AWS_REGION"] = "eu-central-1", ses["AWS_SES_SMTP_USER"] = "u", ses["AWS_SES_SMTP_PASS"] = "p";
  auto dkim = mail;
  dkim["LATCHKEY_DKIM_DOMAIN"] = "example.com", dkim["LATCHKEY_DKIM_SELECTOR"] = "one";
  dkim["LATCHKEY_DKIM_PRIVATE_KEY_FILE"] = "$DIR/dkim.pem";
  const std::map<std::string, std::string> bluesky{{"LATCHKEY_AUTH_ATPROTO", "true"}};
  const std::map<std::string, std::string> google{{"GOOGLE_CLIENT_ID", "i"}, {"GOOGLE_CLIENT_SECRET", "s"}};
  const std::map<std::string, std::string> github{{"GITHUB_CLIENT_ID", "i"}, {"GITHUB_CLIENT_SECRET", "s"}};
  const std::map<std::string, std::string> jwt{{"LATCHKEY_AUTH_JWT", "true"}};
  const auto service = [](auto member) {
    return [member](const AuthConfig& c) { return std::string(c.service.*member); };
  };
  return {
      {"baseURL", R"("https://other.example.com")", "https://other.example.com",
       service(&service::ServiceOptions::base_url), "https://other.example.com"},
      {"secret", R"("0123456789abcdef0123456789abcdef")", "0123456789abcdef0123456789abcdef",
       [](const AuthConfig& c) { return c.service.secret.reveal(); }, "0123456789abcdef0123456789abcdef"},
      {"oldSecrets", R"(["one-0123456789abcdef0123456789abcdef"])", "one-0123456789abcdef0123456789abcdef",
       [](const AuthConfig& c) { return c.service.old_secrets.at(0).reveal(); },
       "one-0123456789abcdef0123456789abcdef"},
      {"trustedOrigins", R"(["https://a.example.com", "myapp://"])", "https://a.example.com,myapp://",
       [](const AuthConfig& c) { return joined(c.service.trusted_origins); },
       "https://a.example.com myapp://"},
      {"cors", "false", "false", [](const AuthConfig& c) { return text(c.service.cors == auth::Cors::off); },
       "yes"},
      {"appName", R"("My App")", "My App", service(&service::ServiceOptions::app_name), "My App"},
      {"listen", R"("[::1]:4000")", "[::1]:4000",
       [](const AuthConfig& c) { return fmt::format("{} {}", c.listen_address, c.port); }, "::1 4000"},
      {"trustedProxies", R"(["10.0.0.0/8"])", "10.0.0.0/8",
       [](const AuthConfig& c) { return joined(c.trusted_proxies); }, "10.0.0.0/8"},
      {"dataDirectory", R"("$DIR/there")", "$DIR/there", [](const AuthConfig& c) { return c.database; },
       "$DIR/there/auth.sqlite"},
      {"database", R"("postgres://localhost/x")", "postgres://localhost/x",
       [](const AuthConfig& c) { return c.database; }, "postgres://localhost/x"},
      {"forwardAuth", "false", "false",
       [](const AuthConfig& c) { return text(c.service.forward_auth == service::Switch::off); }, "yes"},
      {"signInPage", "false", "false",
       [](const AuthConfig& c) { return text(c.service.sign_in_page == service::Switch::off); }, "yes"},
      {"typeahead", R"("https://appview.example.com/")", "https://appview.example.com",
       service(&service::ServiceOptions::typeahead), "https://appview.example.com", bluesky},
      {"templateDirectory", R"("$DIR/pages")", "$DIR/pages",
       service(&service::ServiceOptions::template_directory), "$DIR/pages"},
      {"privateNetwork", "true", "true", [](const AuthConfig& c) { return text(c.private_network); }, "yes"},
      {"caFile", R"("/tmp/ca.pem")", "/tmp/ca.pem", [](const AuthConfig& c) { return c.ca_file; },
       "/tmp/ca.pem"},
      {"logLevel", R"("warn")", "warn",
       [](const AuthConfig& c) { return text(c.log_level == log::Level::warn); }, "yes"},
      {"session.expiresIn", "100000", "100000",
       [](const AuthConfig& c) { return text(c.service.session.expires_in); }, "100000"},
      {"session.updateAge", "60", "60",
       [](const AuthConfig& c) { return text(c.service.session.update_age); }, "60"},
      {"session.freshAge", "61", "61", [](const AuthConfig& c) { return text(c.service.session.fresh_age); },
       "61"},
      {"cookies.prefix", R"("my-app")", "my-app",
       [](const AuthConfig& c) { return c.service.cookies.prefix; }, "my-app"},
      {"cookies.secure", R"("never")", "never",
       [](const AuthConfig& c) {
         return text(c.service.cookies.secure == auth::CookieOptions::Secure::never);
       },
       "yes"},
      {"cookies.namePrefix", R"("host")", "host",
       [](const AuthConfig& c) {
         return text(c.service.cookies.name_prefix == auth::CookieOptions::NamePrefix::host);
       },
       "yes"},
      {"cookies.domain", R"("example.com")", "example.com",
       [](const AuthConfig& c) { return c.service.cookies.cross_subdomain; }, "example.com"},
      {"cookies.sameSite", R"("strict")", "strict",
       [](const AuthConfig& c) { return text(c.service.cookies.same_site == web::SameSite::strict); }, "yes"},
      {"rateLimit.enabled", "false", "false",
       [](const AuthConfig& c) { return text(c.service.rate_limit.enabled); }, "no"},
      {"rateLimit.window", "30", "30", [](const AuthConfig& c) { return text(c.service.rate_limit.window); },
       "30"},
      {"rateLimit.max", "7", "7",
       [](const AuthConfig& c) { return std::to_string(c.service.rate_limit.max); }, "7"},
      {"rateLimit.storage", R"("database")", "database",
       [](const AuthConfig& c) {
         return text(c.service.rate_limit.storage == auth::RateLimitOptions::Storage::database);
       },
       "yes"},
      {"emailOtp.enabled", "true", "true",
       [](const AuthConfig& c) { return text(c.service.email_otp.has_value()); }, "yes", mail},
      {"emailOtp.otpLength", "6", "6",
       [](const AuthConfig& c) { return std::to_string(c.service.email_otp->otp_length); }, "6", otp},
      {"emailOtp.expiresIn", "300", "300",
       [](const AuthConfig& c) { return text(c.service.email_otp->expires_in); }, "300", otp},
      {"emailOtp.allowedAttempts", "3", "3",
       [](const AuthConfig& c) { return std::to_string(c.service.email_otp->allowed_attempts); }, "3", otp},
      {"emailOtp.disableSignUp", "true", "true",
       [](const AuthConfig& c) { return text(c.service.email_otp->disable_sign_up); }, "yes", otp},
      {"emailOtp.codesPerMinute", "9", "9",
       [](const AuthConfig& c) { return std::to_string(c.service.email_otp->codes_per_minute); }, "9", otp},
      {"magicLink.enabled", "true", "true",
       [](const AuthConfig& c) { return text(c.service.magic_link.has_value()); }, "yes", mail},
      {"magicLink.expiresIn", "120", "120",
       [](const AuthConfig& c) { return text(c.service.magic_link->expires_in); }, "120", link},
      {"magicLink.disableSignUp", "true", "true",
       [](const AuthConfig& c) { return text(c.service.magic_link->disable_sign_up); }, "yes", link},
      {"emailAndPassword.enabled",
       "false",
       "false",
       [](const AuthConfig& c) { return text(c.service.email_and_password.enabled); },
       "no",
       {{"LATCHKEY_AUTH_ANONYMOUS", "true"}}},
      {"emailAndPassword.disableSignUp", "true", "true",
       [](const AuthConfig& c) { return text(c.service.email_and_password.disable_sign_up); }, "yes"},
      {"emailAndPassword.requireEmailVerification", "true", "true",
       [](const AuthConfig& c) { return text(c.service.email_and_password.require_email_verification); },
       "yes", mail},
      {"emailAndPassword.minPasswordLength", "12", "12",
       [](const AuthConfig& c) { return std::to_string(c.service.email_and_password.min_password_length); },
       "12"},
      {"emailAndPassword.maxPasswordLength", "64", "64",
       [](const AuthConfig& c) { return std::to_string(c.service.email_and_password.max_password_length); },
       "64"},
      {"passkey.enabled", "true", "true",
       [](const AuthConfig& c) { return text(c.service.passkey_rp_id.has_value()); }, "yes"},
      {"passkey.rpID",
       R"("example.com")",
       "example.com",
       [](const AuthConfig& c) { return c.service.passkey_rp_id.value_or("none"); },
       "example.com",
       {{"LATCHKEY_AUTH_PASSKEY", "true"}}},
      {"bearer.enabled", "true", "true", [](const AuthConfig& c) { return text(c.service.bearer); }, "yes"},
      {"jwt.enabled", "true", "true", [](const AuthConfig& c) { return text(c.service.jwt.has_value()); },
       "yes"},
      {"jwt.audience", R"("https://api.example.com")", "https://api.example.com",
       [](const AuthConfig& c) { return c.service.jwt->audience; }, "https://api.example.com", jwt},
      {"jwt.expiresIn", "60", "60", [](const AuthConfig& c) { return text(c.service.jwt->expires_in); }, "60",
       jwt},
      {"anonymous.enabled", "true", "true", [](const AuthConfig& c) { return text(c.service.anonymous); },
       "yes"},
      {"user.deleteUser", "true", "true", [](const AuthConfig& c) { return text(c.service.delete_user); },
       "yes"},
      {"accountLinking.enabled", "false", "false",
       [](const AuthConfig& c) { return text(c.service.linking.enabled); }, "no"},
      {"accountLinking.trustedProviders", R"(["google", "github"])", "google,github",
       [](const AuthConfig& c) { return joined(c.service.linking.trusted_providers); }, "google github"},
      {"accountLinking.allowDifferentEmails", "true", "true",
       [](const AuthConfig& c) { return text(c.service.linking.allow_different_emails); }, "yes"},
      {"atproto.enabled", "true", "true", [](const AuthConfig& c) { return text(c.bluesky.has_value()); },
       "yes"},
      {"atproto.privateKeyFile", R"("$DIR/key.pem")", "$DIR/key.pem",
       [](const AuthConfig& c) { return c.bluesky->private_keys.at(0).reveal(); }, k_pem, bluesky},
      {"atproto.oldPrivateKeyFiles", R"(["$DIR/key.pem"])", "$DIR/key.pem",
       [](const AuthConfig& c) { return c.bluesky->private_keys.at(1).reveal(); }, k_pem, bluesky},
      {"atproto.clientName", R"("N")", "N", [](const AuthConfig& c) { return c.bluesky->client.client_name; },
       "N", bluesky},
      {"atproto.clientURI", R"("https://a.example")", "https://a.example",
       [](const AuthConfig& c) { return c.bluesky->client.client_uri; }, "https://a.example", bluesky},
      {"atproto.logoURI", R"("https://a.example")", "https://a.example",
       [](const AuthConfig& c) { return c.bluesky->client.logo_uri; }, "https://a.example", bluesky},
      {"atproto.tosURI", R"("https://a.example")", "https://a.example",
       [](const AuthConfig& c) { return c.bluesky->client.tos_uri; }, "https://a.example", bluesky},
      {"atproto.policyURI", R"("https://a.example")", "https://a.example",
       [](const AuthConfig& c) { return c.bluesky->client.policy_uri; }, "https://a.example", bluesky},
      {"atproto.scope", R"("atproto")", "atproto",
       [](const AuthConfig& c) { return c.bluesky->client.scope; }, "atproto", bluesky},
      {"atproto.disableSignUp", "true", "true",
       [](const AuthConfig& c) { return text(c.bluesky->disable_sign_up); }, "yes", bluesky},
      {"atproto.profileSync", R"("sign-up")", "sign-up",
       [](const AuthConfig& c) {
         return text(c.bluesky->profile_sync == auth::AtprotoOptions::ProfileSync::at_sign_up);
       },
       "yes", bluesky},
      {"atproto.allowedCalls", R"(["app.bsky.feed.*", "a.b.c did:web:x.test#y"])",
       "app.bsky.feed.*, a.b.c did:web:x.test#y",
       [](const AuthConfig& c) {
         std::string out;
         for (const auto& call : c.bluesky->allowed_calls)
           out += fmt::format("[{}|{}]", call.method, call.audience);
         return out;
       },
       "[app.bsky.feed.*|][a.b.c|did:web:x.test#y]", bluesky},
      {"atproto.plcDirectory", R"("https://plc.test")", "https://plc.test",
       [](const AuthConfig& c) { return c.plc_url; }, "https://plc.test", bluesky},
      {"atproto.handleHost",
       R"("http://localhost:2583/")",
       "http://localhost:2583/",
       [](const AuthConfig& c) { return c.handle_host.value_or(""); },
       "http://localhost:2583",
       {{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_PRIVATE_NETWORK", "true"}}},
      {"google.clientId", R"("id")", "id", [](const AuthConfig& c) { return c.providers.at(0).client_id; },
       "id", google},
      {"google.clientSecret", R"("x")", "x",
       [](const AuthConfig& c) { return c.providers.at(0).client_secret.reveal(); }, "x", google},
      {"github.clientId", R"("id")", "id", [](const AuthConfig& c) { return c.providers.at(0).client_id; },
       "id", github},
      {"github.clientSecret", R"("x")", "x",
       [](const AuthConfig& c) { return c.providers.at(0).client_secret.reveal(); }, "x", github},
      {"github.baseURL", R"("https://git.example.com")", "https://git.example.com",
       [](const AuthConfig& c) { return c.providers.at(0).url; }, "https://git.example.com", github},
      {"mail.provider",
       R"("postmark")",
       "postmark",
       [](const AuthConfig& c) { return c.mail->smtp.host; },
       "smtp.postmarkapp.com",
       {{"SMTP_FROM", "a@example.com"}, {"POSTMARK_SERVER_TOKEN", "t"}}},
      {"mail.from", R"("b@example.com")", "b@example.com",
       [](const AuthConfig& c) { return std::string(c.mail->from.address.str()); }, "b@example.com", mail},
      {"mail.fromName", R"("Bee")", "Bee", [](const AuthConfig& c) { return c.mail->from.name; }, "Bee",
       mail},
      {"mail.host", R"("mx.example.com")", "mx.example.com",
       [](const AuthConfig& c) { return c.mail->smtp.host; }, "mx.example.com", mail},
      {"mail.port", "465", "465", [](const AuthConfig& c) { return std::to_string(c.mail->smtp.port); },
       "465", mail},
      {"mail.user",
       R"("u")",
       "u",
       [](const AuthConfig& c) { return c.mail->smtp.user; },
       "u",
       {{"SMTP_HOST", "smtp.example.com"}, {"SMTP_FROM", "a@example.com"}, {"SMTP_PASS", "p"}}},
      {"mail.password", R"("p")", "p", [](const AuthConfig& c) { return c.mail->smtp.password.reveal(); },
       "p", mail},
      {"mail.sendgridApiKey", R"("k")", "k",
       [](const AuthConfig& c) { return c.mail->smtp.password.reveal(); }, "k", sendgrid},
      {"mail.postmarkServerToken", R"("k")", "k",
       [](const AuthConfig& c) { return c.mail->smtp.password.reveal(); }, "k", postmark},
      {"mail.awsRegion", R"("us-east-1")", "us-east-1", [](const AuthConfig& c) { return c.mail->smtp.host; },
       "email-smtp.us-east-1.amazonaws.com", ses},
      {"mail.awsSmtpUser", R"("me")", "me", [](const AuthConfig& c) { return c.mail->smtp.user; }, "me", ses},
      {"mail.awsSmtpPassword", R"("pw")", "pw",
       [](const AuthConfig& c) { return c.mail->smtp.password.reveal(); }, "pw", ses},
      {"mail.dkimDomain", R"("example.com")", "example.com",
       [](const AuthConfig& c) { return c.mail->dkim->domain; }, "example.com", dkim},
      {"mail.dkimSelector", R"("two")", "two", [](const AuthConfig& c) { return c.mail->dkim->selector; },
       "two", dkim},
      {"mail.dkimPrivateKeyFile", R"("$DIR/dkim.pem")", "$DIR/dkim.pem",
       [](const AuthConfig& c) { return text(c.mail->dkim.has_value()); }, "yes", dkim},
  };
}

// `path` = "session.expiresIn": a file with that line.
std::string file_with(std::string_view path, std::string_view value) {
  const auto dot = path.find('.');
  if (dot == path.npos) return fmt::format("{} = {}\n", path, value);
  return fmt::format("[{}]\n{} = {}\n", path.substr(0, dot), path.substr(dot + 1), value);
}

std::string in_folder(std::string text, const std::string& folder) {
  if (const auto at = text.find("$DIR"); at != text.npos) text.replace(at, 4, folder);
  return text;
}

TEST_F(AuthConfiguration, TakesEveryKeyFromFileAndEnvironment) {
  const auto all = keys();
  for (const AuthKey& known : auth_keys()) {
    const auto key = std::ranges::find(all, known.path, &Key::path);
    ASSERT_NE(key, all.end()) << known.path << " is not tested";
    const auto before = env_;
    for (const auto& [name, value] : key->beside) env_[name] = in_folder(value, dir_);
    const std::string variable(known.variable), means = in_folder(key->means, dir_);

    env_.erase(variable);
    auto config = read(file_with(known.path, in_folder(key->in_file, dir_)));
    ASSERT_TRUE(config.has_value()) << known.path << ": " << config.error()[0];
    EXPECT_EQ(key->read(*config), means) << known.path << " in the file";

    env_[variable] = in_folder(key->in_environment, dir_);
    config = read();
    ASSERT_TRUE(config.has_value()) << variable << ": " << config.error()[0];
    EXPECT_EQ(key->read(*config), means) << variable << " in the environment";
    env_ = before;
  }
  EXPECT_EQ(all.size(), auth_keys().size());
}

TEST_F(AuthConfiguration, TheEnvironmentWins) {
  env_["LATCHKEY_AUTH_APP_NAME"] = "Environment";
  EXPECT_EQ(read("appName = \"File\"")->service.app_name, "Environment");
}

TEST_F(AuthConfiguration, RefusesEveryKeyOfAnotherTypeWithItsLine) {
  for (const AuthKey& known : auth_keys()) {
    const char* wrong = known.type == AuthKeyType::text ? "1" : "\"x\"";
    const unsigned line = known.path.find('.') == known.path.npos ? 1 : 2;
    EXPECT_THAT(problems(file_with(known.path, wrong)),
                ElementsAre(StartsWith(fmt::format("auth.toml, line {}: {} must be ", line, known.path))));
  }
}

TEST_F(AuthConfiguration, KnowsNoOtherKeys) {
  struct Row {
    const char *file, *problem;
  };
  const Row rows[] = {
      {"# a comment\nbaseUrl = \"x\"", "auth.toml, line 2: there is no key baseUrl; did you mean baseURL?"},
      {"[session]\n\nexpires = 1",
       "auth.toml, line 3: there is no key session.expires; did you mean session.expiresIn?"},
      {"[sessions]\nexpiresIn = 1", "auth.toml, line 1: there is no key sessions"},
      {"session = 1",
       "auth.toml, line 1: session is a section: [session] on a line of its own, its keys below"},
      {"[oidc.x]\nsecret = \"s\"", "auth.toml, line 2: there is no key oidc.x.secret"},
      {"[oidc]\nx = 1",
       "auth.toml, line 2: oidc.x must be a section: [oidc.x], with issuer, clientId and "
       "clientSecret"},
      {"[oidc.x]\nissuer = 1", "auth.toml, line 2: oidc.x.issuer must be a text in quotes"},
      {"trustedOrigins = [1]",
       "auth.toml, line 1: trustedOrigins must be a list of texts, such as "
       "[\"one\", \"two\"]"},
      {"trustedOrigins = [\"a,b\"]",
       "auth.toml, line 1: trustedOrigins must be a list of texts, such as "
       "[\"one\", \"two\"]"},
  };
  for (const auto& row : rows) EXPECT_THAT(problems(row.file), ElementsAre(row.problem)) << row.file;
  EXPECT_THAT(problems("cors = true\ncors = false"),
              ElementsAre(StartsWith("auth.toml, line 2: not TOML: ")));
  EXPECT_THAT(problems("cors = \n"), ElementsAre(StartsWith("auth.toml, line 1: not TOML: ")));
}

TEST_F(AuthConfiguration, SaysWhereAWrongValueStands) {
  EXPECT_THAT(problems("\nlisten = \"somewhere\""),
              ElementsAre(StartsWith("auth.toml, line 2: listen is \"somewhere\", but must be")));
  env_["LATCHKEY_AUTH_LISTEN"] = "somewhere";
  EXPECT_THAT(problems("listen = \"127.0.0.1:1\""),
              ElementsAre(StartsWith("LATCHKEY_AUTH_LISTEN is \"somewhere\"")));
  env_.erase("BETTER_AUTH_URL");
  env_.erase("LATCHKEY_AUTH_LISTEN");
  EXPECT_THAT(problems(), ElementsAre(StartsWith("BETTER_AUTH_URL (baseURL in the file) is missing: ")));
}

TEST_F(AuthConfiguration, OpenIdProvidersAreSections) {
  const auto config = read(
      "[oidc.my-company]\nissuer = \"https://login.example.com\"\nclientId = \"i\"\nclientSecret = \"s\"\n"
      "label = \"My Company\"\n");
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  ASSERT_EQ(config->providers.size(), 1u);
  EXPECT_EQ(config->providers[0].id, "my-company");
  EXPECT_EQ(config->providers[0].label, "My Company");
  EXPECT_THAT(problems("[oidc.x]\nissuer = \"https://a.example\""), ::testing::SizeIs(2)) << "half of one";
}

// What cannot work, one thing at a time: what is set besides, and the beginning of the only problem.
TEST_F(AuthConfiguration, RefusesWhatCannotWork) {
  struct Row {
    std::map<std::string, std::string> set;
    const char* problem;
    const char* why;
  };
  const Row rows[] = {
      {{{"BETTER_AUTH_URL", "app.example.com"}}, "BETTER_AUTH_URL is no address", "no scheme"},
      {{{"BETTER_AUTH_URL", "https://app.example.com/?x=1"}}, "BETTER_AUTH_URL is no address", "a query"},
      {{{"BETTER_AUTH_URL", "http://app.example.com"}},
       "BETTER_AUTH_URL must be https",
       "sessions in the clear"},
      {{{"BETTER_AUTH_SECRET", "short"}}, "BETTER_AUTH_SECRET is too short", "31 characters or fewer"},
      {{{"BETTER_AUTH_SECRET", ""}}, "BETTER_AUTH_SECRET is empty", "a variable that was forgotten"},
      {{{"BETTER_AUTH_SECRET", std::string(40, 'a')}}, "BETTER_AUTH_SECRET is easy to guess", "weak"},
      {{{"LATCHKEY_AUTH_OLD_SECRETS", "short"}},
       "LATCHKEY_AUTH_OLD_SECRETS has one of 5 characters",
       "weak, too"},
      {{{"BETTER_AUTH_TRUSTED_ORIGINS", "*"}}, "BETTER_AUTH_TRUSTED_ORIGINS has *", "everything"},
      {{{"LATCHKEY_AUTH_LISTEN", "127.0.0.1"}}, "LATCHKEY_AUTH_LISTEN is", "no port"},
      {{{"LATCHKEY_AUTH_LISTEN", "localhost:3005"}}, "LATCHKEY_AUTH_LISTEN is", "a name"},
      {{{"LATCHKEY_TRUSTED_PROXIES", "proxy"}}, "LATCHKEY_TRUSTED_PROXIES: proxy is neither", "a name"},
      {{{"SESSION_EXPIRES_IN", "59"}}, "SESSION_EXPIRES_IN is \"59\"", "below a minute"},
      {{{"SESSION_EXPIRES_IN", "34560001"}}, "SESSION_EXPIRES_IN is", "above what browsers keep"},
      {{{"SESSION_EXPIRES_IN", "100"}, {"SESSION_UPDATE_AGE", "101"}},
       "SESSION_UPDATE_AGE is 101",
       "never extended"},
      {{{"LATCHKEY_AUTH_COOKIE_PREFIX", "__Host-x"}}, "LATCHKEY_AUTH_COOKIE_PREFIX is", "comes by itself"},
      {{{"LATCHKEY_AUTH_COOKIE_PREFIX", "a b"}}, "LATCHKEY_AUTH_COOKIE_PREFIX is", "no cookie name"},
      {{{"LATCHKEY_AUTH_COOKIE_SECURE", "yes"}},
       "LATCHKEY_AUTH_COOKIE_SECURE is \"yes\", but must be auto, always "
       "or never",
       "no such word"},
      {{{"LATCHKEY_AUTH_COOKIE_DOMAIN", "other.com"}},
       "LATCHKEY_AUTH_COOKIE_DOMAIN is other.com",
       "not ours"},
      {{{"LATCHKEY_AUTH_COOKIE_DOMAIN", "com"}},
       "LATCHKEY_AUTH_COOKIE_DOMAIN is com, for which",
       "everybody's"},
      {{{"LATCHKEY_AUTH_COOKIE_DOMAIN", "p.example.com"}},
       "LATCHKEY_AUTH_COOKIE_DOMAIN is p.example.com",
       "the end of app.example.com, but not at a dot"},
      {{{"LATCHKEY_AUTH_COOKIE_SAME_SITE", "none"}, {"LATCHKEY_AUTH_COOKIE_SECURE", "never"}},
       "LATCHKEY_AUTH_COOKIE_SAME_SITE is none",
       "browsers drop it"},
      {{{"LATCHKEY_AUTH_COOKIE_SAME_SITE", "strict"}, {"LATCHKEY_AUTH_ATPROTO", "true"}},
       "LATCHKEY_AUTH_COOKIE_SAME_SITE is strict",
       "nobody comes back with it"},
      {{{"LATCHKEY_AUTH_COOKIE_NAME_PREFIX", "host"}, {"LATCHKEY_AUTH_COOKIE_SECURE", "never"}},
       "LATCHKEY_AUTH_COOKIE_NAME_PREFIX is host, which",
       "browsers drop it"},
      {{{"LATCHKEY_AUTH_COOKIE_NAME_PREFIX", "host"}, {"LATCHKEY_AUTH_COOKIE_DOMAIN", "example.com"}},
       "LATCHKEY_AUTH_COOKIE_NAME_PREFIX is host: such",
       "browsers drop it"},
      {{{"LATCHKEY_AUTH_EMAIL_OTP", "true"}}, "LATCHKEY_AUTH_EMAIL_OTP is on, but no mail", "no mail"},
      {{{"LATCHKEY_AUTH_MAGIC_LINK", "true"}}, "LATCHKEY_AUTH_MAGIC_LINK is on, but no mail", "no mail"},
      {{{"LATCHKEY_AUTH_PASSWORD_REQUIRE_VERIFICATION", "true"}},
       "LATCHKEY_AUTH_PASSWORD_REQUIRE_VERIFICATION is on",
       "no mail"},
      {{{"SMTP_FROM", "a@example.com"}},
       "SMTP_HOST (mail.host in the file) is missing",
       "half of a mail server"},
      {{{"SMTP_HOST", "smtp.example.com"}}, "SMTP_FROM (mail.from in the file) is missing", "the other half"},
      {{{"LATCHKEY_AUTH_PASSWORD_MIN_LENGTH", "129"}},
       "LATCHKEY_AUTH_PASSWORD_MIN_LENGTH is 129",
       "more than most"},
      {{{"LATCHKEY_AUTH_PASSWORD", "false"}}, "there is no way to sign in", "nothing is on"},
      {{{"LATCHKEY_AUTH_PASSWORD", "perhaps"}}, "LATCHKEY_AUTH_PASSWORD is \"perhaps\"", "no flag"},
      {{{"LATCHKEY_AUTH_PASSKEY", "true"}, {"LATCHKEY_PASSKEY_RP_ID", "other.com"}},
       "LATCHKEY_PASSKEY_RP_ID is other",
       "not ours"},
      {{{"BETTER_AUTH_URL", "http://127.0.0.1:1"}, {"LATCHKEY_AUTH_PASSKEY", "true"}},
       "LATCHKEY_AUTH_PASSKEY is on",
       "no name"},
      {{{"GOOGLE_CLIENT_ID", "x"}}, "GOOGLE_CLIENT_SECRET", "half of a provider"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_SCOPE", "email"}},
       "LATCHKEY_AUTH_ATPROTO_SCOPE is",
       "without atproto"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_SCOPE", "atproto \"x\""}},
       "LATCHKEY_AUTH_ATPROTO: ",
       "RFC 6749 has no such scope"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"BETTER_AUTH_URL", "https://app.example.com:8443"}},
       "LATCHKEY_AUTH_ATPROTO: ",
       "a client id has no port"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_ALLOWED_CALLS", "getTimeline"}},
       "LATCHKEY_AUTH_ATPROTO_ALLOWED_CALLS: ",
       "no method"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_LOGO_URI", "http://a.example"}},
       "LATCHKEY_AUTH_ATPROTO_LOGO_URI must be https",
       "plain"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_FILE", "$DIR/dkim.pem"}},
       "LATCHKEY_AUTH_ATPROTO_PRIVATE_KEY_FILE: $DIR/dkim.pem holds no private key",
       "Ed25519"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_ATPROTO_HANDLE_HOST", "https://pds.example.com"}},
       "LATCHKEY_AUTH_ATPROTO_HANDLE_HOST is for tests",
       "it would speak for every domain"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_TYPEAHEAD", "public.api.bsky.app"}},
       "LATCHKEY_AUTH_TYPEAHEAD is \"public.api.bsky.app\", but must be the origin of an AppView",
       "no scheme"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_TYPEAHEAD", "https://a.example/xrpc"}},
       "LATCHKEY_AUTH_TYPEAHEAD is \"https://a.example/xrpc\"",
       "a path"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_TYPEAHEAD", "https://a:b@a.example"}},
       "LATCHKEY_AUTH_TYPEAHEAD is \"https://a:b@a.example\"",
       "a password in it"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_TYPEAHEAD", "ftp://a.example"}},
       "LATCHKEY_AUTH_TYPEAHEAD is \"ftp://a.example\"",
       "no such protocol"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"}, {"LATCHKEY_AUTH_TYPEAHEAD", "http://a.example"}},
       "LATCHKEY_AUTH_TYPEAHEAD must be https",
       "plain"},
      {{{"LATCHKEY_AUTH_TYPEAHEAD", "https://a.example"}},
       "LATCHKEY_AUTH_TYPEAHEAD suggests handles, but no handles are asked for",
       "no field for it"},
      {{{"LATCHKEY_AUTH_ATPROTO", "true"},
        {"LATCHKEY_AUTH_TYPEAHEAD", "https://a.example"},
        {"LATCHKEY_AUTH_SIGN_IN_PAGE", "false"}},
       "LATCHKEY_AUTH_TYPEAHEAD is for the sign-in page",
       "no page for it"},
      {{{"LATCHKEY_TEMPLATE_DIRECTORY", "/nowhere"}}, "LATCHKEY_TEMPLATE_DIRECTORY: ", "no folder"},
      {{{"LOG_LEVEL", "loud"}}, "LOG_LEVEL is \"loud\"", "no level"},
  };
  for (const auto& row : rows) {
    const auto before = env_;
    for (const auto& [name, value] : row.set) env_[name] = in_folder(value, dir_);
    EXPECT_THAT(problems(), ElementsAre(StartsWith(in_folder(row.problem, dir_)))) << row.why;
    env_ = before;
  }
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/data")) << "nothing is made while something is wrong";
}

TEST_F(AuthConfiguration, MakesItsSecretOnceAndForItsOwnerOnly) {
  const auto first = read(), second = read();
  ASSERT_TRUE(first && second);
  EXPECT_GE(first->service.secret.reveal().size(), 32u);
  EXPECT_EQ(first->service.secret.reveal(), second->service.secret.reveal());
  struct stat info;
  ASSERT_EQ(::stat((dir_ + "/data/secrets.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AuthConfiguration, MakesAKeyForAtprotoThatItReadsAgain) {
  env_["LATCHKEY_AUTH_ATPROTO"] = "true";
  const auto first = read(), second = read();
  ASSERT_TRUE(first && second);
  const auto& pem = first->bluesky->private_keys.at(0).reveal();
  EXPECT_EQ(pem, second->bluesky->private_keys.at(0).reveal());
  const auto key = crypto::PrivateKey::from_pem(pem);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->curve(), crypto::Curve::p256);
  env_["BETTER_AUTH_URL"] = "http://localhost:3005";
  EXPECT_THAT(read()->bluesky->private_keys, IsEmpty()) << "a client of development has none";
}

TEST_F(AuthConfiguration, LoopbackMayBePlain) {
  for (const char* url : {"http://localhost:3005", "http://127.0.0.1:3005", "http://app.localhost"}) {
    env_["BETTER_AUTH_URL"] = url;
    EXPECT_THAT(problems(), IsEmpty()) << url;
  }
}

TEST_F(AuthConfiguration, AnAppViewMayBePlainOnAPrivateNetwork) {
  env_["LATCHKEY_AUTH_ATPROTO"] = env_["LATCHKEY_AUTH_PRIVATE_NETWORK"] = "true";
  env_["LATCHKEY_AUTH_TYPEAHEAD"] = "http://localhost:2584";
  EXPECT_EQ(read().value().service.typeahead, "http://localhost:2584");
}

// --- The file that `latchkey auth --print-config` prints

TEST_F(AuthConfiguration, TheDefaultFileSaysNothing) {
  const auto file = AuthFile::parse(default_file(), "auth.toml");
  ASSERT_TRUE(file.has_value()) << file.error()[0];
  EXPECT_TRUE(file->over([](std::string_view) { return std::nullopt; })("LATCHKEY_AUTH_LISTEN") ==
              std::nullopt);
}

TEST_F(AuthConfiguration, TheDefaultFileHasEveryKeyWithItsVariable) {
  // Every commented key, taken at its word.
  const std::string all = std::regex_replace(default_file(), std::regex("(^|\n)#(\\[|[A-Za-z]+ = )"), "$1$2");
  const auto file = AuthFile::parse(all, "auth.toml");
  ASSERT_TRUE(file.has_value()) << file.error()[0];
  const auto value = file->over([](std::string_view) { return std::nullopt; });
  for (const AuthKey& key : auth_keys()) {
    EXPECT_TRUE(value(key.variable).has_value()) << key.path;
    const std::string name(key.path.substr(key.path.rfind('.') + 1)), variable(key.variable);
    EXPECT_TRUE(std::regex_search(all, std::regex("(^|\n)" + name + " = [^\n]* # " + variable + "(\n|$)")))
        << key.path << " # " << key.variable;
  }
}

TEST_F(AuthConfiguration, TheDefaultFileSaysTheDefaults) {
  const std::string all = std::regex_replace(default_file(), std::regex("(^|\n)#(\\[|[A-Za-z]+ = )"), "$1$2");
  const auto file = AuthFile::parse(all, "auth.toml").value();
  const auto written = file.over([](std::string_view) { return std::nullopt; });
  struct Row {
    const char* variable;
    std::function<std::string(const AuthConfig&)> read;
  };
  env_["LATCHKEY_AUTH_EMAIL_OTP"] = env_["LATCHKEY_AUTH_MAGIC_LINK"] = env_["LATCHKEY_AUTH_JWT"] = "true";
  env_["LATCHKEY_AUTH_ATPROTO"] = "true";
  with_mail();
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  const Row rows[] = {
      {"SESSION_EXPIRES_IN", [](const AuthConfig& c) { return text(c.service.session.expires_in); }},
      {"SESSION_UPDATE_AGE", [](const AuthConfig& c) { return text(c.service.session.update_age); }},
      {"SESSION_FRESH_AGE", [](const AuthConfig& c) { return text(c.service.session.fresh_age); }},
      {"LATCHKEY_AUTH_RATE_LIMIT_WINDOW",
       [](const AuthConfig& c) { return text(c.service.rate_limit.window); }},
      {"LATCHKEY_AUTH_RATE_LIMIT_MAX",
       [](const AuthConfig& c) { return std::to_string(c.service.rate_limit.max); }},
      {"LATCHKEY_AUTH_EMAIL_OTP_LENGTH",
       [](const AuthConfig& c) { return std::to_string(c.service.email_otp->otp_length); }},
      {"LATCHKEY_AUTH_EMAIL_OTP_EXPIRES_IN",
       [](const AuthConfig& c) { return text(c.service.email_otp->expires_in); }},
      {"LATCHKEY_AUTH_MAGIC_LINK_EXPIRES_IN",
       [](const AuthConfig& c) { return text(c.service.magic_link->expires_in); }},
      {"LATCHKEY_AUTH_JWT_EXPIRES_IN", [](const AuthConfig& c) { return text(c.service.jwt->expires_in); }},
      {"LATCHKEY_AUTH_COOKIE_PREFIX", [](const AuthConfig& c) { return c.service.cookies.prefix; }},
      {"LATCHKEY_AUTH_ATPROTO_SCOPE", [](const AuthConfig& c) { return c.bluesky->client.scope; }},
      {"LATCHKEY_AUTH_ATPROTO_PLC_URL", [](const AuthConfig& c) { return c.plc_url; }},
      {"SMTP_PORT", [](const AuthConfig& c) { return std::to_string(c.mail->smtp.port); }},
      {"LATCHKEY_AUTH_LISTEN",
       [](const AuthConfig& c) { return fmt::format("{}:{}", c.listen_address, c.port); }},
  };
  for (const auto& row : rows) EXPECT_EQ(written(row.variable), row.read(*config)) << row.variable;
}

}  // namespace
}  // namespace latchkey::app
