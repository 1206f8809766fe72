#pragma once
// The person in front of a page: their language, and where they are.

#include <string>
#include <string_view>

#include "web/http.h"
#include "web/messages.h"

namespace latchkey::signin {

/// The language is the first that this server speaks of: `?lang=` (the links at the foot of each page; a
/// cookie keeps it), that cookie, what the app asked for (OpenID Connect Core §3.1.2.1, ui_locales; a
/// short-lived cookie keeps it), Accept-Language, English. A person's own choice goes before an app's.
struct Reader {
  const web::Catalogue* words;  // never null
  std::string wanted;           // the language they want most, which may be none of this server's: "pt-br"
  // Where this page can be had again, in another language; "" : nowhere. A page that needs its query, or that
  // answers a form, says itself: nothing of a URL that others write comes back in a link.
  std::string here;

  const std::string& lang() const { return words->lang(); }
  std::string text(std::string_view key, web::Catalogue::Values values = {}) const {
    return words->text(key, values);
  }
};

/// Finds readers, and remembers what they chose. `messages` must outlive what comes from it.
class Readers {
 public:
  Readers(const web::Messages& messages, bool https);

  /// `ui_locales`: what the app asks for in this request.
  Reader of(const web::Request& request, std::string_view ui_locales = {}) const;
  /// Keeps a choice made by `?lang=`; does nothing when there is none.
  void remember_choice(web::Response& response, const web::Request& request) const;
  /// Keeps what the app asked for, for the pages of a sign-in. Does nothing when it asked for nothing that
  /// this server speaks.
  void remember_ui_locales(web::Response& response, std::string_view ui_locales) const;
  /// For templates: `languages`, the other languages with the addresses of this page in them.
  void offer_languages(json::Object& view, const Reader& reader) const;

 private:
  const web::Catalogue* chosen(const web::Request& request) const;

  const web::Messages& messages_;
  std::string choice_cookie_, ui_locales_cookie_;
  bool https_;
};

}  // namespace latchkey::signin
