#include "config.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <tuple>

#include "environment_testing.h"

namespace latchkey::app {
namespace {

class Configuration : public ::testing::Test {
 protected:
  Configuration() {
    char folder[] = "/tmp/latchkey-config-XXXXXX";
    dir_ = ::mkdtemp(folder);
    env_ = {{"PDS_HOSTNAME", "pds.example.com"},
            {"PDS_DATA_DIRECTORY", dir_},
            {"SMTP_HOST", "smtp.example.com"},
            {"SMTP_FROM", "hello@example.com"}};
  }
  ~Configuration() override { std::filesystem::remove_all(dir_); }
  Result<ServeConfig, Problems> read() { return read_config(env_.variables(), env_.names(), rng_); }
  // The variables the problems begin with.
  std::string complaints() {
    const auto config = read();
    return config ? "" : variables_of(config.error());
  }
  std::string dir_;
  TestEnvironment env_;
  SeededRng rng_;
};

TEST_F(Configuration, FourVariablesAreEnough) {
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->pds.public_url, "https://pds.example.com");
  EXPECT_EQ(config->auth_origin, "https://auth.pds.example.com");
  EXPECT_EQ(config->pds.service_did, "did:web:pds.example.com");
  EXPECT_EQ(config->pds.handle_domains, std::vector<std::string>{".pds.example.com"});
  EXPECT_EQ(config->port, 3000);
  EXPECT_EQ(config->smtp.security, mail::Security::starttls);
  EXPECT_EQ(config->pds.sign_up.str(), "invite") << "PDS_INVITE_REQUIRED is true unless said otherwise";
}

TEST_F(Configuration, WhoMaySignUp) {
  struct Row {
    std::optional<std::string> sign_up, invite_required, magic;
    const char* policy;
    bool create_account_asks;
    const char* why;
  };
  const Row rows[] = {
      {{}, {}, {}, "invite", true, "the reference's default"},
      {{}, "true", {}, "invite", true, "the same, said"},
      {{}, "false", {}, "open", false, "no invites"},
      {{}, "true", "m4gic", "open", true, "ePDS: the pages bring the code, createAccount asks for it"},
      {"open", {}, {}, "open", false, "said here"},
      {"invite", {}, {}, "invite", true, "said here"},
      {"invite", {}, "m4gic", "invite", true, "here it means what it says"},
      {"invite", "true", {}, "invite", true, "both agree"},
      {"domains:example.com, *.example.org", {}, {}, "domains:example.com,.example.org", false, "a list"},
      {"closed", {}, {}, "closed", false, "nobody"},
  };
  for (const auto& row : rows) {
    const auto before = env_;
    if (row.sign_up) env_["LATCHKEY_SIGN_UP"] = *row.sign_up;
    if (row.invite_required) env_["PDS_INVITE_REQUIRED"] = *row.invite_required;
    if (row.magic) env_["MAGIC_INVITE_CODE"] = *row.magic;
    const auto config = read();
    ASSERT_TRUE(config.has_value()) << row.why << config.error()[0];
    EXPECT_EQ(config->pds.sign_up.str(), row.policy) << row.why;
    EXPECT_EQ(config->pds.invite_required, row.create_account_asks) << row.why;
    EXPECT_EQ(config->pds.magic_invite_code.has_value(), row.magic.has_value()) << row.why;
    env_ = before;
  }
}

TEST_F(Configuration, ASignUpPolicyThatSaysTwoThingsStopsTheStart) {
  for (const auto& [policy, invites] :
       {std::pair{"open", "true"}, std::pair{"closed", "true"}, std::pair{"domains:example.com", "true"},
        std::pair{"invite", "false"}}) {
    env_["LATCHKEY_SIGN_UP"] = policy;
    env_["PDS_INVITE_REQUIRED"] = invites;
    EXPECT_EQ(complaints(), "LATCHKEY_SIGN_UP ") << policy;
  }
  env_.erase("PDS_INVITE_REQUIRED");
  for (const char* policy : {"everybody", "domains:", "domains:example.com,,", "domains:@example.com"}) {
    env_["LATCHKEY_SIGN_UP"] = policy;
    EXPECT_EQ(complaints(), "LATCHKEY_SIGN_UP ") << policy;
  }
}

TEST_F(Configuration, ThirtyCodesAMinuteUnlessSaidOtherwise) {
  EXPECT_EQ(read()->codes_per_minute, 30);
  env_["LATCHKEY_CODES_PER_MINUTE"] = "1000000";
  EXPECT_EQ(read()->codes_per_minute, 1'000'000);
  for (const char* wrong : {"0", "1000001", "-1", "many"}) {
    env_["LATCHKEY_CODES_PER_MINUTE"] = wrong;
    EXPECT_EQ(complaints(), "LATCHKEY_CODES_PER_MINUTE ") << wrong;
  }
}

TEST_F(Configuration, RequestsAreCountedUnlessSaidOtherwise) {
  ASSERT_TRUE(read()->rate_limits.has_value());
  EXPECT_EQ(read()->rate_limits->bypass_key.reveal(), "");
  env_["PDS_RATE_LIMITS_ENABLED"] = "false";
  EXPECT_FALSE(read()->rate_limits.has_value());
  env_.erase("PDS_RATE_LIMITS_ENABLED");
  env_["PDS_DEV_MODE"] = "true";
  EXPECT_FALSE(read()->rate_limits.has_value());
  env_["PDS_RATE_LIMITS_ENABLED"] = "true";
  env_["PDS_RATE_LIMIT_BYPASS_KEY"] = "e5b8a7f0c1d2938475665748392a1b0c";
  env_["PDS_RATE_LIMIT_BYPASS_IPS"] = "10.0.0.0/8, 2001:db8::1";
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->rate_limits->bypass_key.reveal(), "e5b8a7f0c1d2938475665748392a1b0c");
  EXPECT_EQ(config->rate_limits->bypass_addresses, (std::vector<std::string>{"10.0.0.0/8", "2001:db8::1"}));
  env_["PDS_RATE_LIMIT_BYPASS_IPS"] = "10.0.0.0/8,proxy";
  EXPECT_EQ(complaints(), "PDS_RATE_LIMIT_BYPASS_IPS ");
  env_["PDS_RATE_LIMIT_BYPASS_IPS"] = "";
  env_["LATCHKEY_TRUSTED_PROXIES"] = "10.0.0.0/33";
  EXPECT_EQ(complaints(), "LATCHKEY_TRUSTED_PROXIES ");
  env_.erase("LATCHKEY_TRUSTED_PROXIES");
  env_.erase("PDS_DEV_MODE");
  env_["PDS_RATE_LIMIT_BYPASS_KEY"] = "short";
  EXPECT_EQ(complaints(), "PDS_RATE_LIMIT_BYPASS_KEY ");
}

