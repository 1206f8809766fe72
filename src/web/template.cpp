#include "web/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

namespace latchkey::web {
namespace {

struct Node {
  enum class Kind { text, variable, section, inverted, partial, parent, block };
  Kind kind;
  std::string text;               // literal text, or the tag's name
  std::vector<std::string> path;  // of a variable or section: the name split at dots; empty for {{.}}
  std::vector<Node> children;
};

using Nodes = std::vector<Node>;

struct Template {
  bool html = true;
  Nodes nodes;
};

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
  Loader(std::string_view file, std::string_view source, bool html, const StaticFiles* assets)
      : file_(file), source_(source), html_(html), assets_(assets) {}

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
  };

  [[noreturn]] void refuse(std::size_t at, std::string_view why) const {
    const auto line = 1 + std::ranges::count(source_.substr(0, at), '\n');
    throw std::runtime_error(fmt::format("template {}:{}: {}", file_, line, why));
  }

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
        nodes.push_back({Kind::variable, std::string(name), path(at, name), {}});
        return;
      case '#':
        open_.push_back({std::string(name), Kind::section, {}});
        return;
      case '^':
        open_.push_back({std::string(name), Kind::inverted, {}});
        return;
      case '<':
        open_.push_back({std::string(name), Kind::parent, {}});
        return;
      case '$':
        open_.push_back({std::string(name), Kind::block, {}});
        return;
      case '>':
        if (!is_name(name)) refuse(at, fmt::format("not a name: {}", name));
        nodes.push_back({Kind::partial, std::string(name), {}, {}});
        return;
      case '/': {
        if (open_.size() == 1 || open_.back().name != name) refuse(at, fmt::format("{} is not open", name));
        auto done = std::move(open_.back());
        open_.pop_back();
        Node node{done.kind, done.name, {}, std::move(done.nodes)};
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

  std::string file_;
  std::string_view source_;
  bool html_;
  const StaticFiles* assets_;
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

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  append_escaped(out, text);
  return out;
}

struct Templates::Impl {
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
    if (std::ranges::find(way, name) != way.end())
      throw std::runtime_error(fmt::format("template {} contains itself", name));
    way.push_back(name);
    check(templates.at(name).nodes, way, done);
    way.pop_back();
    done.insert(name);
  }
  void check(const Nodes& nodes, std::vector<std::string>& way, std::unordered_set<std::string>& done) const {
    for (const auto& n : nodes) {
      if (n.kind == Node::Kind::partial || n.kind == Node::Kind::parent) {
        if (!templates.contains(n.text))
          throw std::runtime_error(fmt::format("template {}: no partial {}", way.back(), n.text));
        if (templates.at(n.text).html != templates.at(way.back()).html)
          throw std::runtime_error(fmt::format("template {}: {} is of the other kind", way.back(), n.text));
        check(n.text, way, done);
      }
      check(n.children, way, done);
    }
  }

  struct Rendering {
    const Impl& impl;
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
          render(impl.find(n.text)->nodes);
          return;
        case Kind::parent: {
          std::unordered_map<std::string_view, const Node*> blocks;
          for (const auto& c : n.children)
            if (c.kind == Kind::block) blocks[c.text] = &c;
          overrides.push_back(std::move(blocks));
          render(impl.find(n.text)->nodes);
          overrides.pop_back();
          return;
        }
        case Kind::block: {
          for (const auto& blocks : overrides)
            if (const auto it = blocks.find(n.text); it != blocks.end()) return render(it->second->children);
          render(n.children);
          return;
        }
      }
    }

    void within(const View& v, const Nodes& nodes) {
      context.push_back(&v);
      render(nodes);
      context.pop_back();
    }
  };
};

Templates::Templates(EmbeddedFiles files, const StaticFiles* assets) : impl_(std::make_unique<Impl>()) {
  if (assets) impl_->defaults.object()->set("static", assets->base());
  for (const auto& f : files) {
    const bool html = f.path.ends_with(".html");
    if (!html && !f.path.ends_with(".txt"))
      throw std::runtime_error(fmt::format("template {}: neither .html nor .txt", f.path));
    const auto name = html ? f.path.substr(0, f.path.size() - 5) : f.path;
    impl_->templates[std::string(name)] = {html, Loader(f.path, as_text(f.bytes), html, assets).load()};
  }
  std::vector<std::string> way;
  std::unordered_set<std::string> done;
  for (const auto& [name, _] : impl_->templates) impl_->check(name, way, done);
}
Templates::Templates(Templates&&) noexcept = default;
Templates::~Templates() = default;

