#pragma once
// IP addresses: which ones are public, which ones belong to a network.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace latchkey::web {

/// IPv4 or IPv6. IPv4-mapped IPv6 (::ffff:a.b.c.d) is the IPv4 address it stands for.
class IpAddress {
 public:
  /// Dotted quad (four plain decimals) or IPv6 text, without brackets or zone.
  static std::optional<IpAddress> parse(std::string_view text);
  static std::optional<IpAddress> from_bytes(BytesView four_or_sixteen);

  bool is_v4() const { return v4_; }
  std::string str() const;
  /// A unicast address of the public internet: none of the special-purpose blocks of RFC 6890 and its
  /// registries, also when it hides inside a translation prefix (NAT64 RFC 6052 and RFC 8215, 6to4, Teredo,
  /// IPv4-compatible).
  bool is_public() const;
  bool is_loopback() const;
  /// What one client is counted by: IPv4 the address, IPv6 its /64, which one subscriber has to himself.
  std::string network() const;
  bool operator==(const IpAddress&) const = default;

 private:
  friend class Network;
  IpAddress() = default;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4 in the first four
  bool v4_ = true;
};

/// "10.0.0.0/8", "fd00::/8" or a single address.
class Network {
 public:
  static std::optional<Network> parse(std::string_view text);
  bool contains(const IpAddress&) const;

 private:
  Network(IpAddress base, unsigned bits) : base_(base), bits_(bits) {}
  IpAddress base_;
  unsigned bits_;
};

/// network() of an address in text; text that is no address stands for itself.
std::string client_network(std::string_view address);

}  // namespace latchkey::web
