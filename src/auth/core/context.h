#pragma once
// One request on its way through the framework: what it holds, whose session it carries, what goes back.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/plugin.h"
#include "auth/core/records.h"
#include "auth/core/sessions.h"
#include "base/time.h"
#include "web/cookie.h"

namespace latchkey::auth {

class Auth;

/// A session ends with its time, or with the browser (and within a day).
enum class Remember { no, yes };
enum class Refresh { allowed, no };

class Context {
 public:
  Context(Auth& auth, web::Request request, std::string path, Time now);
  Context(const Context&) = delete;

  Auth& auth;
  const web::Request request;
  const std::string path;  // below the base path: "/sign-in/email"
  const Time now;          // one for the whole request

  /// What was sent. Before-hooks may change it; when the handler runs, both fit the shapes of the route.
  json::Object body, query;
  bool has_body = false;
  std::map<std::string, std::string, std::less<>> params;  // of ":name" segments, percent-decoded

  // Members of the body, which the route's shape has checked.
  std::string text(std::string_view name) const;  // "" when absent
  std::optional<std::string> opt_text(std::string_view name) const;
  bool flag(std::string_view name, bool otherwise) const;
  std::optional<std::string> query_text(std::string_view name) const;
  std::string client_address() const { return request.remote_ip; }  // "" when unknown
  std::string user_agent() const;                                   // as well, and when it is no text
  std::string accept_language() const;                              // as it came; for mails

  // --- The session of this request ---

  /// The session a valid cookie (or use_session_token) names, read from the store once. A session that is due
  /// is extended, one that is dead takes its cookies along. nullptr: signed out.
  Task<const SessionAndUser*> session(Refresh refresh = Refresh::allowed);
  /// For routes that need a session, and after session() found one.
  const SessionAndUser& signed_in() const { return *session_; }
  const SessionAndUser* current() const { return session_ ? &*session_ : nullptr; }
  /// Younger than the fresh age; being extended does not make a session younger.
  bool is_fresh() const;
  /// In the place of the cookie; before session(). For bearer tokens.
  void use_session_token(std::string token);
  std::optional<std::string> session_token() const;

  /// A row for this client to Sessions::create, inside of a transaction of the plugin …
  NewSession new_session(std::string user_id, Remember remember) const;
  /// … and its cookies. The session becomes the current one.
  void set_session(SessionAndUser fresh, Remember remember);
  /// Both at once.
  Task<Result<SessionAndUser, Fault>> start_session(User user, Remember remember);
  /// What this browser was told at its sign-in.
  Remember remembered() const;
  /// Sends the cookies of the current session again, with the user as it is now.
  void update_session_user(User user);
  /// Clears the three session cookies. The row is the caller's to delete.
  void clear_session();
  /// What set_session was given in this request.
  const SessionAndUser* started() const { return started_ ? &*started_ : nullptr; }

  // --- Cookies of the answer: the last one of a name counts ---

  void set_cookie(web::SetCookie cookie);
  const std::vector<web::SetCookie>& cookies() const { return cookies_; }

 private:
  void send_session_cookies(const Session& session, Remember remember);

  std::optional<std::string> token_;
  bool resolved_ = false;
  std::optional<SessionAndUser> session_, started_;
  std::vector<web::SetCookie> cookies_;
};

}  // namespace latchkey::auth
