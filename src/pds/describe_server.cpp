// com.atproto.server.describeServer
#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> describe_server(Pds& pds, Call) {
  const Config& config = pds.config();
  json::Array domains;
  for (const auto& domain : config.handle_domains) domains.push_back(domain);
  json::Object links, contact;
  if (config.privacy_policy_url) links.append("privacyPolicy", *config.privacy_policy_url);
  if (config.terms_of_service_url) links.append("termsOfService", *config.terms_of_service_url);
  if (config.contact_email) contact.append("email", *config.contact_email);
  co_return web::Response::json(
      json::Object{{"did", config.service_did},
                   {"availableUserDomains", std::move(domains)},
                   {"inviteCodeRequired", config.invite_required},
                   {"phoneVerificationRequired", false},
                   {"blobUploadLimit", static_cast<std::int64_t>(config.blob_upload_limit)},
                   {"links", std::move(links)},
                   {"contact", std::move(contact)}});
}

}  // namespace latchkey::pds
