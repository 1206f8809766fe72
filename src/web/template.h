#pragma once
// HTML from mustache templates (https://mustache.github.io/mustache.5.html) in ui/templates.
//
//   {{name}} {{a.b}} {{.}}        text, always escaped: & < > " '
//   {{#x}}…{{/x}} {{^x}}…{{/x}}    sections; false, null, "", 0 and [] are false; {{#list}} repeats with
//   {{.}}
//   {{> partial}}                 another file of ui/templates, by its name without ".html"
//   {{<layout}}{{$body}}…{{/body}}{{/layout}}   inheritance: layout.html has {{$body}}default{{/body}}
//   {{asset:app.css}}             address of ui/static/app.css, /static/<hash>/app.css
//   {{static}}                    the part before the name, /static/<hash>, unless the view has its own
//   {{! comment}}
//
// Refused when loading: unescaped output ({{{x}}}, {{&x}}), delimiter changes, unknown partials, unknown
// assets, partials that contain themselves, sections left open, text inside <script> or <style> (escaping
// does not protect there), attribute values without quotes. Whitespace follows the mustache rules for
// standalone tags. The same engine renders plain-text mails: a template whose name ends in ".txt" is not
// HTML-escaped.

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "web/embedded.h"
#include "web/http.h"

namespace latchkey::web {

/// What a template is filled with: strings, booleans, integers, arrays, objects.
using View = json::Value;

class StaticFiles;

class Templates {
 public:
  /// Files are "name.html" (used by "name") or "name.txt" (used as "name.txt"). Throws std::runtime_error
  /// naming file and line when one is not acceptable. `assets` may be null when no template uses {{asset:…}}.
  Templates(EmbeddedFiles files, const StaticFiles* assets);
  Templates(Templates&&) noexcept;
  ~Templates();

  bool has(std::string_view name) const;
  /// Throws std::logic_error for a name that does not exist. Thread-safe.
  std::string render(std::string_view name, const View& view) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string html_escape(std::string_view text);

/// ui/static under /static/<hash of all files>/: caches may keep what they get for ever, and relative
/// addresses inside style sheets keep working.
class StaticFiles {
 public:
  explicit StaticFiles(EmbeddedFiles files, std::string prefix = "/static");
  StaticFiles(StaticFiles&&) noexcept;
  ~StaticFiles();

  const std::string& base() const;  // "/static/0123456789abcdef"
  /// base() + "/app.css". Throws std::logic_error when there is no such file.
  std::string url(std::string_view name) const;
  bool has(std::string_view name) const;
  /// Answers below the prefix: the hashed address with an immutable cache, the plain one
  /// ("/static/favicon.svg") and older hashes with a short cache. Understands If-None-Match.
  Response serve(const Request& request) const;
  /// router.get("/static/{file*}", files.handler()); the object must outlive the router.
  Handler handler() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::web
