#include "web/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "web/messages.h"

namespace latchkey::web {
namespace {

struct Node {
  // A message is only there until its language is known: rendering never meets one.
  enum class Kind { text, variable, section, inverted, partial, parent, block, message };
  Kind kind;
  std::string text;               // literal text, or the tag's name, or the key of a message
  std::vector<std::string> path;  // of a variable or section: the name split at dots; empty for {{.}}
  std::vector<Node> children;
  std::ptrdiff_t line = 0;
};

using Nodes = std::vector<Node>;

struct Template {
  bool html = true;
  Nodes nodes;
  std::string file;  // for messages
};

[[noreturn]] void refuse_template(std::string_view file, std::ptrdiff_t line, std::string_view why) {
  throw std::runtime_error(fmt::format("template {}:{}: {}", file, line, why));
}

std::string_view trim(std::string_view s) {
  const auto first = s.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return s.substr(first, s.find_last_not_of(" \t\r\n") - first + 1);
}

bool is_name(std::string_view s) {
  return !s.empty() && std::ranges::all_of(s, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  });
}

/// The part of HTML that decides whether text may stand here: not inside script or style, where HTML escaping
/// does not protect, and not as an unquoted attribute value, which a space would end.
class HtmlPlace {
 public:
  void feed(std::string_view text) {
    for (const char c : text) {
      tail_ += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      if (tail_.size() > 16) tail_.erase(0, tail_.size() - 16);
      const std::string_view t = tail_;
      if (t.ends_with("<script") || t.ends_with("<style")) opening_ = true;
      if (t.ends_with("</script") || t.ends_with("</style")) raw_ = false;
      if (c == '>' && opening_) {
        opening_ = false;
        raw_ = true;
      }
    }
  }
  bool raw() const { return raw_; }
  bool after_equals() const { return tail_.ends_with('='); }
  void filled() { tail_ += '\1'; }

 private:
  std::string tail_;
  bool opening_ = false;  // inside the start tag: its attributes are ordinary ones
  bool raw_ = false;
};

class Loader {
 public:
  Loader(std::string_view file, std::string_view source, bool html, const StaticFiles* assets,
         const Messages* messages)
      : file_(file), source_(source), html_(html), assets_(assets), messages_(messages) {}

  Nodes load() {
    open_.push_back({});
    std::size_t at = 0;
    while (at < source_.size()) {
      const auto begin = source_.find("{{", at);
      if (begin == std::string_view::npos) break;
      if (source_.substr(begin).starts_with("{{{")) refuse(begin, "unescaped output");
      const bool comment = source_.substr(begin).starts_with("{{!");
      const auto end = source_.find("}}", begin);
      if (end == std::string_view::npos) refuse(begin, "tag is not closed");
      auto inside = trim(source_.substr(begin + 2, end - begin - 2));
      if (inside.empty()) refuse(begin, "empty tag");
      char sigil = inside.front();
      if (std::string_view("#^/>!<$&=").find(sigil) == std::string_view::npos)
        sigil = '\0';
      else
        inside = trim(inside.substr(1));
      if (sigil == '&' || sigil == '{') refuse(begin, "unescaped output");
      if (sigil == '=') refuse(begin, "delimiters cannot be changed");

      // A tag that is not text and stands alone on its line takes the line with it.
      auto text_end = begin;
      auto next = end + 2;
      if (sigil != '\0') {
        const auto line = source_.rfind('\n', begin == 0 ? 0 : begin - 1);
        const auto line_start =
            begin == 0 ? 0 : (line == std::string_view::npos || line >= begin ? 0 : line + 1);
        const auto newline = source_.find('\n', next);
        const auto line_end = newline == std::string_view::npos ? source_.size() : newline + 1;
        if (line_start >= at && trim(source_.substr(line_start, begin - line_start)).empty() &&
            trim(source_.substr(next, line_end - next)).empty()) {
          text_end = line_start;
          next = line_end;
        }
      }
      text(source_.substr(at, text_end - at));
      at = next;
      if (comment) continue;
      tag(begin, sigil, inside);
    }
    text(source_.substr(at));
    if (open_.size() > 1) refuse(source_.size(), fmt::format("{} is not closed", open_.back().name));
    return std::move(open_.front().nodes);
  }

 private:
  struct Open {
    std::string name;
    Node::Kind kind = Node::Kind::section;
    Nodes nodes;
    std::ptrdiff_t line = 0;
  };

  [[noreturn]] void refuse(std::size_t at, std::string_view why) const {
    refuse_template(file_, line_of(at), why);
  }
  std::ptrdiff_t line_of(std::size_t at) const { return 1 + std::ranges::count(source_.substr(0, at), '\n'); }

