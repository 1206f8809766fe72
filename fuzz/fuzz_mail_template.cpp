// Whatever a client writes into its mail template: what comes out is markup from a short list, read in one
// way only, that loads nothing, runs nothing and sends the code nowhere.

#include <cstdlib>
#include <set>

#include "signin/branding/mail_template.h"

using namespace latchkey;

namespace {

bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

// Every '<' of the output begins a tag of this shape: </name> or <name attribute="value" …>.
void check(std::string_view html) {
  static const std::set<std::string_view> forbidden{
      "script", "style", "iframe", "form",     "input", "object", "embed",  "svg",    "math", "link",
      "base",   "video", "audio",  "template", "title", "frame",  "button", "select", "xmp",  "noscript"};
  constexpr std::string_view k_head =
      "<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"></head>";
  const auto head = html.find(k_head);
  if (!html.starts_with("<!doctype html><html") || head == std::string_view::npos) std::abort();
  for (std::size_t at = head + k_head.size(); at < html.size();) {
    if (html[at] == '>' || html[at] == '"') std::abort();
    if (html[at] != '<') {
      ++at;
      continue;
    }
    ++at;
    const bool closes = html[at] == '/';
    if (closes) ++at;
    const auto name_at = at;
    while (is_name(html[at])) ++at;
    const auto name = html.substr(name_at, at - name_at);
    if (name.empty() || forbidden.contains(name)) std::abort();
    while (html[at] == ' ') {
      const auto attribute_at = ++at;
      while (is_name(html[at])) ++at;
      const auto attribute = html.substr(attribute_at, at - attribute_at);
      if (closes || attribute.empty() || attribute.starts_with("on") || html.substr(at, 2) != "=\"")
        std::abort();
      const auto end = html.find('"', at + 2);
      if (end == std::string_view::npos) std::abort();
      const auto value = html.substr(at + 2, end - at - 2);
      if (value.find_first_of("<>") != std::string_view::npos) std::abort();
      if (value.find("SECRET42") != std::string_view::npos) std::abort();
      if (attribute == "src" && value != "https://auth.pds.test/logo") std::abort();
      if (attribute == "href" && !value.starts_with("https://") && !value.starts_with("mailto:"))
        std::abort();
      if (attribute == "style" &&
          (value.find("url") != std::string_view::npos && value.find('(') != std::string_view::npos &&
           value.find("url(") != std::string_view::npos))
        std::abort();
      at = end + 1;
    }
    if (html[at] != '>') std::abort();
    ++at;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  signin::MailValues values{.code = "SECRET42",
                            .app_name = "A \"<b>\" & {{code}}",
                            .email = "a@example.com",
                            .logo_uri = "https://auth.pds.test/logo"};
  // The code is shown beside, so that most inputs are no refusal.
  if (const auto mail = signin::MailTemplate::parse("<div>{{code}}</div>" + input))
    for (const bool is_new_user : {false, true}) {
      values.is_new_user = is_new_user;
      values.logo_uri = is_new_user ? "" : "https://auth.pds.test/logo";
      const std::string html = mail->render(values);
      if (html.find("SECRET42") == std::string::npos) std::abort();
      check(html);
    }
  if (const auto subject = signin::SubjectTemplate::parse(input))
    if (subject->render(values).find_first_of("\r\n") != std::string::npos) std::abort();
  return 0;
}