bool Templates::has(std::string_view name) const { return impl_->find(name) != nullptr; }

std::string Templates::render(std::string_view name, const View& view) const {
  const auto* t = impl_->find(name);
  if (!t) throw std::logic_error(fmt::format("no template {}", name));
  Impl::Rendering r{*impl_, t->html, {}, {&impl_->defaults, &view}, {}};
  r.out.reserve(4096);
  r.render(t->nodes);
  return std::move(r.out);
}

// --- Static files ---

namespace {

// FNV-1a: names a version, protects nothing.
std::uint64_t fnv(std::uint64_t h, BytesView bytes) {
  for (const auto b : bytes) h = (h ^ b) * 0x100000001b3;
  return h;
}
constexpr std::uint64_t k_fnv = 0xcbf29ce484222325;

std::string_view content_type(std::string_view name) {
  const auto ends = [&](std::string_view e) { return name.ends_with(e); };
  if (ends(".css")) return "text/css; charset=utf-8";
  if (ends(".js")) return "text/javascript; charset=utf-8";
  if (ends(".svg")) return "image/svg+xml";
  if (ends(".png")) return "image/png";
  if (ends(".ico")) return "image/x-icon";
  if (ends(".woff2")) return "font/woff2";
  if (ends(".txt")) return "text/plain; charset=utf-8";
  if (ends(".json") || ends(".webmanifest")) return "application/json";
  return "application/octet-stream";
}

bool has_etag(std::string_view list, std::string_view etag) {  // weak comparison, RFC 9110 §13.1.2
  return trim(list) == "*" || list.find(etag) != std::string_view::npos;
}

}  // namespace

struct StaticFiles::Impl {
  struct File {
    std::shared_ptr<const Bytes> bytes;
    std::string etag;
  };
  std::string prefix, hash, base;
  std::unordered_map<std::string, File> files;
};

StaticFiles::StaticFiles(EmbeddedFiles files, std::string prefix) : impl_(std::make_unique<Impl>()) {
  auto all = k_fnv;
  for (const auto& f : files) {
    all = fnv(fnv(all, as_bytes(f.path)), f.bytes);
    impl_->files[std::string(f.path)] = {std::make_shared<const Bytes>(f.bytes.begin(), f.bytes.end()),
                                         fmt::format("\"{:016x}\"", fnv(k_fnv, f.bytes))};
  }
  impl_->prefix = std::move(prefix);
  impl_->hash = fmt::format("{:016x}", all);
  impl_->base = impl_->prefix + "/" + impl_->hash;
}
StaticFiles::StaticFiles(StaticFiles&&) noexcept = default;
StaticFiles::~StaticFiles() = default;

const std::string& StaticFiles::base() const { return impl_->base; }

bool StaticFiles::has(std::string_view name) const { return impl_->files.contains(std::string(name)); }

std::string StaticFiles::url(std::string_view name) const {
  if (!has(name)) throw std::logic_error(fmt::format("no static file {}", name));
  return fmt::format("{}/{}", impl_->base, name);
}

Response StaticFiles::serve(const Request& request) const {
  std::string_view name = request.path;
  const auto missing = [] { return Response::text("Not found\n", 404); };
  if (!name.starts_with(impl_->prefix + "/")) return missing();
  name.remove_prefix(impl_->prefix.size() + 1);
  const auto slash = name.find('/');
  bool current = false;
  if (slash == 16 && name.substr(0, 16).find_first_not_of("0123456789abcdef") == std::string_view::npos) {
    current = name.substr(0, 16) == impl_->hash;
    name.remove_prefix(17);
  }
  // Names come from the table of what was compiled in: there is no path to walk out of.
  const auto it = impl_->files.find(std::string(name));
  if (it == impl_->files.end()) return missing();
  Response r;
  r.headers.reserve(4);
  r.headers.add("cache-control", current ? "public, max-age=31536000, immutable" : "public, max-age=300");
  r.headers.add("etag", it->second.etag);
  r.headers.add("x-content-type-options", "nosniff");
  if (has_etag(request.headers.get("if-none-match"), it->second.etag)) {
    r.status = 304;
    return r;
  }
  r.headers.add("content-type", std::string(content_type(name)));
  r.shared_body = it->second.bytes;
  return r;
}

Handler StaticFiles::handler() const {
  return [this](Request request) { return ready(serve(request)); };
}

}  // namespace latchkey::web
