#pragma once
// Handles this server gives out: one label below one of its service domains.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/syntax/handle.h"
#include "atproto/xrpc/error.h"
#include "base/result.h"
#include "base/rng.h"

namespace latchkey::pds {

class HandleRules {
 public:
  /// Domains with their leading dot. Throws std::invalid_argument for one that cannot end a handle.
  explicit HandleRules(std::vector<std::string> domains);

  /// The service domain (with its dot) a handle is under; the longest one wins.
  std::optional<std::string_view> domain_of(std::string_view handle) const;
  /// Whether we alone answer for this host name: under a service domain, or such a domain itself.
  bool is_ours(std::string_view host) const;

  /// What a new account may be called: one label of 3 to 18 characters, not reserved.
  Result<void, xrpc::Fault> check(const Handle& handle) const;

  /// Six characters of base 36, uniform among those that are not all digits and hold no rude word.
  Handle random(Rng& rng) const;

  const std::vector<std::string>& domains() const { return domains_; }

 private:
  std::vector<std::string> domains_;
};

inline constexpr std::size_t k_min_label = 3;
inline constexpr std::size_t k_max_label = 18;
inline constexpr std::size_t k_random_label = 6;

/// Labels nobody may register: names of the protocol, of services, of roles.
bool is_reserved_label(std::string_view label);
/// Whether a label spells something rude, digits read as letters.
bool is_rude(std::string_view label);

}  // namespace latchkey::pds
