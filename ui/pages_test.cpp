// What ui/README.md promises of every page: it works under a strict Content-Security-Policy, hostile names
// stay text, forms carry the CSRF token and fields have labels.

#include <gmock/gmock.h>

#include <regex>

#include "ui/embedded.h"
#include "web/messages.h"
#include "web/template.h"

namespace latchkey {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view k_hostile = "<script>\"'&";

json::Object list_item(std::initializer_list<const char*> names) {
  json::Object item;
  for (const char* name : names) item.set(name, k_hostile);
  return item;
}

// Every variable of ui/README.md, each one an attack. Sections of lists have one item.
json::Object hostile_view() {
  json::Object view = list_item({"lang",
                                 "title",
                                 "service_host",
                                 "brand_css",
                                 "operator_name",
                                 "operator_logo",
                                 "favicon",
                                 "home_url",
                                 "terms_url",
                                 "privacy_url",
                                 "support_url",
                                 "has_operator_links",
                                 "csrf",
                                 "app_name",
                                 "app_host",
                                 "app_logo",
                                 "app_initial",
                                 "action",
                                 "email",
                                 "error",
                                 "notice",
                                 "masked_email",
                                 "send_action",
                                 "verify_action",
                                 "resend_action",
                                 "different_action",
                                 "recover_url",
                                 "client_id",
                                 "handle_suffix",
                                 "typed_handle",
                                 "invite",
                                 "invite_code",
                                 "sign_up_note",
                                 "handle",
                                 "did",
                                 "redirect_host",
                                 "heading",
                                 "message",
                                 "advice",
                                 "back_url",
                                 "back_label",
                                 "request_id",
                                 "next_url",
                                 "next_label",
                                 "subject",
                                 "to",
                                 "from",
                                 "at",
                                 "at_iso",
                                 "text",
                                 "html_url",
                                 "mailbox_url",
                                 "all_url",
                                 "to_url",
                                 "filter_to",
                                 "version",
                                 "app_url",
                                 "email_action",
                                 "signin_action",
                                 "handle_action",
                                 "handle_example",
                                 "pds_url",
                                 "plc_url",
                                 "pds",
                                 "expires_at",
                                 "expires_at_iso",
                                 "write_action",
                                 "refresh_action",
                                 "signout_action",
                                 "record_uri",
                                 "record_cid",
                                 "record_json",
                                 "code",
                                 "name",
                                 "service_name",
                                 "minutes",
                                 "callback",
                                 "api",
                                 "digits",
                                 "different_url",
                                 "passkey_next",
                                 "target_host",
                                 "words",
                                 "action_url",
                                 "handles_url",
                                 "sign_up_url",
                                 "min_length",
                                 "max_length"});
  view.set("detail", k_hostile);
  view.set("languages", json::Array{list_item({"language_tag", "language_name", "language_url"})});
  for (const char* flag : {"has_languages", "has_providers", "has_messages", "selected", "record", "good"})
    view.set(flag, true);
  auto provider = list_item({"provider_label", "provider_url"});
  provider.set("provider_google", true).set("provider_github", true);
  view.set("providers", json::Array{provider});
  view.set("scopes", json::Array{list_item({"scope_title", "scope_detail", "scope_name"})});
  auto mail = list_item({"mail_url", "mail_to", "mail_subject", "mail_at", "mail_at_iso"});
  mail.set("mail_selected", true);
  view.set("messages", json::Array{mail});
  for (const char* flag : {"has_others", "has_apps", "stay", "with_handle", "with_email", "with_both",
                           "with_others", "with_code", "with_link", "with_password", "with_passkey"})
    view.set(flag, true);
  view.set("others", json::Array{list_item({"other_handle", "other_did"})});
  auto app = list_item({"app_name", "app_host", "app_initial"});
  auto session = list_item({"session_id", "session_ip", "session_created", "session_created_iso",
                            "session_used", "session_used_iso"});
  session.set("permissions", json::Array{list_item({"permission"})});
  app.set("sessions", json::Array{session});
  view.set("apps", json::Array{app});
  view.set("devices",
           json::Array{list_item({"device_id", "device_agent", "device_ip", "device_since",
                                  "device_since_iso", "device_seen", "device_seen_iso", "device_here"})});
  return view;
}

struct Page {
  std::string name, html;
};

// Every template that is a page or the HTML of a mail, in each state that a flag switches.
std::vector<Page> pages() {
  static const web::StaticFiles k_assets(ui::static_files());
  static const web::Messages k_messages(ui::messages());
  static const web::Templates k_templates(ui::templates(), &k_assets, &k_messages);
  std::vector<Page> out;
  for (const auto& file : ui::templates()) {
    if (!file.path.ends_with(".html") || file.path == "mail_layout.html") continue;  // no mail by itself
    const std::string name(file.path.substr(0, file.path.size() - 5));
    for (const bool on : {false, true}) {
      auto view = hostile_view();
      view.set("send", on).set("new_account", on);
      auto html = k_templates.render(name, view);
      if (html.starts_with("<!doctype html>") && html.ends_with("</html>\n"))
        out.push_back({name, std::move(html)});
    }
  }
  return out;
}

bool is_mail(const Page& page) { return page.name.starts_with("mail_"); }

std::vector<std::string> all(const std::string& html, const char* pattern) {
  const std::regex regex(pattern);
  return {std::sregex_token_iterator(html.begin(), html.end(), regex), {}};
}

TEST(Pages, AreFound) { EXPECT_GE(pages().size(), 2u * 10); }

TEST(Pages, KeepHostileNamesAsText) {
  for (const auto& page : pages()) {
    EXPECT_THAT(page.html, Not(HasSubstr("<script>\""))) << page.name;
    EXPECT_THAT(page.html, HasSubstr("&lt;script&gt;")) << page.name;
  }
}

TEST(Pages, HaveNothingInline) {
  for (const auto& page : pages()) {
    if (is_mail(page)) continue;  // programs that show mail know no style sheets
    EXPECT_THAT(all(page.html, R"(<style|\sstyle=|\son[a-z]+=|javascript:)"), ::testing::IsEmpty())
        << page.name;
    for (const auto& script : all(page.html, "<script[^>]*>"))
      EXPECT_THAT(script, HasSubstr(" src=\"/static/")) << page.name;
  }
}

TEST(Pages, PostWithTheCsrfToken) {
  for (const auto& page : pages())
    for (const auto& form : all(page.html, R"(<form[^>]*method="post"[^>]*>\s*<input[^>]*>)"))
      EXPECT_THAT(form, HasSubstr(R"(<input type="hidden" name="csrf")")) << page.name;
  for (const auto& page : pages())
    EXPECT_EQ(all(page.html, "<form").size(), all(page.html, R"(<form[^>]*method="post")").size())
        << page.name;
}

TEST(Pages, NameEveryField) {
  for (const auto& page : pages())
    for (const auto& field : all(page.html, "<input[^>]*>")) {
      if (field.find("type=\"hidden\"") != std::string::npos) continue;
      std::smatch id;
      ASSERT_TRUE(std::regex_search(field, id, std::regex("id=\"([^\"]*)\""))) << page.name << field;
      EXPECT_THAT(page.html, HasSubstr("for=\"" + id[1].str() + "\"")) << page.name;
    }
}

TEST(Pages, SayTheirLanguageTitleAndMainPart) {
  for (const auto& page : pages()) {
    EXPECT_THAT(page.html, HasSubstr("<html lang=\"")) << page.name;
    EXPECT_EQ(all(page.html, "<title>").size(), 1u) << page.name;
    if (!is_mail(page)) EXPECT_EQ(all(page.html, "<main").size(), 1u) << page.name;
    EXPECT_EQ(all(page.html, "<h1").size(), 1u) << page.name;
  }
}

TEST(Pages, HaveNoIdTwice) {
  for (const auto& page : pages()) {
    auto ids = all(page.html, R"(\sid="[^"]*")");
    std::ranges::sort(ids);
    EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end()) << page.name;
  }
}

TEST(Mails, CarryTheCodeInBothForms) {
  const web::StaticFiles assets(ui::static_files());
  const web::Messages messages(ui::messages());
  const web::Templates templates(ui::templates(), &assets, &messages);
  const json::Object view{{"code", "04718252"},         {"name", "O'Brien & Co"},     {"app_name", "<App>"},
                          {"service_name", "Latchkey"}, {"service_host", "pds.test"}, {"minutes", 10}};
  for (const char* name : {"mail_code", "mail_welcome_code"}) {
    EXPECT_THAT(templates.render(name, view), HasSubstr(">04718252<"));
    const auto text = templates.render(std::string(name) + ".txt", view);
    EXPECT_THAT(text, HasSubstr("\n    04718252\n"));
    EXPECT_THAT(text, HasSubstr("O'Brien & Co")) << "plain text is not escaped";
    EXPECT_THAT(text, HasSubstr("<App>"));
    EXPECT_THAT(text, HasSubstr("10 minutes"));
    EXPECT_THAT(text, Not(HasSubstr("\n\n\n")));
  }
}

}  // namespace
}  // namespace latchkey
