#pragma once
// Mails that carry no code: the link that confirms a backup address, and notices that something about an
// account's security changed (epds-flows, section 9). A notice holds no secret and leads to the settings.

#include <optional>
#include <string>
#include <string_view>

#include "base/task_group.h"
#include "base/time.h"
#include "mail/sender.h"
#include "pds/accounts.h"
#include "signin/audit.h"
#include "web/messages.h"
#include "web/template.h"

namespace latchkey::signin {

class Letters {
 public:
  struct Options {
    std::string service_name;  // "Latchkey" or what the operator calls it
    std::string service_host;  // pds.example
    std::string origin;        // of the pages; links begin with it
  };
  Letters(Options options, mail::Sender& mailer, const web::Templates& templates,
          const web::Messages& messages, const Clock& clock);

  struct Notice {
    std::string_view
        what;  // "passkey_added": headed by audit.<what>, explained by notice.<what> if there is one
    std::string detail = {};  // for {detail} in them
    std::string path = {};    // of a page that undoes it, whose button says notice.<what>.action
  };
  /// To the account's own address; nothing when it has none. Written and sent after the caller answered.
  void notify(const pds::Account& account, Notice notice, Actor actor, std::string lang);
  /// The same to the address it had when it happened.
  void notify(mail::EmailAddress to, std::string handle, Notice notice, Actor actor, std::string lang);
  /// `path` is that of the page which confirms the address.
  void confirm_backup(mail::EmailAddress to, std::string handle, std::string path, std::string lang);

  /// Resumes when every mail that was asked for was handed over or given up. Await it before the mailer goes.
  Task<void> settled() { return mails_.idle(); }

 private:
  Task<void> write(mail::EmailAddress to, std::string name, std::string subject, json::Object view,
                   std::string lang);
  const web::Catalogue& words(std::string_view lang) const;
  json::Object view(std::string_view handle) const;

  Options options_;
  mail::Sender& mailer_;
  const web::Templates& templates_;
  const web::Messages& messages_;
  const Clock& clock_;
  TaskGroup mails_;
};

}  // namespace latchkey::signin
