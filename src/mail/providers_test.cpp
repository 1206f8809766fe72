#include "mail/providers.h"

#include <gtest/gtest.h>

namespace latchkey::mail {
namespace {

TEST(MailProviders, AreServersThatDemandTlsAndALogin) {
  const Secret<std::string> key("s3cr3t");
  struct Row {
    SmtpServer server;
    std::string host, user;
  };
  for (const auto& row :
       {Row{sendgrid(key), "smtp.sendgrid.net", "apikey"},
        Row{*ses("eu-central-1", "AKIA1", key), "email-smtp.eu-central-1.amazonaws.com", "AKIA1"},
        Row{postmark(key), "smtp.postmarkapp.com", "s3cr3t"}}) {
    EXPECT_EQ(row.server.host, row.host);
    EXPECT_EQ(row.server.user, row.user);
    EXPECT_EQ(row.server.password.reveal(), "s3cr3t");
    EXPECT_EQ(row.server.port, 587);
    EXPECT_EQ(row.server.security, Security::starttls);
  }
}

TEST(MailProviders, AttackRegion_CannotLeadElsewhere) {
  const Secret<std::string> key("s3cr3t");
  for (const char* region : {"", "evil.example/", "x@evil.example", "EU-CENTRAL-1", "a b", "eu\r\n"})
    EXPECT_FALSE(ses(region, "u", key)) << region;
}

}  // namespace
}  // namespace latchkey::mail
