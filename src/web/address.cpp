#include "web/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace latchkey::web {
namespace {

constexpr std::uint8_t k_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool in_any(const IpAddress& address, const std::vector<Network>& networks) {
  return std::ranges::any_of(networks, [&](const Network& n) { return n.contains(address); });
}

std::vector<Network> networks(std::initializer_list<std::string_view> list) {
  std::vector<Network> out;
  for (auto text : list) out.push_back(*Network::parse(text));
  return out;
}

// https://www.iana.org/assignments/iana-ipv4-special-registry, everything that is not globally reachable.
const std::vector<Network>& special_v4() {
  static const auto list = networks({
      "0.0.0.0/8",        // "this network", RFC 791
      "10.0.0.0/8",       // private, RFC 1918
      "100.64.0.0/10",    // carrier-grade NAT, RFC 6598
      "127.0.0.0/8",      // loopback
      "169.254.0.0/16",   // link-local, RFC 3927; cloud metadata services
      "172.16.0.0/12",    // private
      "192.0.0.0/24",     // IETF protocol assignments, RFC 6890
      "192.0.2.0/24",     // documentation, RFC 5737
      "192.31.196.0/24",  // AS112, RFC 7535
      "192.52.193.0/24",  // AMT, RFC 7450
      "192.88.99.0/24",   // 6to4 relay, RFC 7526
      "192.168.0.0/16",   // private
      "192.175.48.0/24",  // AS112, RFC 7534
      "198.18.0.0/15",    // benchmarks, RFC 2544
      "198.51.100.0/24",  // documentation
      "203.0.113.0/24",   // documentation
      "224.0.0.0/4",      // multicast
      "240.0.0.0/4",      // reserved, and the limited broadcast
  });
  return list;
}

// https://www.iana.org/assignments/iana-ipv6-special-registry. Only 2000::/3 is global unicast at all; these
// are the holes in it.
const std::vector<Network>& special_v6() {
  static const auto list = networks({
      "2001::/23",          // IETF protocol assignments, with Teredo (2001::/32), ORCHID, benchmarking
      "2001:db8::/32",      // documentation, RFC 3849
      "2002::/16",          // 6to4: carries any IPv4 address, RFC 3056
      "2620:4f:8000::/48",  // AS112
      "3fff::/20",          // documentation, RFC 9637
  });
  return list;
}

}  // namespace

std::optional<IpAddress> IpAddress::from_bytes(BytesView bytes) {
  IpAddress out;
  if (bytes.size() == 16 && std::equal(k_mapped, k_mapped + 12, bytes.begin())) bytes = bytes.subspan(12);
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  out.v4_ = bytes.size() == 4;
  std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
  return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() > 45 || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  std::uint8_t bytes[16];
  // inet_pton knows only four plain decimals: no octal, hex or short forms.
  if (inet_pton(AF_INET, copy.c_str(), bytes) == 1) return from_bytes({bytes, 4});
  if (inet_pton(AF_INET6, copy.c_str(), bytes) == 1) return from_bytes({bytes, 16});
  return std::nullopt;
}

std::string IpAddress::str() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::string IpAddress::network() const {
  if (v4_) return str();
  IpAddress base = *this;
  std::fill(base.bytes_.begin() + 8, base.bytes_.end(), std::uint8_t{0});
  return base.str() + "/64";
}

std::string client_network(std::string_view address) {
  const auto parsed = IpAddress::parse(address);
  return parsed ? parsed->network() : std::string(address);
}

bool IpAddress::is_loopback() const {
  static const auto v6 = *parse("::1");
  return v4_ ? bytes_[0] == 127 : *this == v6;
}

bool IpAddress::is_public() const {
  if (v4_) return !in_any(*this, special_v4());
  // NAT64's well-known prefix reaches whatever IPv4 address it carries (RFC 6052 §2.1): that one decides.
  static const auto nat64 = *Network::parse("64:ff9b::/96");
  if (nat64.contains(*this)) return from_bytes(BytesView(bytes_).subspan(12))->is_public();
  static const auto global_unicast = *Network::parse("2000::/3");
  return global_unicast.contains(*this) && !in_any(*this, special_v6());
}

std::optional<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned bits = address->is_v4() ? 32 : 128;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    unsigned given = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), given);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() || given > bits)
      return std::nullopt;
    bits = given;
  }
  return Network(*address, bits);
}

bool Network::contains(const IpAddress& address) const {
  if (address.is_v4() != base_.is_v4()) return false;
  const auto whole = bits_ / 8, rest = bits_ % 8;
  if (!std::equal(base_.bytes_.begin(), base_.bytes_.begin() + whole, address.bytes_.begin())) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (base_.bytes_[whole] & mask) == (address.bytes_[whole] & mask);
}

}  // namespace latchkey::web