  void text(std::string_view t) {
    if (t.empty()) return;
    place_.feed(t);
    auto& nodes = open_.back().nodes;
    if (!nodes.empty() && nodes.back().kind == Node::Kind::text)
      nodes.back().text += t;
    else
      nodes.push_back({Node::Kind::text, std::string(t), {}, {}});
  }

  std::vector<std::string> path(std::size_t at, std::string_view name) const {
    std::vector<std::string> out;
    if (name == ".") return out;
    for (;;) {
      const auto dot = name.find('.');
      if (!is_name(name.substr(0, dot))) refuse(at, fmt::format("not a name: {}", name));
      out.emplace_back(name.substr(0, dot));
      if (dot == std::string_view::npos) return out;
      name.remove_prefix(dot + 1);
    }
  }

  void tag(std::size_t at, char sigil, std::string_view name) {
    using Kind = Node::Kind;
    auto& nodes = open_.back().nodes;
    switch (sigil) {
      case '\0':
        if (html_ && place_.raw()) refuse(at, "text inside script or style");
        if (html_ && place_.after_equals()) refuse(at, "attribute value without quotes");
        if (name.starts_with("asset:")) {
          name.remove_prefix(6);
          if (!assets_ || !assets_->has(name)) refuse(at, fmt::format("no such asset: {}", name));
          text(assets_->url(name));
          return;
        }
        place_.filled();
        if (name.starts_with(k_message))
          nodes.push_back(message(at, name.substr(k_message.size()), {}));
        else
          nodes.push_back({Kind::variable, std::string(name), path(at, name), {}, line_of(at)});
        return;
      case '#':
        if (name.starts_with(k_message) && html_ && place_.raw()) refuse(at, "text inside script or style");
        open_.push_back({std::string(name),
                         name.starts_with(k_message) ? Kind::message : Kind::section,
                         {},
                         line_of(at)});
        return;
      case '^':
        open_.push_back({std::string(name), Kind::inverted, {}, line_of(at)});
        return;
      case '<':
        open_.push_back({std::string(name), Kind::parent, {}, line_of(at)});
        return;
      case '$':
        open_.push_back({std::string(name), Kind::block, {}, line_of(at)});
        return;
      case '>':
        if (!is_name(name)) refuse(at, fmt::format("not a name: {}", name));
        nodes.push_back({Kind::partial, std::string(name), {}, {}, line_of(at)});
        return;
      case '/': {
        if (open_.size() == 1 || open_.back().name != name) refuse(at, fmt::format("{} is not open", name));
        auto done = std::move(open_.back());
        open_.pop_back();
        if (done.kind == Kind::message) {
          open_.back().nodes.push_back(message(at, name.substr(k_message.size()), std::move(done.nodes)));
          return;
        }
        Node node{done.kind, done.name, {}, std::move(done.nodes), done.line};
        if (done.kind == Kind::section || done.kind == Kind::inverted)
          node.path = path(at, name);
        else if (!is_name(name))
          refuse(at, fmt::format("not a name: {}", name));
        open_.back().nodes.push_back(std::move(node));
        return;
      }
      default:
        refuse(at, "unknown tag");
    }
  }

  // `inside` holds the blocks that stand for placeholders.
  Node message(std::size_t at, std::string_view key, Nodes inside) const {
    const auto* source = messages_ ? messages_->source().find(key) : nullptr;
    if (!source) refuse(at, fmt::format("no such message: {}", key));
    std::erase_if(inside, [](const Node& n) { return n.kind == Node::Kind::text && trim(n.text).empty(); });
    for (const auto& n : inside) {
      if (n.kind != Node::Kind::block) refuse(at, "only {{$placeholder}} blocks belong into a message");
      if (!source->has(n.text)) refuse(at, fmt::format("message {} has no {{{}}}", key, n.text));
    }
    return {Node::Kind::message, std::string(key), {}, std::move(inside)};
  }

  static constexpr std::string_view k_message = "t:";