TEST_F(Configuration, AWrongNameIsNamedOnce) {
  env_["PDS_HOSTNAME"] = "PDS.example.com";
  EXPECT_EQ(complaints(), "PDS_HOSTNAME ");
}

TEST_F(Configuration, TrustedClientsAreClientIds) {
  EXPECT_TRUE(read()->trusted_clients.empty());
  env_["PDS_OAUTH_TRUSTED_CLIENTS"] = "https://app.example/client.json, https://other.example/c";
  EXPECT_EQ(read()->trusted_clients,
            (std::set<std::string>{"https://app.example/client.json", "https://other.example/c"}));
  for (const char* wrong :
       {"app.example", "http://app.example/c", "https://app.example", "https://APP.example/c"}) {
    env_["PDS_OAUTH_TRUSTED_CLIENTS"] = wrong;
    EXPECT_EQ(complaints(), "PDS_OAUTH_TRUSTED_CLIENTS ") << wrong;
  }
}

TEST_F(Configuration, AnAuthorityOfOnesOwnCountsForMailToo) {
  EXPECT_EQ(read()->ca_file, "");
  env_["SSL_CERT_FILE"] = "/etc/ssl/own.pem";
  EXPECT_EQ(read()->ca_file, "/etc/ssl/own.pem");
  EXPECT_EQ(read()->smtp.ca_file, "/etc/ssl/own.pem");
}

TEST_F(Configuration, MadeSecretsStayTheSame) {
  const auto first = read(), second = read();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->dpop_secret.reveal(), second->dpop_secret.reveal());
  EXPECT_EQ(first->pds.jwt_secret.reveal(), second->pds.jwt_secret.reveal());
  EXPECT_EQ(first->pds.rotation_key.public_key().did_key(), second->pds.rotation_key.public_key().did_key());
  EXPECT_NE(first->dpop_secret.reveal(), first->session_secret.reveal());
}

