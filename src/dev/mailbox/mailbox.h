#pragma once
// The mails a development network has sent, as a page for people and as JSON for scripts.
//
//   GET /                              the list, and the newest or chosen mail (?id=, ?to=)
//   GET /messages/<id>/html            the HTML part, for the page's sandboxed frame
//   GET /api/messages?to=<address>     [{"to","subject","text","html"}], oldest first

#include "mail/trap.h"
#include "web/router.h"
#include "web/template.h"

namespace latchkey::dev {

class Mailbox {
 public:
  Mailbox(const mail::Trap& trap, const web::Templates& templates, std::string app_url)
      : trap_(trap), templates_(templates), app_url_(std::move(app_url)) {}
  void add_routes(web::Router& router);

 private:
  web::Response page(const web::Request& request) const;
  web::Response html_part(const web::Request& request) const;
  web::Response messages(const web::Request& request) const;

  const mail::Trap& trap_;
  const web::Templates& templates_;
  std::string app_url_;
};

}  // namespace latchkey::dev
