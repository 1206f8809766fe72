#include "config.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>

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
  Result<ServeConfig, Problems> read() {
    return read_config(
        [this](std::string_view name) -> std::optional<std::string> {
          const auto at = env_.find(std::string(name));
          return at == env_.end() ? std::nullopt : std::optional(at->second);
        },
        rng_);
  }
  // The variables the problems begin with.
  std::string complaints() {
    const auto config = read();
    std::string out;
    if (!config)
      for (const auto& p : config.error()) out += p.substr(0, p.find_first_of(" :")) + " ";
    return out;
  }
  std::string dir_;
  std::map<std::string, std::string> env_;
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
  EXPECT_FALSE(config->may_sign_up) << "PDS_INVITE_REQUIRED is true unless said otherwise";
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

}  // namespace
}  // namespace latchkey::app
