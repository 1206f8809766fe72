#include "mail/providers.h"

#include <fmt/format.h>

namespace latchkey::mail {

namespace {
// All of them offer 465 too; 587 is what their documentation begins with and what few networks block.
SmtpServer submission(std::string host, std::string user, Secret<std::string> password) {
  return {.host = std::move(host),
          .port = 587,
          .security = Security::starttls,
          .user = std::move(user),
          .password = std::move(password)};
}
}  // namespace

SmtpServer sendgrid(Secret<std::string> api_key) {
  return submission("smtp.sendgrid.net", "apikey", std::move(api_key));
}

std::optional<SmtpServer> ses(std::string_view region, std::string user, Secret<std::string> password) {
  const bool good = !region.empty() && region.size() <= 32 && std::ranges::all_of(region, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!good) return std::nullopt;
  return submission(fmt::format("email-smtp.{}.amazonaws.com", region), std::move(user), std::move(password));
}

SmtpServer postmark(Secret<std::string> server_token) {
  std::string user = server_token.reveal();
  return submission("smtp.postmarkapp.com", std::move(user), std::move(server_token));
}

}  // namespace latchkey::mail
