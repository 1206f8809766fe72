#pragma once
// A plugin is one value. How to write one: README.md beside this file.
//
//   auth::Plugin magic_link(MagicLinkOptions options) {
//     auto service = std::make_shared<MagicLink>(std::move(options));
//     return {.id = "magic-link",
//             .endpoints = {post("/sign-in/magic-link", [service](Context& c) { return service->send(c); },
//                                {.body = Shape{{email("email")}}, .form_guard = FormGuard::on})},
//             .rate_limits = {{.path = "/sign-in/magic-link", .rule = RateLimitRule{1min, 5}}}};
//   }

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "auth/core/models.h"
#include "auth/core/rate_limits.h"
#include "auth/core/shape.h"
#include "base/task.h"
#include "web/http.h"

namespace latchkey::auth {

class Auth;
class Context;

/// A fault is rendered as {"message", "code"}; cookies that were set go out with it.
using Answer = Result<web::Response, Fault>;
/// A plain function that returns a Task; never a capturing coroutine lambda (STYLE.md §6). The Context
/// outlives the Task.
using EndpointHandler = std::function<Task<Answer>(Context&)>;

enum class Needs {
  nothing,
  session,        // else 401 UNAUTHORIZED; Context::signed_in() is there
  fresh_session,  // and younger than Options::session.fresh_age, else 403 SESSION_NOT_FRESH
};
/// For routes that a form on another site could post to without any cookie: login CSRF.
enum class FormGuard { off, on };
/// For GET routes that redirect to `callbackURL` of their query: only to trusted or relative targets.
enum class CallbackQuery { unchecked, checked };

struct EndpointOptions {
  std::optional<Shape> body = {};  // nothing: whatever comes is passed over
  std::optional<Shape> query = {};
  Needs needs = Needs::nothing;
  Forms forms = Forms::refused;  // besides application/json
  /// raw: of any media type, and not read here; the handler bounds and judges Context::request.body.
  enum class Body { json, raw } content = Body::json;
  FormGuard form_guard = FormGuard::off;
  CallbackQuery callback = CallbackQuery::unchecked;
};

struct Endpoint {
  std::string method;
  std::string path;  // below the base path; a segment ":name" is a parameter
  EndpointHandler handler;
  EndpointOptions options = {};
};
inline Endpoint get(std::string path, EndpointHandler handler, EndpointOptions options = {}) {
  return {"GET", std::move(path), std::move(handler), std::move(options)};
}
inline Endpoint post(std::string path, EndpointHandler handler, EndpointOptions options = {}) {
  return {"POST", std::move(path), std::move(handler), std::move(options)};
}

/// Which requests a hook sees; empty: all.
using Matches = std::function<bool(const Context&)>;
/// Before the body is checked against its shape; may change what the Context holds, or refuse.
struct BeforeHook {
  Matches matches = {};
  std::function<Task<Result<void, Fault>>(Context&)> run;
};
/// Sees the answer, errors too, before cookies are added to it.
struct AfterHook {
  Matches matches = {};
  std::function<Task<void>(Context&, web::Response&)> run;
};

/// A path, or a glob over it (`/email-otp/*`). Without a rule these paths are not limited.
struct PathLimit {
  std::string path;
  std::optional<RateLimitRule> rule;
  std::string counter = {};  // names of one route count together under this; "": each by itself
};

struct Plugin {
  std::string id;  // lower-case words with '-'
  std::vector<Endpoint> endpoints = {};
  std::vector<Table> tables = {};
  std::vector<Field> user_fields = {}, session_fields = {};
  std::vector<BeforeHook> before = {};
  std::vector<AfterHook> after = {};
  RecordHooks records = {};
  std::vector<PathLimit> rate_limits = {};
  std::vector<ErrorCode> errors = {};     // what its enum's wire() gives, for documents and conflicts
  std::vector<std::string> cookies = {};  // keys, without the prefix
  /// Header fields its routes read and answer with, in lower case: what CORS lets scripts send and see.
  std::vector<std::string> request_headers = {}, response_headers = {};
  /// Part of Auth::clean().
  std::function<Task<void>()> clean = {};
  /// Called once, at the end of Auth's constructor; throws std::invalid_argument when the plugin cannot work
  /// with these options. The Auth is whole, its tables are not there yet.
  std::function<void(Auth&)> attach = {};
};

}  // namespace latchkey::auth