TEST_F(Configuration, SaysEverythingThatIsMissingAtOnce) {
  env_ = {{"PDS_DATA_DIRECTORY", dir_}};
  EXPECT_EQ(complaints(), "PDS_HOSTNAME SMTP_HOST SMTP_FROM ");
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/secrets.json"))
      << "nothing is made for a wrong configuration";
}

TEST_F(Configuration, SaysWhenTheDataDirectoryCannotBeUsed) {
  env_["PDS_DATA_DIRECTORY"] = "/dev/null/data";
  EXPECT_EQ(complaints(), "PDS_DATA_DIRECTORY ");
}

TEST_F(Configuration, AttackWeakSecretsStopTheStart) {
  const std::string good = "b1946ac92492d2347c6235b4d2611184", k31 = good.substr(1);
  for (const char* name : {"PDS_JWT_SECRET", "PDS_DPOP_SECRET", "AUTH_SESSION_SECRET"}) {
    for (const std::string& weak : {std::string(), std::string("secret"), k31, std::string(40, 'a'),
                                    std::string("please-changeme-please-changeme-please")}) {
      env_[name] = weak;
      EXPECT_EQ(complaints(), std::string(name) + " ") << weak;
    }
    env_[name] = good;
    EXPECT_EQ(complaints(), "");
  }
  env_["PDS_ADMIN_PASSWORD"] = "password";
  EXPECT_EQ(complaints(), "PDS_ADMIN_PASSWORD ");
  env_["PDS_ADMIN_PASSWORD"] = "x7Qm2vR9tLpZ";
  EXPECT_EQ(complaints(), "");
  env_["PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"] = std::string(64, '0');
  EXPECT_EQ(complaints(), "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX ");
}

TEST_F(Configuration, NamesTheWrongValues) {
  const std::pair<const char*, const char*> wrong[] = {{"PDS_HOSTNAME", "https://pds.example.com"},
                                                       {"PDS_HOSTNAME", "PDS.example.com"},
                                                       {"PDS_PORT", "0"},
                                                       {"PDS_PORT", "65536"},
                                                       {"PDS_PORT", "80x"},
                                                       {"AUTH_HOSTNAME", "auth.other.example"},
                                                       {"AUTH_HOSTNAME", "evilpds.example.com"},
                                                       {"PDS_SERVICE_HANDLE_DOMAINS", "example.com"},
                                                       {"PDS_PUBLIC_URL", "http://pds.example.com"},
                                                       {"PDS_PUBLIC_URL", "https://pds.example.com/x"},
                                                       {"PDS_DID_PLC_URL", "plc"},
                                                       {"PDS_INVITE_REQUIRED", "yes"},
                                                       {"LOG_LEVEL", "loud"},
                                                       {"SMTP_FROM", "nobody"},
                                                       {"SMTP_PORT", "x"},
                                                       {"EMAIL_PROVIDER", "pigeon"},
                                                       {"PDS_RECOVERY_DID_KEY", "did:key:zzz"}};
  for (const auto& [name, value] : wrong) {
    const auto before = env_;
    env_[name] = value;
    EXPECT_NE(complaints().find(name), std::string::npos) << name << "=" << value;
    env_ = before;
  }
}

TEST_F(Configuration, OneOriginForLocalhostAndOnRequest) {
  env_["AUTH_HOSTNAME"] = "pds.example.com";
  EXPECT_EQ(read()->auth_origin, "https://pds.example.com");
  env_["AUTH_HOSTNAME"] = "login.pds.example.com";
  EXPECT_EQ(read()->auth_origin, "https://login.pds.example.com");
  env_.erase("AUTH_HOSTNAME");
  env_["PDS_HOSTNAME"] = "localhost";
  env_["PDS_PORT"] = "4000";
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->pds.public_url, "http://localhost:4000");
  EXPECT_EQ(config->auth_origin, "http://localhost:4000");
  EXPECT_EQ(config->pds.service_did, "did:web:localhost");
  EXPECT_EQ(config->pds.handle_domains, std::vector<std::string>{".test"});
}