  std::string file_;
  std::string_view source_;
  bool html_;
  const StaticFiles* assets_;
  const Messages* messages_;
  HtmlPlace place_;
  std::vector<Open> open_;
};

bool truthy(const View& v) {
  if (v.is_null()) return false;
  if (const auto* b = v.boolean()) return *b;
  if (const auto* s = v.string()) return !s->empty();
  if (const auto* i = v.integer()) return *i != 0;
  if (const auto* a = v.array()) return !a->empty();
  return true;
}

void append_escaped(std::string& out, std::string_view s) {
  for (const char c : s) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
}

void append_text(Nodes& nodes, std::string text) {
  if (!nodes.empty() && nodes.back().kind == Node::Kind::text)
    nodes.back().text += text;
  else
    nodes.push_back({Node::Kind::text, std::move(text), {}, {}});
}

/// The same nodes, with the words of a language in the place of messages.
Nodes translated(const Nodes& nodes, const Catalogue& words, bool html) {
  Nodes out;
  for (const auto& n : nodes) {
    if (n.kind == Node::Kind::text) {
      append_text(out, n.text);
    } else if (n.kind == Node::Kind::message) {
      for (const auto& piece : words.find(n.text)->pieces) {
        if (piece.kind == Message::Piece::Kind::text) {
          append_text(out, html ? html_escape(piece.text) : piece.text);
          continue;
        }
        const auto block = std::ranges::find(n.children, piece.text, &Node::text);
        if (block == n.children.end()) {
          out.push_back({Node::Kind::variable, piece.text, {piece.text}, {}, n.line});
          continue;
        }
        for (auto& inside : translated(block->children, words, html))
          if (inside.kind == Node::Kind::text)
            append_text(out, std::move(inside.text));
          else
            out.push_back(std::move(inside));
      }
    } else {
      out.push_back({n.kind, n.text, n.path, translated(n.children, words, html), n.line});
    }
  }
  return out;
}

bool is_html(const EmbeddedFile& f) { return f.path.ends_with(".html"); }
std::string name_of(const EmbeddedFile& f) {
  return std::string(is_html(f) ? f.path.substr(0, f.path.size() - 5) : f.path);
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  append_escaped(out, text);
  return out;
}

namespace {

struct Language {
  std::string lang;  // "" when there are no messages
  std::unordered_map<std::string, Template> templates;
  View defaults = json::Object{};

  const Template* find(std::string_view name) const {
    const auto it = templates.find(std::string(name));
    return it == templates.end() ? nullptr : &it->second;
  }

  // Every name that is used exists and no template contains itself.
  void check(const std::string& name, std::vector<std::string>& way,
             std::unordered_set<std::string>& done) const {
    if (done.contains(name)) return;
    way.push_back(name);
    check(templates.at(name), templates.at(name).nodes, way, done);
    way.pop_back();
    done.insert(name);
  }
  void check(const Template& in, const Nodes& nodes, std::vector<std::string>& way,
             std::unordered_set<std::string>& done) const {
    for (const auto& n : nodes) {
      if (n.kind == Node::Kind::partial || n.kind == Node::Kind::parent) {
        const auto* other = find(n.text);
        if (!other) refuse_template(in.file, n.line, fmt::format("no partial {}", n.text));
        if (other->html != in.html)
          refuse_template(in.file, n.line, fmt::format("{} is of the other kind", n.text));
        if (std::ranges::find(way, n.text) != way.end())
          refuse_template(in.file, n.line, fmt::format("{} contains itself", n.text));
        check(n.text, way, done);
      }
      check(in, n.children, way, done);
    }
  }

  /// The same in a language.
  Language in(const Catalogue& words) const {
    Language out{.lang = words.lang(), .templates = {}, .defaults = defaults};
    out.defaults.object()->set("lang", words.lang()).set("dir", words.dir());
    for (const auto& [name, t] : templates)
      out.templates[name] = {t.html, translated(t.nodes, words, t.html), t.file};
    return out;
  }

  // The first part of every value's name that these nodes use; with those of their partials when `deep`.
  void values(const Nodes& nodes, bool deep, const std::function<void(const Node&)>& found) const {
    for (const auto& n : nodes) {
      if (!n.path.empty()) found(n);
      if (deep && (n.kind == Node::Kind::partial || n.kind == Node::Kind::parent))
        values(find(n.text)->nodes, deep, found);
      values(n.children, deep, found);
    }
  }
  bool uses(const Template& t, std::string_view value) const {
    bool used = false;
    values(t.nodes, true, [&](const Node& n) { used = used || n.path[0] == value; });
    return used;
  }

  struct Rendering {
    const Language& in;
    bool html;
    std::string out;
    std::vector<const View*> context;
    std::vector<std::unordered_map<std::string_view, const Node*>> overrides;  // outermost first: it wins

    const View* lookup(const std::vector<std::string>& path) const {
      if (path.empty()) return context.back();
      const View* v = nullptr;
      for (auto c = context.rbegin(); c != context.rend() && !v; ++c) v = (*c)->find(path[0]);
      for (std::size_t i = 1; v && i < path.size(); ++i) v = v->find(path[i]);
      return v;
    }

    void render(const Nodes& nodes) {
      for (const auto& n : nodes) render(n);
    }

