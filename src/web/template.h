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
//   {{t:key}}                     words of a catalogue (web/messages.h), in each language; a {name} in them
//   is
//                                 {{name}}, or what the block of that name holds:
//   {{#t:key}}{{$name}}<strong>{{name}}</strong>{{/name}}{{/t:key}}
//   {{lang}} {{dir}}              of the catalogue, unless the view has its own
//   {{! comment}}
//
// Refused when loading: unknown messages, unescaped output ({{{x}}}, {{&x}}), delimiter changes, unknown
// partials, unknown assets, partials that contain themselves, sections left open, text inside <script> or
// <style> (escaping does not protect there), attribute values without quotes. An operator's template, which
// stands in the place of one of ours, must also use no value that ours are not given, and keep the values
// without which its form or mail does not work. Whitespace follows the mustache rules for standalone tags.
// The same engine renders plain-text mails: a template whose name ends in ".txt" is not HTML-escaped.

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "web/embedded.h"
#include "web/static_files.h"

namespace latchkey::web {

/// What a template is filled with: strings, booleans, integers, arrays, objects.
using View = json::Value;

class Messages;
class StaticFiles;

class Templates {
 public:
  /// Files are "name.html" (used by "name") or "name.txt" (used as "name.txt"). Throws std::runtime_error
  /// naming file and line when one is not acceptable. `assets` may be null when no template uses {{asset:…}},
  /// `messages` when none uses {{t:…}}. `overrides` take the place of files of the same path.
  Templates(EmbeddedFiles files, const StaticFiles* assets, const Messages* messages = nullptr,
            EmbeddedFiles overrides = {});
  Templates(Templates&&) noexcept;
  ~Templates();

  bool has(std::string_view name) const;
  /// `lang` is that of a catalogue; "" is the source language. Throws std::logic_error for a name or a
  /// language that does not exist. Thread-safe.
  std::string render(std::string_view name, const View& view, std::string_view lang = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string html_escape(std::string_view text);

}  // namespace latchkey::web
