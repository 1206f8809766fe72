#include "mail_config.h"

#include <fmt/format.h>

#include "mail/providers.h"

namespace latchkey::app {
namespace {

void read_smtp_server(Variables& in, MailConfig& config) {
  if (const auto url = in.text("PDS_EMAIL_SMTP_URL"); url && !in.text("SMTP_HOST")) {
    auto server = mail::parse_smtp_url(*url);
    if (server)
      config.smtp = std::move(*server);
    else
      in.problem("PDS_EMAIL_SMTP_URL: " + server.error());
  } else if (const auto host = in.text("SMTP_HOST")) {
    config.smtp.host = *host;
    config.smtp.port = static_cast<std::uint16_t>(in.number("SMTP_PORT", 587, 1, 65535));
    config.smtp.user = in.text("SMTP_USER", "");
    config.smtp.password = Secret<std::string>(in.text("SMTP_PASS", ""));
    if (config.smtp.port == 465)
      config.smtp.security = mail::Security::tls;
    else if (config.smtp.user.empty() && (*host == "localhost" || *host == "127.0.0.1" || *host == "::1"))
      config.smtp.security = mail::Security::if_offered;  // a sink or relay on this machine
    if (!config.smtp.user.empty() && config.smtp.password.reveal().empty())
      in.problem("SMTP_PASS is missing, but SMTP_USER is set");
  } else {
    in.problem("SMTP_HOST is missing: people sign in by a code sent by mail (or give PDS_EMAIL_SMTP_URL)");
  }
}

void read_provider(Variables& in, MailConfig& config) {
  const std::string provider = in.text("EMAIL_PROVIDER", "smtp");
  const auto needed = [&](const char* name) {
    auto value = in.text(name);
    if (!value) in.problem(fmt::format("{} is missing, but EMAIL_PROVIDER is {}", name, provider));
    return value.value_or("");
  };
  const auto secret = [&](const char* name) { return Secret<std::string>(needed(name)); };
  if (provider == "smtp") {
    read_smtp_server(in, config);
  } else if (provider == "sendgrid") {
    config.smtp = mail::sendgrid(secret("SENDGRID_API_KEY"));
  } else if (provider == "postmark") {
    config.smtp = mail::postmark(secret("POSTMARK_SERVER_TOKEN"));
  } else if (provider == "ses") {
    const std::string region = needed("AWS_REGION"), user = needed("AWS_SES_SMTP_USER");
    auto server = mail::ses(region, user, secret("AWS_SES_SMTP_PASS"));
    if (server)
      config.smtp = *std::move(server);
    else if (!region.empty())
      in.problem(fmt::format("AWS_REGION is \"{}\", but must be a region such as eu-central-1", region));
  } else {
    in.problem(
        fmt::format("EMAIL_PROVIDER is \"{}\", but must be smtp, sendgrid, ses or postmark", provider));
  }
}

// Of the three variables all or none.
void read_dkim(Variables& in, MailConfig& config) {
  constexpr const char* k_domain = "LATCHKEY_DKIM_DOMAIN";
  constexpr const char* k_selector = "LATCHKEY_DKIM_SELECTOR";
  constexpr const char* k_file = "LATCHKEY_DKIM_PRIVATE_KEY_FILE";
  const auto domain = in.text(k_domain), selector = in.text(k_selector), file = in.text(k_file);
  if (!domain && !selector && !file) return;
  for (const auto& [name, value] : {std::pair(k_domain, domain), {k_selector, selector}, {k_file, file}})
    if (!value)
      in.problem(fmt::format("{} is missing: DKIM needs {}, {} and {}", name, k_domain, k_selector, k_file));
  if (!domain || !selector || !file) return;
  if (!mail::is_selector(*selector)) in.problem(fmt::format("{} is no selector: {}", k_selector, *selector));
  // Receivers who follow DMARC want it so (RFC 7489 §3.1.1).
  const std::string_view sender = config.from.address.domain();
  if (sender != *domain && !sender.ends_with("." + *domain))
    in.problem(fmt::format("{} is {}, but must be the domain of the sender {}, or one above it", k_domain,
                           *domain, config.from.address.str()));
  auto key = crypto::DkimKey::from_pem(file_text(*file));
  if (key)
    config.dkim = mail::Dkim{*domain, *selector, *std::move(key)};
  else
    in.problem(fmt::format("{}: {} cannot be used: {}", k_file, *file, key.error()));
}

}  // namespace

MailConfig read_mail(Variables& in, const std::string& service_name, const std::string& ca_file) {
  MailConfig config;
  read_provider(in, config);
  const char* from_name = in.text("SMTP_FROM") ? "SMTP_FROM" : "PDS_EMAIL_FROM_ADDRESS";
  if (const auto from = in.text(from_name)) {
    if (auto address = mail::EmailAddress::parse(*from))
      config.from.address = std::move(*address);
    else
      in.problem(fmt::format("{} is no e-mail address: {}", from_name, *from));
  } else {
    in.problem("SMTP_FROM is missing: the address mails come from");
  }
  config.from.name = in.text("SMTP_FROM_NAME", service_name);
  config.smtp.ca_file = ca_file;
  read_dkim(in, config);
  return config;
}

}  // namespace latchkey::app
