#include "web/address.h"

#include <gtest/gtest.h>

namespace latchkey::web {
namespace {

struct Row {
  std::string_view text;
  bool is_public;
  std::string_view why;
};

class Address : public ::testing::TestWithParam<Row> {};

TEST_P(Address, IsPublicOrNot) {
  const auto a = IpAddress::parse(GetParam().text);
  ASSERT_TRUE(a.has_value()) << GetParam().text;
  EXPECT_EQ(a->is_public(), GetParam().is_public) << GetParam().text << ": " << GetParam().why;
}

// Both sides of each block of the IANA special-purpose registries.
INSTANTIATE_TEST_SUITE_P(
    Registry, Address,
    ::testing::Values(
        Row{"8.8.8.8", true, "plain"}, Row{"1.0.0.0", true, "after 0/8"},
        Row{"0.0.0.0", false, "unspecified"}, Row{"0.255.255.255", false, "this network"},
        Row{"9.255.255.255", true, "before 10/8"}, Row{"10.0.0.0", false, "private"},
        Row{"10.255.255.255", false, "private"}, Row{"11.0.0.0", true, "after 10/8"},
        Row{"100.63.255.255", true, "before CGNAT"}, Row{"100.64.0.0", false, "CGNAT"},
        Row{"100.127.255.255", false, "CGNAT"}, Row{"100.128.0.0", true, "after CGNAT"},
        Row{"126.255.255.255", true, "before loopback"}, Row{"127.0.0.1", false, "loopback"},
        Row{"127.255.255.255", false, "loopback"}, Row{"128.0.0.0", true, "after loopback"},
        Row{"169.253.255.255", true, "before link-local"}, Row{"169.254.169.254", false, "metadata"},
        Row{"169.255.0.0", true, "after link-local"}, Row{"172.15.255.255", true, "before 172.16/12"},
        Row{"172.16.0.0", false, "private"}, Row{"172.31.255.255", false, "private"},
        Row{"172.32.0.0", true, "after 172.16/12"}, Row{"192.0.0.8", false, "protocol assignments"},
        Row{"192.0.1.0", true, "between"}, Row{"192.0.2.255", false, "documentation"},
        Row{"192.0.3.0", true, "after documentation"}, Row{"192.88.99.1", false, "6to4 relay"},
        Row{"192.167.255.255", true, "before 192.168/16"}, Row{"192.168.0.0", false, "private"},
        Row{"192.169.0.0", true, "after 192.168/16"}, Row{"198.17.255.255", true, "before benchmarks"},
        Row{"198.18.0.0", false, "benchmarks"}, Row{"198.19.255.255", false, "benchmarks"},
        Row{"198.20.0.0", true, "after benchmarks"}, Row{"198.51.100.1", false, "documentation"},
        Row{"203.0.113.1", false, "documentation"}, Row{"223.255.255.255", true, "before multicast"},
        Row{"224.0.0.0", false, "multicast"}, Row{"239.255.255.255", false, "multicast"},
        Row{"240.0.0.0", false, "reserved"}, Row{"255.255.255.255", false, "broadcast"},
        Row{"2001:4860:4860::8888", true, "plain"}, Row{"2606:4700::1111", true, "plain"},
        Row{"::", false, "unspecified"}, Row{"::1", false, "loopback"},
        Row{"::ffff:8.8.8.8", true, "mapped public"}, Row{"::ffff:10.0.0.1", false, "mapped private"},
        Row{"::7f00:1", false, "IPv4-compatible loopback"}, Row{"64:ff9b::808:808", true, "NAT64 of 8.8.8.8"},
        Row{"64:ff9b::a00:1", false, "NAT64 of 10.0.0.1"}, Row{"64:ff9b::7f00:1", false, "NAT64 of loopback"},
        Row{"64:ff9b:1::808:808", false, "local NAT64"}, Row{"100::1", false, "discard"},
        Row{"2001::1", false, "Teredo"}, Row{"2001:1ff:ffff::", false, "protocol assignments"},
        Row{"2001:200::1", true, "after 2001::/23"}, Row{"2001:db8::1", false, "documentation"},
        Row{"2001:db9::1", true, "after documentation"}, Row{"2002:808:808::1", false, "6to4"},
        Row{"2003::1", true, "after 6to4"}, Row{"3ffe::1", true, "below"},
        Row{"3fff::1", false, "documentation"}, Row{"4000::1", false, "not allocated"},
        Row{"5f00::1", false, "SRv6"}, Row{"fc00::1", false, "unique local"},
        Row{"fdff::1", false, "unique local"}, Row{"fe80::1", false, "link local"},
        Row{"fec0::1", false, "site local"}, Row{"ff02::1", false, "multicast"}));

TEST(IpAddress, OnlyTheOneSpellingPerAddressIsRead) {
  for (const auto* text : {"", "1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ",
                           "[::1]", "fe80::1%eth0", "::1::", "01.2.3.4"})
    EXPECT_FALSE(IpAddress::parse(text).has_value()) << text;
  EXPECT_EQ(IpAddress::parse("::FFFF:1.2.3.4")->str(), "1.2.3.4");
  EXPECT_EQ(IpAddress::parse("2001:0DB8::0001")->str(), "2001:db8::1");
}

TEST(Network, ContainsByPrefix) {
  const auto contains = [](std::string_view network, std::string_view address) {
    return Network::parse(network)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("192.168.1.128/25", "192.168.1.129"));
  EXPECT_FALSE(contains("192.168.1.128/25", "192.168.1.127"));
  EXPECT_TRUE(contains("0.0.0.0/0", "9.9.9.9"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("127.0.0.1", "::ffff:127.0.0.1"));
  EXPECT_FALSE(contains("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(contains("fd00::/8", "fdff::1"));
}

TEST(Network, Refuses) {
  for (const auto* text : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "x/8"})
    EXPECT_FALSE(Network::parse(text).has_value()) << text;
}

TEST(ClientNetwork, IsWhatOneSubscriberHas) {
  EXPECT_EQ(client_network("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_network("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(client_network("2001:db8:1:2::"), "2001:db8:1:2::/64");
  EXPECT_EQ(client_network("unknown"), "unknown");
}

}  // namespace
}  // namespace latchkey::web
