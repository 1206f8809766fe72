#include "signin/branding/mail_markup.h"

#include <libxml/HTMLparser.h>
#include <libxml/xmlerror.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/url.h"
#include "signin/branding/mail_style.h"
#include "web/template.h"

namespace latchkey::signin {
namespace {

using Kind = MailPiece::Kind;

template <std::size_t N>
bool is_in(const std::array<std::string_view, N>& sorted, std::string_view name) {
  return std::ranges::binary_search(sorted, name);
}

constexpr auto k_elements = std::to_array<std::string_view>(
    {"a",      "abbr",    "address", "article",  "b",      "bdi",  "blockquote", "br",    "caption",
     "center", "code",    "col",     "colgroup", "dd",     "del",  "div",        "dl",    "dt",
     "em",     "font",    "footer",  "h1",       "h2",     "h3",   "h4",         "h5",    "h6",
     "header", "hr",      "i",       "ins",      "li",     "main", "ol",         "p",     "pre",
     "s",      "section", "small",   "span",     "strong", "sub",  "sup",        "table", "tbody",
     "td",     "tfoot",   "th",      "thead",    "time",   "tr",   "tt",         "u",     "ul"});
static_assert(std::ranges::is_sorted(k_elements));

// Elements whose text is not for reading, or that browsers do not read as HTML. All others that are not on
// the list above go, and what is in them stays.
constexpr auto k_dropped_with_content = std::to_array<std::string_view>(
    {"applet",  "audio",  "button",  "canvas",   "datalist", "embed",    "frameset", "head",    "iframe",
     "listing", "math",   "noembed", "noframes", "noscript", "object",   "option",   "picture", "plaintext",
     "portal",  "script", "select",  "style",    "svg",      "template", "textarea", "title",   "video"});
static_assert(std::ranges::is_sorted(k_dropped_with_content));

constexpr auto k_plain_attributes = std::to_array<std::string_view>(
    {"align", "bgcolor", "border", "cellpadding", "cellspacing", "color", "colspan", "dir", "height", "lang",
     "role", "rowspan", "scope", "valign", "width"});
static_assert(std::ranges::is_sorted(k_plain_attributes));

bool is_void(std::string_view name) { return name == "br" || name == "col" || name == "hr"; }

bool is_plain_value(std::string_view value) {
  constexpr std::size_t k_longest = 60;
  return value.size() <= k_longest && std::ranges::all_of(value, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '#' ||
                  c == '%' || c == '.' || c == '-' || c == ' ';
         });
}

bool has_tag(std::string_view value) { return value.find("{{") != std::string_view::npos; }

bool is_harmless_link(std::string_view href) {
  if (has_tag(href)) return false;
  if (href.starts_with("mailto:")) {
    const auto rest = href.substr(7);
    return !rest.empty() && std::ranges::all_of(rest, [](unsigned char c) {
      return c > 0x20 && c < 0x7f && c != '?' && c != '&' && c != '<' && c != '>' && c != '"';
    });
  }
  const auto url = Url::parse(href);
  return url && url->scheme == "https" && url->userinfo.empty();
}

// The parser compares every attribute of an element with all before it. A look at the tags as written, with
// quotes where browsers see them.
bool has_crowded_element(std::string_view html) {
  const auto is_blank = [](char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '/';
  };
  std::size_t attributes = 0;
  bool in_tag = false, in_name = false, after_equals = false;
  char quote = '\0';
  const auto begins_tag = [&](std::size_t at) {
    if (html[at] != '<' || at + 1 == html.size()) return false;
    const char next = html[at + 1];
    return (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '/';
  };
  for (std::size_t i = 0; i < html.size(); ++i) {
    const char c = html[i];
    if (!in_tag) {
      in_tag = in_name = begins_tag(i);
      after_equals = false;
      attributes = 0;
    } else if (quote) {
      if (c == quote) quote = '\0', in_name = false;
    } else if (c == '>') {
      in_tag = after_equals = false;
    } else if (is_blank(c)) {
      in_name = false;
    } else if (c == '=') {
      after_equals = true;
    } else if (after_equals && (c == '"' || c == '\'')) {
      quote = c;
      after_equals = false;
    } else {
      if (!in_name && !after_equals && ++attributes > k_max_markup_attributes) return true;
      in_name = true;
      after_equals = false;
    }
  }
  return false;
}

class Writer {
 public:
  void start(std::string_view name, const xmlChar** attributes, htmlParserCtxtPtr parser) {
    if (failed_) return;
    if (++elements_ > k_max_markup_elements || open_.size() >= k_max_markup_depth) {
      failed_ = elements_ > k_max_markup_elements ? "it has too many elements" : "it is nested too deep";
      xmlStopParser(parser);
      return;
    }
    const bool hidden = !open_.empty() && open_.back().hidden;
    if (name == "html" || name == "body") {
      auto& to = name == "html" ? html_attributes_ : body_attributes_;
      if (to.empty() && !hidden) to = frame_attributes(attributes);
      return;
    }
    if (name == "img") {
      if (!hidden) image(attributes);
      return;
    }
    const bool shown = !hidden && is_in(k_elements, name);
    if (shown) {
      markup("<");
      markup(name);
      write_attributes(name, attributes);
      markup(">");
    }
    if (!is_void(name) && !is_empty_in_html(name))
      open_.push_back({std::string(name), shown, hidden || is_in(k_dropped_with_content, name)});
  }

  void end(std::string_view name) {
    const auto at =
        std::find_if(open_.rbegin(), open_.rend(), [&](const Open& open) { return open.name == name; });
    if (failed_ || at == open_.rend()) return;
    const auto keep = static_cast<std::size_t>(open_.rend() - at - 1);
    while (open_.size() > keep) close_last();
  }

  void text(std::string_view utf8) {
    if (failed_ || (!open_.empty() && open_.back().hidden)) return;
    write_text(utf8, [](Kind) { return true; });
  }

  Result<std::vector<MailPiece>, std::string> finish() && {
    if (failed_) return fail(std::string(failed_));
    while (!open_.empty()) close_last();
    markup("</body></html>\n");
    std::vector<MailPiece> out;
    out.push_back(
        {Kind::markup,
         "<!doctype html><html" + html_attributes_ +
             "><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head><body" +
             body_attributes_ + ">"});
    for (auto& piece : pieces_) {
      if (piece.kind == Kind::markup && out.back().kind == Kind::markup)
        out.back().markup += piece.markup;
      else
        out.push_back(std::move(piece));
    }
    return out;
  }

 private:
  struct Open {
    std::string name;
    bool shown, hidden;  // it was written; nothing in it is written
  };

  static bool is_empty_in_html(std::string_view name) {
    return name == "meta" || name == "link" || name == "base" || name == "input" || name == "area" ||
           name == "source" || name == "track" || name == "wbr" || name == "param" || name == "basefont" ||
           name == "frame" || name == "isindex";
  }

  void markup(std::string_view text) {
    if (pieces_.empty() || pieces_.back().kind != Kind::markup) pieces_.push_back({Kind::markup});
    pieces_.back().markup += text;
  }

  void close_last() {
    if (open_.back().shown) markup("</" + open_.back().name + ">");
    open_.pop_back();
  }

  // Escaped text with the places that `takes` lets in.
  template <class Takes>
  void write_text(std::string_view utf8, Takes takes) {
    while (!utf8.empty()) {
      const auto begin = utf8.find("{{");
      const auto end = begin == std::string_view::npos ? begin : utf8.find("}}", begin);
      if (end == std::string_view::npos) break;
      const auto kind = place(utf8.substr(begin + 2, end - begin - 2));
      if (kind && takes(*kind)) {
        markup(web::html_escape(utf8.substr(0, begin)));
        pieces_.push_back({*kind});
        utf8.remove_prefix(end + 2);
      } else {
        markup(web::html_escape(utf8.substr(0, begin + 1)));
        utf8.remove_prefix(begin + 1);
      }
    }
    markup(web::html_escape(utf8));
  }
  static std::optional<Kind> place(std::string_view name) {
    if (name == "code") return Kind::code;
    if (name == "app_name") return Kind::app_name;
    if (name == "email") return Kind::email;
    return std::nullopt;
  }

  void attribute(std::string_view name, std::string_view value) {
    markup(" ");
    markup(name);
    markup("=\"");
    write_text(value, [](Kind kind) { return kind == Kind::app_name; });
    markup("\"");
  }

  template <class F>
  static void each(const xmlChar** attributes, F use) {
    for (; attributes && attributes[0]; attributes += 2)
      use(std::string_view(reinterpret_cast<const char*>(attributes[0])),
          attributes[1] ? std::string_view(reinterpret_cast<const char*>(attributes[1]))
                        : std::string_view());
  }

  void write_attributes(std::string_view element, const xmlChar** attributes) {
    each(attributes, [&](std::string_view name, std::string_view value) {
      if (name == "title")
        attribute(name, value);
      else if (name == "style")
        style(value);
      else if (name == "href" && element == "a" && is_harmless_link(value))
        attribute(name, value);
      else if (is_in(k_plain_attributes, name) && is_plain_value(value))
        attribute(name, value);
    });
  }
  void style(std::string_view value) {
    if (const std::string clean = clean_style(value); !clean.empty()) attribute("style", clean);
  }

  std::string frame_attributes(const xmlChar** attributes) {
    Writer own;
    own.write_attributes("body", attributes);
    std::string out;
    for (const auto& piece : own.pieces_) out += piece.markup;  // a title's places are left out
    return out;
  }

  // Any other image would tell somebody that and where the mail is read. What it stands for stays.
  void image(const xmlChar** attributes) {
    std::string_view alt, src;
    each(attributes, [&](std::string_view name, std::string_view value) {
      if (name == "alt") alt = value;
      if (name == "src") src = value;
    });
    if (src != "{{logo_uri}}") return text(alt);
    pieces_.push_back({Kind::if_logo});
    markup("<img src=\"");
    pieces_.push_back({Kind::logo_uri});
    markup("\"");
    attribute("alt", alt);
    write_attributes("img", attributes);
    markup(">");
    pieces_.push_back({Kind::end_if_logo});
  }

  std::vector<MailPiece> pieces_;
  std::vector<Open> open_;
  std::string html_attributes_, body_attributes_;
  std::size_t elements_ = 0;
  const char* failed_ = nullptr;
};

struct Parsing {
  Writer writer;
  htmlParserCtxtPtr parser = nullptr;
};

std::string_view view(const xmlChar* text) { return reinterpret_cast<const char*>(text); }
void on_start(void* to, const xmlChar* name, const xmlChar** attributes) {
  auto& parsing = *static_cast<Parsing*>(to);
  parsing.writer.start(view(name), attributes, parsing.parser);
}
void on_end(void* to, const xmlChar* name) { static_cast<Parsing*>(to)->writer.end(view(name)); }
void on_text(void* to, const xmlChar* text, int size) {
  static_cast<Parsing*>(to)->writer.text(
      {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)});
}

}  // namespace

