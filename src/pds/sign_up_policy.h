#pragma once
// Who may make an account here.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/xrpc/error.h"
#include "base/result.h"
#include "mail/address.h"

namespace latchkey::pds {

/// `open | invite | domains:<list> | closed`. A list is comma-separated: `example.com` is that domain alone,
/// `.example.com` (or `*.example.com`) every domain below it but not itself. Upper case counts as lower case.
class SignUpPolicy {
 public:
  enum class Kind { open, invite, domains, closed };

  SignUpPolicy() = default;  // open
  /// The error is a sentence's end for the operator: "must be …".
  static Result<SignUpPolicy, std::string> parse(std::string_view text);

  Kind kind() const { return kind_; }
  /// Whether an address of this domain may sign up under `domains`.
  bool allows_domain(std::string_view domain) const;
  std::string str() const;
  bool operator==(const SignUpPolicy&) const = default;

 private:
  Kind kind_ = Kind::open;
  std::vector<std::string> domains_;
};

/// Whether these may be tried. Whether the invite is good shows when it is spent. Errors: InvalidInviteCode
/// (none given), InvalidRequest.
Result<void, xrpc::Fault> may_sign_up(const SignUpPolicy& policy,
                                      const std::optional<mail::EmailAddress>& email,
                                      const std::optional<std::string>& invite_code);

}  // namespace latchkey::pds
