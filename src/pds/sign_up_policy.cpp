#include "pds/sign_up_policy.h"

#include <algorithm>

#include "atproto/syntax/chars.h"
#include "atproto/syntax/handle.h"

namespace latchkey::pds {
namespace {

constexpr std::string_view k_domains = "domains:";

std::unexpected<xrpc::Fault> refuse(xrpc::Error code, const char* message) {
  return fail(xrpc::Fault{.code = code, .message = message});
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<SignUpPolicy, std::string> SignUpPolicy::parse(std::string_view text) {
  text = trimmed(text);
  SignUpPolicy policy;
  if (text == "open") return policy;
  if (text == "invite" || text == "closed") {
    policy.kind_ = text == "invite" ? Kind::invite : Kind::closed;
    return policy;
  }
  if (!text.starts_with(k_domains)) return fail("must be open, invite, domains:<list> or closed");
  policy.kind_ = Kind::domains;
  for (auto rest = text.substr(k_domains.size());;) {
    const auto comma = std::min(rest.find(','), rest.size());
    std::string domain = syntax::lower(trimmed(rest.substr(0, comma)));
    if (domain.starts_with("*.")) domain.erase(0, 1);
    // A handle has the syntax of a host name of two labels or more, which is what mail addresses end in.
    if (!Handle::parse(domain.starts_with('.') ? "x" + domain : domain))
      return fail("must list domains such as example.com or .example.com, not \"" + domain + "\"");
    policy.domains_.push_back(std::move(domain));
    if (comma == rest.size()) return policy;
    rest.remove_prefix(comma + 1);
  }
}

bool SignUpPolicy::allows_domain(std::string_view domain) const {
  const std::string lower = syntax::lower(domain);
  return std::ranges::any_of(domains_, [&](const std::string& allowed) {
    // With its dot a suffix begins at a label, and something stands before it.
    return allowed.starts_with('.') ? lower.size() > allowed.size() && lower.ends_with(allowed)
                                    : lower == allowed;
  });
}

std::string SignUpPolicy::str() const {
  switch (kind_) {
    case Kind::open:
      return "open";
    case Kind::invite:
      return "invite";
    case Kind::closed:
      return "closed";
    case Kind::domains:
      break;
  }
  std::string out(k_domains);
  for (const auto& domain : domains_) out += (&domain == &domains_.front() ? "" : ",") + domain;
  return out;
}

Result<void, xrpc::Fault> may_sign_up(const SignUpPolicy& policy,
                                      const std::optional<mail::EmailAddress>& email,
                                      const std::optional<std::string>& invite_code) {
  switch (policy.kind()) {
    case SignUpPolicy::Kind::open:
      return {};
    case SignUpPolicy::Kind::invite:
      if (!invite_code) return refuse(xrpc::Error::InvalidInviteCode, "No invite code provided");
      return {};
    case SignUpPolicy::Kind::domains:
      if (!email || !policy.allows_domain(email->domain()))
        return refuse(xrpc::Error::InvalidRequest,
                      "This email address is not supported, please use a different email.");
      return {};
    case SignUpPolicy::Kind::closed:
      return refuse(xrpc::Error::InvalidRequest, "This server takes no new accounts");
  }
  std::abort();
}

}  // namespace latchkey::pds
