#include <gmock/gmock.h>
#include <openssl/pem.h>

#include "base/encoding.h"
#include "base/mx_lookup.h"
#include "mail/check.h"

namespace latchkey::mail {
namespace {

using ::testing::HasSubstr;
using Mark = Finding::Mark;

// RFC 8463 §A.1
Dkim key_of_the_rfc() {
  Bytes pkcs8 = *from_hex("302e020100300506032b657004220420");
  append(pkcs8, *from_base64("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="));
  return {"community.example", "s1",
          *crypto::DkimKey::from_pem("-----BEGIN PRIVATE KEY-----\n" + base64(pkcs8) +
                                     "\n-----END PRIVATE KEY-----\n")};
}
constexpr const char* k_good_key = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

struct Zone final : TxtLookup, MxLookup {
  std::map<std::string, std::vector<std::string>> texts{
      {"mail.community.example", {"something=else", "v=spf1 include:provider.example -all"}},
      {"s1._domainkey.community.example", {k_good_key}},
      {"_dmarc.mail.community.example", {"v=DMARC1; p=reject; rua=mailto:x@community.example"}}};
  std::vector<MxRecord> servers{{10, "mx.community.example"}};
  bool broken = false;

  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override {
    if (broken) co_return fail(FetchError{FetchError::Kind::timeout, "DNS"});
    co_return texts[name];
  }
  Task<Result<std::vector<MxRecord>, FetchError>> mx(std::string) override {
    if (broken) co_return fail(FetchError{FetchError::Kind::timeout, "DNS"});
    co_return servers;
  }
  Finding about(std::string_view what) {
    const auto all =
        run(check_dns(*EmailAddress::parse("login@mail.community.example"), key_of_the_rfc(), *this, *this));
    for (const auto& f : all)
      if (f.text.starts_with(what)) return f;
    throw std::runtime_error("no such finding");
  }
  std::vector<std::string>& spf() { return texts["mail.community.example"]; }
  std::vector<std::string>& key() { return texts["s1._domainkey.community.example"]; }
  std::vector<std::string>& dmarc() { return texts["_dmarc.mail.community.example"]; }
};

TEST(MailDns, AllIsWell) {
  Zone zone;
  for (const char* what : {"MX", "SPF", "DKIM", "DMARC"})
    EXPECT_EQ(zone.about(what).mark, Mark::good) << zone.about(what).text;
}

TEST(MailDns, NamesThatAreNotThere) {
  Zone zone;
  zone.texts.clear();
  zone.servers.clear();
  EXPECT_EQ(zone.about("MX").mark, Mark::note);
  for (const char* what : {"SPF", "DKIM", "DMARC"}) EXPECT_EQ(zone.about(what).mark, Mark::wrong);
  EXPECT_THAT(zone.about("DKIM").text, HasSubstr(k_good_key));
}

TEST(MailDns, ADeadNameServerIsNobodysFault) {
  Zone zone;
  zone.broken = true;
  for (const char* what : {"MX", "SPF", "DKIM", "DMARC"}) {
    EXPECT_EQ(zone.about(what).mark, Mark::note);
    EXPECT_THAT(zone.about(what).text, HasSubstr("could not be asked"));
  }
}

TEST(MailDns, NullMx) {  // RFC 7505
  Zone zone;
  zone.servers = {{0, ""}};
  EXPECT_EQ(zone.about("MX").mark, Mark::wrong);
}

TEST(MailDns, SpfRecords) {  // RFC 7208 §4.5, §5.1
  struct Row {
    std::vector<std::string> records;
    Mark mark;
  };
  for (const auto& row :
       {Row{{"v=spf1"}, Mark::good}, Row{{"V=SPF1 mx -ALL"}, Mark::good},
        Row{{"v=spf10 mx -all"}, Mark::wrong}, Row{{"v=spf2 mx"}, Mark::wrong},
        Row{{"v=spf1 -all", "v=spf1 mx -all"}, Mark::wrong}, Row{{"v=spf1 mx all"}, Mark::wrong},
        Row{{"v=spf1 +all"}, Mark::wrong}, Row{{"v=spf1 include:all.example ?all"}, Mark::good}}) {
    Zone zone;
    zone.spf() = row.records;
    EXPECT_EQ(zone.about("SPF").mark, row.mark) << row.records[0];
  }
}

TEST(MailDns, DkimRecords) {  // RFC 6376 §3.6.1
  struct Row {
    std::vector<std::string> records;
    Mark mark;
    const char* words;
  };
  const std::string good = k_good_key;
  for (const auto& row :
       {Row{{"k=ed25519;p=11qYAYKxCrfVS/7TyWQHOg7 hcvPapiMlrwIaaPcHURo= ;"}, Mark::good, "our key"},
        Row{{good + "; t=y"}, Mark::note, "t=y"}, Row{{good + "; t=s"}, Mark::good, "our key"},
        Row{{"v=DKIM1; k=ed25519; p="}, Mark::wrong, "withdrawn"},
        Row{{"v=DKIM1; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, Mark::wrong, "another key"},
        Row{{"v=DKIM1; k=ed25519; p=AAAA"}, Mark::wrong, "another key"},
        Row{{"v=DKIM2; k=ed25519; p=AAAA"}, Mark::wrong, "no key"}, Row{{"hello"}, Mark::wrong, "no key"},
        Row{{good + "; p=AAAA"}, Mark::wrong, "no key"}, Row{{good, good}, Mark::wrong, "must be one"}}) {
    Zone zone;
    zone.key() = row.records;
    EXPECT_EQ(zone.about("DKIM").mark, row.mark) << row.records[0];
    EXPECT_THAT(zone.about("DKIM").text, HasSubstr(row.words));
  }
}

TEST(MailDns, DmarcPolicies) {  // RFC 7489 §6.3
  struct Row {
    std::vector<std::string> own, above;
    Mark mark;
    const char* words;
  };
  for (const auto& row : {Row{{"v=DMARC1; p=quarantine"}, {}, Mark::good, "quarantine"},
                          Row{{"v=DMARC1;p=none"}, {}, Mark::note, "only watches"},
                          Row{{"v=DMARC1"}, {}, Mark::wrong, "no policy"},
                          Row{{"v=DMARC1; p=reject", "v=DMARC1; p=none"}, {}, Mark::wrong, "2 records"},
                          Row{{}, {"v=DMARC1; p=reject"}, Mark::good, "_dmarc.community.example says reject"},
                          Row{{}, {"v=DMARC1; p=reject; sp=none"}, Mark::note, "only watches"},
                          Row{{"unrelated"}, {}, Mark::wrong, "not in DNS"}}) {
    Zone zone;
    zone.dmarc() = row.own;
    zone.texts["_dmarc.community.example"] = row.above;
    EXPECT_EQ(zone.about("DMARC").mark, row.mark);
    EXPECT_THAT(zone.about("DMARC").text, HasSubstr(row.words));
  }
}

TEST(MailDns, UnsignedMailsAreWorthANote) {
  Zone zone;
  const auto all =
      run(check_dns(*EmailAddress::parse("login@mail.community.example"), std::nullopt, zone, zone));
  EXPECT_EQ(all[2].mark, Mark::note);
}

}  // namespace
}  // namespace latchkey::mail