Result<std::vector<MailPiece>, std::string> clean_mail_markup(std::string_view utf8) {
  if (!is_valid_utf8(utf8) || utf8.find('\0') != std::string_view::npos)
    return fail(std::string("it is not UTF-8 text"));
  if (has_crowded_element(utf8)) return fail(std::string("an element has too many attributes"));
  static const bool initialised = (xmlInitParser(), true);
  (void)initialised;
  // Events and no tree: memory stays within the size of the input, however its elements overlap.
  htmlSAXHandler handler{};
  handler.startElement = on_start;
  handler.endElement = on_end;
  handler.characters = on_text;
  handler.ignorableWhitespace = on_text;
  handler.cdataBlock = on_text;  // inside of script and style: dropped there
  Parsing parsing;
  const std::unique_ptr<htmlParserCtxt, void (*)(htmlParserCtxtPtr)> parser(
      htmlCreatePushParserCtxt(&handler, &parsing, nullptr, 0, nullptr, XML_CHAR_ENCODING_UTF8),
      htmlFreeParserCtxt);
  if (!parser) throw std::bad_alloc();
  htmlCtxtUseOptions(parser.get(),
                     HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
  parsing.parser = parser.get();
  htmlParseChunk(parser.get(), utf8.data(), static_cast<int>(utf8.size()), 0);
  htmlParseChunk(parser.get(), "", 0, 1);
  return std::move(parsing.writer).finish();
}

}  // namespace latchkey::signin
