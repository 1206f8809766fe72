#include "signin/branding/mail_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "mail/message.h"
#include "web/template.h"

namespace latchkey::signin {
namespace {

using Kind = MailPiece::Kind;
using Text = Result<std::string, std::string>;

std::string_view trim(std::string_view s) {
  while (s.starts_with(' ')) s.remove_prefix(1);
  while (s.ends_with(' ')) s.remove_suffix(1);
  return s;
}

// The text for people with or without an account: sections are gone, variables are spelled {{name}}.
Text without_sections(std::string_view text, bool is_new_user) {
  const auto bad = [](std::string_view what) { return fail(fmt::format("it has {}", what)); };
  std::string out;
  std::optional<bool> section;  // inside of one for new users, or for the others
  for (;;) {
    const auto begin = text.find("{{");
    const bool shown = !section || *section == is_new_user;
    if (shown) out += text.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const auto end = text.find("}}", begin);
    if (end == std::string_view::npos) return bad("a tag that is not closed");
    const auto tag = trim(text.substr(begin + 2, end - begin - 2));
    text.remove_prefix(end + 2);
    if (tag.empty()) return bad("an empty tag");
    const char sigil = tag.front();
    const auto name = trim(tag.substr(1));
    if (sigil == '#' || sigil == '^') {
      if (name != "is_new_user" || section) return bad("a section that is not one of is_new_user");
      section = sigil == '#';
    } else if (sigil == '/') {
      if (name != "is_new_user" || !section) return bad("the end of a section that is not open");
      section.reset();
    } else if (tag == "code" || tag == "app_name" || tag == "email" || tag == "logo_uri") {
      if (shown) out += fmt::format("{{{{{}}}}}", tag);
    } else {
      return bad("a tag that is not known");
    }
  }
  if (section) return bad("a section that is not closed");
  return out;
}

Result<std::vector<MailPiece>, std::string> form_of(std::string_view html, bool is_new_user) {
  TRY(const std::string text, without_sections(html, is_new_user));
  TRY(auto pieces, clean_mail_markup(text));
  if (std::ranges::none_of(pieces, [](const MailPiece& piece) { return piece.kind == Kind::code; }))
    return fail(std::string("it does not show {{code}}"));
  return pieces;
}

}  // namespace

Result<MailTemplate, std::string> MailTemplate::parse(std::string_view html) {
  if (html.size() > k_max_mail_template) return fail(std::string("it is too large"));
  MailTemplate out;
  TRY(out.known_, form_of(html, false));
  TRY(out.new_, form_of(html, true));
  return out;
}

std::string MailTemplate::render(const MailValues& values) const {
  std::string out;
  bool left_out = false;
  for (const auto& piece : values.is_new_user ? new_ : known_) {
    if (piece.kind == Kind::if_logo)
      left_out = values.logo_uri.empty();
    else if (piece.kind == Kind::end_if_logo)
      left_out = false;
    if (left_out) continue;
    switch (piece.kind) {
      case Kind::markup:
        out += piece.markup;
        break;
      case Kind::code:
        out += web::html_escape(values.code);
        break;
      case Kind::app_name:
        out += web::html_escape(values.app_name);
        break;
      case Kind::email:
        out += web::html_escape(values.email);
        break;
      case Kind::logo_uri:
        out += web::html_escape(values.logo_uri);
        break;
      case Kind::if_logo:
      case Kind::end_if_logo:
        break;
    }
  }
  return out;
}

Result<SubjectTemplate, std::string> SubjectTemplate::parse(std::string_view text) {
  SubjectTemplate out;
  TRY(out.known_, without_sections(text, false));
  TRY(out.new_, without_sections(text, true));
  return out;
}

std::string SubjectTemplate::render(const MailValues& values) const {
  std::string out;
  std::string_view rest = values.is_new_user ? new_ : known_;
  // Once from left to right: what a value brings is not read again.
  for (;;) {
    const auto begin = rest.find("{{");
    out += rest.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const auto end = rest.find("}}", begin);
    const auto name = rest.substr(begin + 2, end - begin - 2);
    out += name == "code"       ? values.code
           : name == "app_name" ? values.app_name
           : name == "email"    ? values.email
                                : values.logo_uri;
    rest.remove_prefix(end + 2);
  }
  return mail::header_safe(out);
}

}  // namespace latchkey::signin
