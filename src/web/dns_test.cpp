#include "web/dns.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace latchkey::web {
namespace {

using Kind = FetchError::Kind;
using std::chrono::milliseconds;

/// A name server that answers every question the same way.
struct NameServer {
  /// rcode, and the strings of each TXT record, or the data of each record of another type; no answer at all
  /// when `silent`.
  NameServer(int rcode, std::vector<std::vector<std::string>> records, bool silent = false, char type = 16) {
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at);
    socklen_t n = sizeof at;
    getsockname(fd, reinterpret_cast<sockaddr*>(&at), &n);
    port = ntohs(at.sin_port);
    thread = std::thread([this, rcode, records = std::move(records), silent, type] {
      for (;;) {
        unsigned char in[512];
        sockaddr_in from{};
        socklen_t from_size = sizeof from;
        const auto got = recvfrom(fd, in, sizeof in, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
        if (got <= 12) return;
        ++questions;
        if (silent) continue;
        std::size_t end = 12;  // RFC 1035 §4.1.2: the question's labels, then type and class
        while (in[end]) end += in[end] + 1u;
        end += 5;
        std::string out(reinterpret_cast<char*>(in), end);
        out[2] = static_cast<char>(0x84);  // QR, AA
        out[3] = static_cast<char>(rcode);
        out[6] = 0;
        out[7] = static_cast<char>(records.size());
        for (int i = 8; i < 12; ++i) out[static_cast<std::size_t>(i)] = 0;
        for (const auto& strings : records) {
          std::string data;
          for (const auto& s : strings) data += type == 16 ? static_cast<char>(s.size()) + s : s;
          out += std::string("\xc0\x0c\0", 3) + type + std::string("\0\1\0\0\0\x3c", 6);
          out += static_cast<char>(data.size() >> 8);
          out += static_cast<char>(data.size());
          out += data;
        }
        sendto(fd, out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
      }
    });
  }
  ~NameServer() {
    // A datagram to itself ends the loop: shutdown does not wake recvfrom on every kernel.
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port);
    sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&at), sizeof at);
    thread.join();
    close(fd);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port); }
  int fd;
  std::uint16_t port;
  std::atomic<int> questions{0};
  std::thread thread;
};

Result<std::vector<std::string>, FetchError> ask(DnsOptions options,
                                                 std::string name = "_atproto.alice.test") {
  DnsResolver resolver(std::move(options));
  return run(resolver.txt(std::move(name)));
}

TEST(DnsResolver, JoinsTheStringsOfARecord) {  // RFC 1035 §3.3.14
  NameServer server(0, {{"did=did:plc:", "abc"}, {"other"}});
  const auto r = ask({.nameservers = {server.address()}});
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  EXPECT_EQ(*r, (std::vector<std::string>{"did=did:plc:abc", "other"}));
}

TEST(DnsResolver, GivesMxRecords) {  // RFC 1035 §3.3.9, RFC 7505
  constexpr char k_mx = 15;
  NameServer server(0, {{std::string("\0\x0a\4mail\7example\0", 16)}, {std::string("\0\x14\2m2\xc0\x0c", 7)}},
                    false, k_mx);
  DnsResolver resolver({.nameservers = {server.address()}});
  const auto r = run(resolver.mx("a.test"));
  ASSERT_TRUE(r.has_value()) << r.error().detail;
  ASSERT_EQ(r->size(), 2u);
  EXPECT_EQ((*r)[0].host, "mail.example");
  EXPECT_EQ((*r)[0].preference, 10);
  EXPECT_EQ((*r)[1].host, "m2.a.test");

  NameServer none(0, {{std::string("\0\0\0", 3)}}, false, k_mx), no_name(3, {});
  DnsResolver no_mail({.nameservers = {none.address()}}), nowhere({.nameservers = {no_name.address()}});
  EXPECT_EQ(run(no_mail.mx("a.test")).value().at(0).host, "");
  EXPECT_TRUE(run(nowhere.mx("a.test")).value().empty());
}

TEST(DnsResolver, NoSuchNameAndNoSuchRecordAreEmptyLists) {
  NameServer no_name(3, {}), no_record(0, {});
  EXPECT_EQ(ask({.nameservers = {no_name.address()}}).value().size(), 0u);
  EXPECT_EQ(ask({.nameservers = {no_record.address()}}).value().size(), 0u);
}

TEST(DnsResolver, AFailingServerIsAnError) {
  NameServer server(2, {});
  const auto r = ask({.nameservers = {server.address()}, .timeout = milliseconds(1000)});
  ASSERT_FALSE(r.has_value());
}

TEST(DnsResolver, ASilentServerIsATimeout) {
  NameServer server(0, {}, true);
  const auto r = ask({.nameservers = {server.address()}, .timeout = milliseconds(150)});
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, Kind::timeout);
}

TEST(DnsResolver, TheBackupIsAskedWhenTheFirstFailsAndNotWhenItSaysNo) {
  NameServer broken(2, {}), no(3, {}), backup(0, {{"did=did:plc:abc"}});
  const auto r = ask({.nameservers = {broken.address()}, .backup_nameservers = {backup.address()}});
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->size(), 1u);
  EXPECT_EQ(backup.questions, 1);
  EXPECT_EQ(ask({.nameservers = {no.address()}, .backup_nameservers = {backup.address()}}).value().size(),
            0u);
  EXPECT_EQ(backup.questions, 1);
}

TEST(DnsResolver, RecordLimitBothSides) {
  NameServer server(0, std::vector<std::vector<std::string>>(8, {"x"}));
  EXPECT_EQ(ask({.nameservers = {server.address()}, .max_records = 8}).value().size(), 8u);
  EXPECT_EQ(ask({.nameservers = {server.address()}, .max_records = 7}).error().kind, Kind::too_large);
}

TEST(DnsResolver, OddNamesAreNotAsked) {
  NameServer server(0, {});
  for (const auto& name : {std::string(), std::string("a..b"), std::string(".a"), std::string("a b"),
                           std::string("a\0b", 3), std::string("caf\xc3\xa9"), std::string(254, 'a')})
    EXPECT_FALSE(ask({.nameservers = {server.address()}}, name).has_value());
  EXPECT_EQ(server.questions, 0);
}

TEST(DnsResolver, MistypedServersAreAMistake) {
  EXPECT_THROW(DnsResolver({.nameservers = {"not a server"}}), std::invalid_argument);
}

TEST(DnsResolver, LookupsUnderWayEndWhenItGoes) {
  NameServer server(0, {}, true);
  auto resolver = std::make_unique<DnsResolver>(
      DnsOptions{.nameservers = {server.address()}, .timeout = milliseconds(60'000)});
  InlineExecutor executor;
  std::optional<Result<std::vector<std::string>, FetchError>> out;
  const auto start = [](DnsResolver* r, auto* into) -> Task<void> {
    into->emplace(co_await r->txt("a.test"));
  };
  executor.post([&] { spawn(start(resolver.get(), &out)); });
  executor.post([&] { resolver.reset(); });
  executor.run_until([&] { return out.has_value(); });
  EXPECT_FALSE(out->has_value());
}

}  // namespace
}  // namespace latchkey::web
