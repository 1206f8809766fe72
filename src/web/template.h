#pragma once
// HTML from mustache templates (https://mustache.github.io/mustache.5.html) in ui/templates.
//
//   {{name}} {{a.b}} {{.}}        text, always escaped: & < > " '
//   {{#x}}…{{/x}} {{^x}}…{{/x}}    sections; false, null, "", 0 and [] are false; {{#list}} repeats with
//   {{.}}
//   {{> partial}}                 another file of ui/templates, by its name without ".html"
//   {{<layout}}{{$body}}…{{/body}}{{/layout}}   inheritance: layout.html has {{$body}}default{{/body}}
//   {{asset:app.css}}             address of ui/static/app.css with its content hash
//   {{! comment}}
//
// Refused when loading: unescaped output ({{{x}}}, {{&x}}), delimiter changes, unknown partials, unknown
// assets, partials that contain themselves, sections left open. Whitespace follows the mustache rules for
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

/// ui/static under /static: names carry a hash of the content, so caches may keep them for ever.
class StaticFiles {
 public:
  explicit StaticFiles(EmbeddedFiles files, std::string prefix = "/static/");
  StaticFiles(StaticFiles&&) noexcept;
  ~StaticFiles();

  /// "/static/app.0123456789abcdef.css" for "app.css". Throws std::logic_error when there is no such file.
  std::string url(std::string_view name) const;
  bool has(std::string_view name) const;
  /// Answers GET "/static/{file*}"; understands If-None-Match. Also serves the plain name, with a short
  /// cache.
  Response serve(const Request& request) const;
  /// router.get(prefix + "{file*}", files.handler()); the object must outlive the router.
  Handler handler() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace latchkey::web
