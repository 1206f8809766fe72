#include "signin/account_mails.h"

#include "pds/mailed_tokens.h"

namespace latchkey::signin {

AccountMails::AccountMails(Options options, mail::Sender& mailer, const web::Templates& templates)
    : options_(std::move(options)), mailer_(mailer), templates_(templates) {}

Task<Result<void, mail::MailError>> AccountMails::send_account_delete(mail::EmailAddress to,
                                                                      std::string handle, std::string token) {
  const json::Object view{{"token", std::move(token)},
                          {"handle", std::move(handle)},
                          {"service_name", options_.service_name},
                          {"service_host", options_.service_host},
                          {"minutes", std::int64_t{pds::k_mailed_token_lifetime.count()}}};
  co_return co_await mailer_.send({.to = std::move(to),
                                   .subject = "Account Deletion Requested",
                                   .text = templates_.render("mail_account_delete.txt", view),
                                   .html = templates_.render("mail_account_delete", view)});
}

}  // namespace latchkey::signin