    void render(const Node& n) {
      using Kind = Node::Kind;
      switch (n.kind) {
        case Kind::text:
          out += n.text;
          return;
        case Kind::variable: {
          const auto* v = lookup(n.path);
          if (!v || v->is_null() || v->array() || v->object()) return;
          const auto* s = v->string();
          const std::string text = s ? *s : v->dump();
          html ? append_escaped(out, text) : void(out += text);
          return;
        }
        case Kind::section: {
          const auto* v = lookup(n.path);
          if (!v || !truthy(*v)) return;
          if (const auto* list = v->array()) {
            for (const auto& item : *list) within(item, n.children);
          } else {
            within(*v, n.children);
          }
          return;
        }
        case Kind::inverted:
          if (const auto* v = lookup(n.path); !v || !truthy(*v)) render(n.children);
          return;
        case Kind::partial:
          render(in.find(n.text)->nodes);
          return;
        case Kind::parent: {
          std::unordered_map<std::string_view, const Node*> blocks;
          for (const auto& c : n.children)
            if (c.kind == Kind::block) blocks[c.text] = &c;
          overrides.push_back(std::move(blocks));
          render(in.find(n.text)->nodes);
          overrides.pop_back();
          return;
        }
        case Kind::block: {
          for (const auto& blocks : overrides)
            if (const auto it = blocks.find(n.text); it != blocks.end()) return render(it->second->children);
          render(n.children);
          return;
        }
        case Kind::message:
          return;
      }
    }

    void within(const View& v, const Nodes& nodes) {
      context.push_back(&v);
      render(nodes);
      context.pop_back();
    }
  };
};

}  // namespace

struct Templates::Impl {
  std::vector<Language> languages;  // of the messages: the source first
};

Templates::Templates(EmbeddedFiles files, const StaticFiles* assets, const Messages* messages,
                     EmbeddedFiles overrides)
    : impl_(std::make_unique<Impl>()) {
  Language plain;
  if (assets) plain.defaults.object()->set("static", assets->base());
  const auto load = [&](const EmbeddedFile& f) {
    const std::string file(f.origin.empty() ? f.path : f.origin);
    return Template{is_html(f), Loader(file, as_text(f.bytes), is_html(f), assets, messages).load(), file};
  };
  const auto check_all = [&] {
    std::vector<std::string> way;
    std::unordered_set<std::string> done;
    for (const auto& [name, _] : plain.templates) plain.check(name, way, done);
  };
  for (const auto& f : files) {
    if (!is_html(f) && !f.path.ends_with(".txt"))
      throw std::runtime_error(fmt::format("template {}: neither .html nor .txt", f.path));
    plain.templates[name_of(f)] = load(f);
  }
  check_all();
  if (!overrides.empty()) {
    // Values stand in the words, too.
    const auto worded = [&](const Language& it) { return messages ? it.in(messages->source()) : it; };
    const Language before = worded(plain);
    std::unordered_set<std::string> known;  // values our code may give
    for (const auto& [name, t] : before.templates)
      before.values(t.nodes, false, [&](const Node& n) { known.insert(n.path[0]); });
    // Without the code a mail is no use, without the token a form is refused.
    constexpr std::string_view k_needed[] = {"code", "csrf"};
    std::vector<std::pair<std::string, std::string_view>> needed;
    std::vector<std::string> replaced;
    for (const auto& f : overrides) {
      const auto at = plain.templates.find(name_of(f));
      if (at == plain.templates.end()) refuse_template(f.origin, 1, "there is no template of this name");
      for (const auto value : k_needed)
        if (before.uses(before.templates.at(at->first), value)) needed.emplace_back(at->first, value);
      at->second = load(f);
      replaced.push_back(at->first);
    }
    check_all();
    const Language after = worded(plain);
    for (const auto& name : replaced) {
      const Template& ours = after.templates.at(name);
      after.values(ours.nodes, false, [&](const Node& n) {
        if (!known.contains(n.path[0]))
          refuse_template(ours.file, n.line, fmt::format("no template is given a value {}", n.path[0]));
      });
    }
    for (const auto& [name, value] : needed)
      if (!after.uses(after.templates.at(name), value))
        refuse_template(after.templates.at(name).file, 1, fmt::format("{{{{{}}}}} is missing", value));
  }
  if (!messages) {
    impl_->languages.push_back(std::move(plain));
    return;
  }
  for (const auto& words : messages->all()) impl_->languages.push_back(plain.in(words));
}
Templates::Templates(Templates&&) noexcept = default;
Templates::~Templates() = default;

bool Templates::has(std::string_view name) const { return impl_->languages.front().find(name) != nullptr; }

std::string Templates::render(std::string_view name, const View& view, std::string_view lang) const {
  const auto language =
      lang.empty() ? impl_->languages.begin() : std::ranges::find(impl_->languages, lang, &Language::lang);
  if (language == impl_->languages.end()) throw std::logic_error(fmt::format("no language {}", lang));
  const auto* t = language->find(name);
  if (!t) throw std::logic_error(fmt::format("no template {}", name));
  Language::Rendering r{*language, t->html, {}, {&language->defaults, &view}, {}};
  r.out.reserve(4096);
  r.render(t->nodes);
  return std::move(r.out);
}

}  // namespace latchkey::web
