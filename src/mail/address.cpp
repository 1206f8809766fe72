#include "mail/address.h"

#include "base/log.h"

namespace latchkey::mail {

namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// RFC 5322 §3.2.3 atext, lower-cased.
bool is_atext(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool is_dot_atom(std::string_view s) {
  bool dot = true;  // no dot first, last, or after a dot
  for (const char c : s) {
    if (c == '.' ? dot : !is_atext(c)) return false;
    dot = c == '.';
  }
  return !dot;
}

// RFC 1123 §2.1 labels; the last one is not all digits, or it would be an address.
bool is_host_name(std::string_view s) {
  int labels = 0;
  bool letter = false;
  for (std::size_t at = 0; at <= s.size(); ++labels) {
    const auto dot = std::min(s.find('.', at), s.size());
    const auto label = s.substr(at, dot - at);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    letter = false;
    for (const char c : label) {
      if (!is_alnum(c) && c != '-') return false;
      letter |= c < '0' || c > '9';
    }
    at = dot + 1;
  }
  return labels >= 2 && letter;
}

}  // namespace

Result<EmailAddress, AddressError> EmailAddress::parse(std::string_view text) {
  constexpr std::string_view k_space = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(k_space);
  if (first == std::string_view::npos)
    return fail(AddressError{AddressProblem::missing, "Please enter an e-mail address."});
  text = text.substr(first, text.find_last_not_of(k_space) - first + 1);
  if (text.size() > 254)
    return fail(AddressError{AddressProblem::too_long, "This e-mail address is too long."});

  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto at = lower.find('@');
  if (at == std::string::npos)
    return fail(AddressError{AddressProblem::incomplete, "This is not a complete e-mail address."});
  const std::string_view local(lower.data(), at);
  const auto domain = std::string_view(lower).substr(at + 1);
  if (local.size() > 64 || !is_dot_atom(local) || !is_host_name(domain))
    return fail(AddressError{AddressProblem::invalid, "This is not a valid e-mail address."});
  return EmailAddress(std::move(lower));
}

std::string_view EmailAddress::local() const { return std::string_view(text_).substr(0, text_.find('@')); }
std::string_view EmailAddress::domain() const { return std::string_view(text_).substr(text_.find('@') + 1); }

std::string EmailAddress::masked() const {
  // Of a short name nothing but its first letter, or the mask would hide nothing.
  if (local().size() < 3) return text_.substr(0, 1) + "***@" + std::string(domain());
  return log::redact_email(text_);
}

}  // namespace latchkey::mail