TEST_F(Configuration, SignInElsewhere) {
  EXPECT_TRUE(read()->sign_in_providers.empty());
  env_["OIDC_ACME_ISSUER"] = "http://idp.lan";
  env_["OIDC_ACME_CLIENT_ID"] = "c";
  env_["OIDC_ACME_CLIENT_SECRET"] = "s";
  EXPECT_EQ(complaints(), "OIDC_ACME_ISSUER ");
  env_["PDS_DISABLE_SSRF_PROTECTION"] = "true";
  ASSERT_EQ(read()->sign_in_providers.size(), 1u);
  EXPECT_EQ(read()->sign_in_providers[0].id, "acme");
}

TEST_F(Configuration, MailSettings) {
  env_["SMTP_PORT"] = "465";
  EXPECT_EQ(read()->smtp.security, mail::Security::tls);
  env_["SMTP_PORT"] = "587";
  env_["SMTP_USER"] = "me";
  EXPECT_EQ(complaints(), "SMTP_PASS ");
  env_["SMTP_PASS"] = "pw";
  EXPECT_EQ(read()->smtp.security, mail::Security::starttls);
  env_.erase("SMTP_HOST");
  env_["PDS_EMAIL_SMTP_URL"] = "smtp://127.0.0.1:2525";
  EXPECT_EQ(read()->smtp.port, 2525);
}

TEST_F(Configuration, BrandingHasTheNamesOfTheReference) {
  env_["PDS_SERVICE_NAME"] = "Our Community";
  env_["PDS_LOGO_URL"] = "https://cdn.example.com/logo.svg";
  env_["PDS_HOME_URL"] = "https://example.com/";
  env_["PDS_SUPPORT_URL"] = "https://example.com/help";
  env_["PDS_TERMS_OF_SERVICE_URL"] = "https://example.com/terms";
  env_["PDS_PRIVACY_POLICY_URL"] = "https://example.com/privacy";
  env_["PDS_PRIMARY_COLOR"] = "rgb(0, 133, 255)";
  env_["PDS_ERROR_COLOR"] = "#f00";
  env_["PDS_SUCCESS_COLOR"] = "#00aa00";
  env_["PDS_INFO_COLOR"] = "#00f";
  env_["PDS_WARNING_COLOR"] = "#ff0";
  env_["EMAIL_TEMPLATE_ALLOWED_DOMAINS"] = "app.example, other.example";
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->branding.name, "Our Community");
  EXPECT_EQ(config->branding.logo_url, "https://cdn.example.com/logo.svg");
  EXPECT_EQ(config->branding.terms_of_service_url, "https://example.com/terms");
  EXPECT_EQ(config->branding.colors.brand->str(), "#0085ff");
  EXPECT_EQ(config->branding.colors.bad->str(), "#ff0000");
  EXPECT_EQ(config->email_template_domains, (std::set<std::string>{"app.example", "other.example"}));
}

TEST_F(Configuration, AttackBranding_WhatIsNoColorOrNoWebAddressStopsTheStart) {
  env_["PDS_PRIMARY_COLOR"] = "red;}body{}";
  env_["PDS_ERROR_COLOR"] = "red";
  env_["PDS_SUCCESS_COLOR"] = "#12345";
  env_["PDS_INFO_COLOR"] = "rgb(0,0)";
  env_["PDS_WARNING_COLOR"] = "rgba(0,0,0,0)";
  env_["PDS_LOGO_URL"] = "logo.png";
  env_["LATCHKEY_FAVICON_URL"] = "ftp://example.com/x";
  env_["PDS_HOME_URL"] = "javascript://example.com/%0aalert(1)";
  env_["PDS_SUPPORT_URL"] = "data:text/html,x";
  env_["EMAIL_TEMPLATE_ALLOWED_DOMAINS"] = "https://app.example";
  EXPECT_EQ(
      complaints(),
      "PDS_PRIMARY_COLOR PDS_ERROR_COLOR PDS_SUCCESS_COLOR PDS_INFO_COLOR PDS_WARNING_COLOR PDS_LOGO_URL "
      "LATCHKEY_FAVICON_URL PDS_HOME_URL PDS_SUPPORT_URL EMAIL_TEMPLATE_ALLOWED_DOMAINS ");
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/secrets.json"));
}

