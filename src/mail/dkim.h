#pragma once
// DomainKeys Identified Mail (RFC 6376), relaxed/relaxed, rsa-sha256 or ed25519-sha256 (RFC 8463).

#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "crypto/dkim_key.h"

namespace latchkey::mail {

struct Dkim {
  std::string domain;    // d=, the domain of From or one above it
  std::string selector;  // s=
  crypto::DkimKey key;

  std::string record_name() const { return selector + "._domainkey." + domain; }
  /// The TXT record to publish there: "v=DKIM1; k=rsa; p=…".
  std::string record() const;
};

/// A label or several (RFC 6376 §3.1), lower-case.
bool is_selector(std::string_view text);

/// The field to put in front of the mail, CRLF included: "DKIM-Signature: v=1; …". The mail has CRLF line
/// ends, as render() writes it. From is signed once more than it occurs, so that nobody adds a second one
/// (§8.15).
std::string dkim_signature(const Dkim&, std::string_view mail, Time now);

/// §3.4.4: everything a verifier is to ignore taken out of a body.
std::string relaxed_body(std::string_view body);

/// §3.7: the named fields of the header, from the last one of a name up, relaxed (§3.4.2); then the signature
/// field itself, whose b= is empty, without its line end. This is what is signed.
std::string signed_text(std::string_view header, std::span<const std::string_view> names,
                        std::string_view signature_field);

}  // namespace latchkey::mail
