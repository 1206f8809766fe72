#include "dev/mailbox/mailbox.h"

#include <fmt/format.h>

#include <charconv>

#include "web/address.h"

namespace latchkey::dev {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string clock_time(Time t) { return rfc3339(t).substr(11, 8) + " UTC"; }

bool is_this_machine(std::string host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = web::IpAddress::parse(host);
  return address && address->is_loopback();
}

}  // namespace

void Mailbox::add_routes(web::Router& router) {
  const auto get = [&](const char* pattern, web::Response (Mailbox::*answer)(const web::Request&) const) {
    router.get(pattern, [this, answer](web::Request r) {
      // A site that pointed its own name at this machine (DNS rebinding) would read the codes.
      if (!is_this_machine(r.hostname()))
        return web::ready(web::Response::error(421, "InvalidRequest", "This mailbox is at a local name"));
      return web::ready((this->*answer)(r));
    });
  };
  get("/", &Mailbox::page);
  get("/messages/{id}/html", &Mailbox::html_part);
  get("/api/messages", &Mailbox::messages);
}

web::Response Mailbox::page(const web::Request& request) const {
  const auto filter = request.query_value("to");
  const auto mails = trap_.list(filter);
  const auto chosen_id = number(request.query_value("id").value_or(""));
  const mail::TrappedMail* chosen = nullptr;
  for (const auto& m : mails)
    if (!chosen_id || m.id == *chosen_id) chosen = &m;  // without a choice the newest

  json::Array list;
  const std::string suffix = filter ? "&to=" + percent_encode(*filter) : "";
  for (auto m = mails.rbegin(); m != mails.rend(); ++m)
    list.push_back(json::Object{{"mail_url", fmt::format("/?id={}{}", m->id, suffix)},
                                {"mail_to", m->to},
                                {"mail_subject", m->subject},
                                {"mail_at", clock_time(m->at)},
                                {"mail_at_iso", rfc3339(m->at)},
                                {"mail_selected", chosen && m->id == chosen->id}});
  json::Object view{{"lang", "en"},
                    {"title", "Mailbox"},
                    {"has_messages", !mails.empty()},
                    {"messages", std::move(list)},
                    {"selected", chosen != nullptr},
                    {"mailbox_url", filter ? "/?to=" + percent_encode(*filter) : "/"},
                    {"all_url", "/"},
                    {"app_url", app_url_},
                    {"version", mails.empty() ? "0" : std::to_string(mails.back().id)}};
  if (filter) view.set("filter_to", *filter);
  if (chosen) {
    view.set("subject", chosen->subject);
    view.set("to", chosen->to);
    view.set("to_url", "/?to=" + percent_encode(chosen->to));
    view.set("from", chosen->from_name.empty() ? "Latchkey" : chosen->from_name);
    view.set("at", clock_time(chosen->at));
    view.set("at_iso", rfc3339(chosen->at));
    view.set("text", chosen->text);
    if (!chosen->html.empty()) view.set("html_url", fmt::format("/messages/{}/html", chosen->id));
  }
  return web::html_page(templates_.render("mailbox", view), {.https = false});
}

web::Response Mailbox::html_part(const web::Request& request) const {
  const auto id = number(request.param("id"));
  const auto mail = id ? trap_.find(*id) : std::nullopt;
  if (!mail || mail->html.empty()) return web::Response::error(404, "NotFound", "No such mail");
  auto response = web::Response::html(mail->html);
  // What is inside came by mail: no script, no form, no request to anywhere.
  response.header(
      "content-security-policy",
      "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'");
  response.header("x-frame-options", "SAMEORIGIN");
  response.header("x-content-type-options", "nosniff");
  response.header("referrer-policy", "no-referrer");
  response.header("cache-control", "no-store");
  return response;
}

web::Response Mailbox::messages(const web::Request& request) const {
  json::Array out;
  for (const auto& m : trap_.list(request.query_value("to")))
    out.push_back(json::Object{{"to", m.to}, {"subject", m.subject}, {"text", m.text}, {"html", m.html}});
  auto response = web::Response::json(std::move(out));
  response.header("cache-control", "no-store");
  return response;
}

}  // namespace latchkey::dev