TEST_F(Configuration, MailProviders) {
  env_.erase("SMTP_HOST");
  env_["EMAIL_PROVIDER"] = "sendgrid";
  EXPECT_EQ(complaints(), "SENDGRID_API_KEY ");
  env_["SENDGRID_API_KEY"] = "SG.x";
  EXPECT_EQ(read()->smtp.host, "smtp.sendgrid.net");
  env_["EMAIL_PROVIDER"] = "postmark";
  EXPECT_EQ(complaints(), "POSTMARK_SERVER_TOKEN ");
  env_["POSTMARK_SERVER_TOKEN"] = "t";
  EXPECT_EQ(read()->smtp.host, "smtp.postmarkapp.com");
  env_["EMAIL_PROVIDER"] = "ses";
  EXPECT_EQ(complaints(), "AWS_REGION AWS_SES_SMTP_USER AWS_SES_SMTP_PASS ");
  env_["AWS_SES_SMTP_USER"] = "AKIA1";
  env_["AWS_SES_SMTP_PASS"] = "p";
  env_["AWS_REGION"] = "Frankfurt";
  EXPECT_EQ(complaints(), "AWS_REGION ");
  env_["AWS_REGION"] = "eu-central-1";
  EXPECT_EQ(read()->smtp.host, "email-smtp.eu-central-1.amazonaws.com");
  EXPECT_EQ(read()->smtp.security, mail::Security::starttls);
}

TEST_F(Configuration, Dkim) {
  EXPECT_FALSE(read()->dkim.has_value());
  const std::string file = dir_ + "/dkim.pem";
  env_["LATCHKEY_DKIM_DOMAIN"] = "example.com";
  EXPECT_EQ(complaints(), "LATCHKEY_DKIM_SELECTOR LATCHKEY_DKIM_PRIVATE_KEY_FILE ");
  env_["LATCHKEY_DKIM_SELECTOR"] = "s1";
  env_["LATCHKEY_DKIM_PRIVATE_KEY_FILE"] = file;
  EXPECT_EQ(complaints(), "LATCHKEY_DKIM_PRIVATE_KEY_FILE ") << "no such file";
  // RFC 8032 §7.1, test 1
  std::ofstream(file) << "-----BEGIN PRIVATE KEY-----\n"
                         "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                         "-----END PRIVATE KEY-----\n";
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  EXPECT_EQ(config->dkim->record_name(), "s1._domainkey.example.com");
  env_["LATCHKEY_DKIM_SELECTOR"] = "s 1";
  EXPECT_EQ(complaints(), "LATCHKEY_DKIM_SELECTOR ");
  env_["LATCHKEY_DKIM_SELECTOR"] = "s1";
  for (const char* domain : {"other.example", "mail.example.com", "ample.com"}) {
    env_["LATCHKEY_DKIM_DOMAIN"] = domain;
    EXPECT_EQ(complaints(), "LATCHKEY_DKIM_DOMAIN ") << domain << " does not align with the sender";
  }
  env_["SMTP_FROM"] = "hello@mail.example.com";
  for (const char* domain : {"example.com", "mail.example.com"}) {
    env_["LATCHKEY_DKIM_DOMAIN"] = domain;
    EXPECT_EQ(complaints(), "") << domain;
  }
}

TEST_F(Configuration, Templates) {
  env_["LATCHKEY_TEMPLATE_DIRECTORY"] = dir_ + "/nowhere";
  EXPECT_EQ(complaints(), "LATCHKEY_TEMPLATE_DIRECTORY ");
  env_["LATCHKEY_TEMPLATE_DIRECTORY"] = dir_;
  EXPECT_EQ(complaints(), "");
  std::ofstream(dir_ + "/mail_code.txt") << "Hello,\n{{cod}}\n";
  const auto config = read();
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error()[0], "LATCHKEY_TEMPLATE_DIRECTORY: template " + dir_ +
                                   "/mail_code.txt:2: no template is given a value cod");
  std::ofstream(dir_ + "/mail_code.txt") << "Hello,\n{{code}}\n";
  EXPECT_EQ(complaints(), "");
}

// --- A sign-in service on another host

constexpr const char* k_callback_secret = "0123456789abcdef0123456789abcdef";
constexpr const char* k_internal_secret = "fedcba9876543210fedcba9876543210";

