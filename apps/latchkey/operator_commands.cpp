#include "operator_commands.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "mail/check.h"
#include "ui/embedded.h"
#include "web/dns.h"

namespace latchkey::app {
namespace {

bool print(const mail::Findings& findings) {
  bool good = true;
  for (const auto& [mark, text] : findings) {
    using Mark = mail::Finding::Mark;
    good = good && mark != Mark::wrong;
    fmt::print("  {:<6} {}\n", mark == Mark::good ? "ok" : mark == Mark::note ? "note" : "WRONG", text);
  }
  return good;
}

}  // namespace

int mail_test(const ServeConfig& config, const std::string& address) {
  const auto to = mail::EmailAddress::parse(address);
  if (!to) {
    fmt::print(stderr, "latchkey: {}\n", to.error().message);
    return 1;
  }
  SystemClock clock;
  OsRng rng;
  ThreadPool pool(1);
  const mail::SmtpOptions options{.server = config.smtp,
                                  .from = config.from,
                                  .dkim = config.dkim,
                                  .helo = Url::parse(config.pds.public_url)->host};
  mail::SmtpSender sender(options, pool, clock, rng);
  fmt::print("A mail to {} over {}, port {}:\n", to->str(), config.smtp.host, config.smtp.port);
  const auto attempt =
      run(sender.attempt({.to = *to,
                          .subject = fmt::format("Test mail from {}", config.service_name),
                          .text = fmt::format("This is a test mail from {} ({}). Sending mails works.\n",
                                              config.service_name, config.pds.public_url)}));
  const bool sent = print(mail::explain(attempt, config.smtp, config.from.address, *to));

  fmt::print("\nWhat DNS says about the sender {}:\n", config.from.address.str());
  web::DnsResolver dns;
  const bool known = print(run(mail::check_dns(config.from.address, config.dkim, dns, dns)));
  return sent && known ? 0 : 1;
}

int export_templates(const std::string& directory) {
  std::filesystem::create_directories(directory);
  std::size_t written = 0;
  bool differs = false;
  for (const auto& file : ui::templates()) {
    const auto path = std::filesystem::path(directory) / file.path;
    const std::string_view text = as_text(file.bytes);
    if (std::filesystem::exists(path)) {
      std::ifstream in(path, std::ios::binary);
      if (std::string((std::istreambuf_iterator<char>(in)), {}) == text) continue;
      fmt::print("{} is there and differs; it was kept.\n", path.string());
      differs = true;
      continue;
    }
    std::ofstream out(path, std::ios::binary);
    if (!(out << text).flush()) throw std::runtime_error(fmt::format("{} cannot be written", path.string()));
    ++written;
  }
  fmt::print(
      "{} templates written to {}. Keep those you change, delete the others, and name the folder in "
      "LATCHKEY_TEMPLATE_DIRECTORY.\n",
      written, directory);
  return differs ? 1 : 0;
}

}  // namespace latchkey::app
