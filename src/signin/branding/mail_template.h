#pragma once
// A client's own mail: its HTML body and its subject, as templates (epds-flows, section 5).
//
//   {{code}} {{app_name}} {{email}} {{logo_uri}}
//   {{#is_new_user}}…{{/is_new_user}} {{^is_new_user}}…{{/is_new_user}}, not inside one another
//
// and nothing else of mustache. A template with anything else is refused as a whole.

#include "signin/branding/mail_markup.h"

namespace latchkey::signin {

struct MailValues {
  std::string code, app_name, email;
  std::string logo_uri;  // "": the logo's image is left out
  bool is_new_user = false;
};

inline constexpr std::size_t k_max_mail_template = 100 * 1024;

class MailTemplate {
 public:
  /// At most k_max_mail_template bytes; both forms must show the code. The error says what is wrong with it.
  static Result<MailTemplate, std::string> parse(std::string_view html);
  /// Values are escaped.
  std::string render(const MailValues& values) const;

 private:
  MailTemplate() = default;
  std::vector<MailPiece> known_, new_;
};

class SubjectTemplate {
 public:
  static Result<SubjectTemplate, std::string> parse(std::string_view text);
  /// Values as they are; one line.
  std::string render(const MailValues& values) const;

 private:
  SubjectTemplate() = default;
  std::string known_, new_;
};

}  // namespace latchkey::signin