TEST_F(Configuration, SplitHostsNeedBothSecrets) {
  EXPECT_FALSE(read()->split_hosts.has_value());
  env_["MAGIC_CALLBACK_SECRET"] = k_callback_secret;
  EXPECT_EQ(complaints(), "MAGIC_INTERNAL_SECRET ");
  env_["MAGIC_INTERNAL_SECRET"] = k_internal_secret;
  const auto config = read();
  ASSERT_TRUE(config.has_value()) << config.error()[0];
  ASSERT_TRUE(config->split_hosts.has_value());
  EXPECT_EQ(as_text(config->split_hosts->callback_secret.reveal()), k_callback_secret);
  EXPECT_EQ(as_text(config->split_hosts->internal_secret.reveal()), k_internal_secret);
  EXPECT_EQ(config->split_hosts->internal_address, "") << "no listener unless it is asked for";
  env_.erase("MAGIC_CALLBACK_SECRET");
  EXPECT_EQ(complaints(), "MAGIC_CALLBACK_SECRET ");
}

TEST_F(Configuration, AttackUnsetSecret_SplitHostsTakeNoWeakOnes) {
  // Development or not: whoever knows the first signs anybody in.
  for (const char* dev_mode : {"false", "true"})
    for (const char* weak : {"", "short", "0123456789abcdef0123456789abcde",
                             "dev-callback-secret-change-me-please", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
      env_["PDS_DEV_MODE"] = dev_mode;
      env_["MAGIC_CALLBACK_SECRET"] = weak;
      env_["MAGIC_INTERNAL_SECRET"] = k_internal_secret;
      EXPECT_EQ(complaints(), "MAGIC_CALLBACK_SECRET ") << weak;
      env_["MAGIC_CALLBACK_SECRET"] = k_callback_secret;
      env_["MAGIC_INTERNAL_SECRET"] = weak;
      EXPECT_EQ(complaints(), "MAGIC_INTERNAL_SECRET ") << weak;
    }
  env_["MAGIC_INTERNAL_SECRET"] = k_callback_secret;
  EXPECT_EQ(complaints(), "MAGIC_INTERNAL_SECRET ") << "the same for both";
}

TEST_F(Configuration, SplitHostsAreTwoHosts) {
  env_["MAGIC_CALLBACK_SECRET"] = k_callback_secret;
  env_["MAGIC_INTERNAL_SECRET"] = k_internal_secret;
  env_["AUTH_HOSTNAME"] = "pds.example.com";
  EXPECT_EQ(complaints(), "MAGIC_CALLBACK_SECRET ");
  env_["AUTH_HOSTNAME"] = "auth.pds.example.com";
  EXPECT_EQ(complaints(), "");
}

TEST_F(Configuration, TheInternalListenerIsPrivate) {
  env_["LATCHKEY_INTERNAL_LISTEN"] = "127.0.0.1:3002";
  EXPECT_EQ(complaints(), "LATCHKEY_INTERNAL_LISTEN ") << "without secrets there is nothing to serve";
  env_["MAGIC_CALLBACK_SECRET"] = k_callback_secret;
  env_["MAGIC_INTERNAL_SECRET"] = k_internal_secret;
  const std::tuple<const char*, const char*, int> good[] = {{"127.0.0.1:3002", "127.0.0.1", 3002},
                                                            {"[::1]:3002", "::1", 3002},
                                                            {"10.1.2.3:1", "10.1.2.3", 1},
                                                            {"0.0.0.0:65535", "0.0.0.0", 65535},
                                                            {"[fd00::5]:3002", "fd00::5", 3002}};
  for (const auto& [text, address, port] : good) {
    env_["LATCHKEY_INTERNAL_LISTEN"] = text;
    const auto config = read();
    ASSERT_TRUE(config.has_value()) << config.error()[0];
    EXPECT_EQ(config->split_hosts->internal_address, address);
    EXPECT_EQ(config->split_hosts->internal_port, port);
  }
  for (const char* bad : {"127.0.0.1", "3002", ":3002", "localhost:3002", "8.8.8.8:3002",
                          "[2606:4700::1]:3002", "127.0.0.1:65536", "127.0.0.1:3002/x", "x@127.0.0.1:3002"}) {
    env_["LATCHKEY_INTERNAL_LISTEN"] = bad;
    EXPECT_EQ(complaints(), "LATCHKEY_INTERNAL_LISTEN ") << bad;
  }
}

}  // namespace
}  // namespace latchkey::app
