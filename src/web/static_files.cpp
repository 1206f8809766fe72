#include "web/static_files.h"

#include <fmt/format.h>

#include <stdexcept>
#include <unordered_map>

namespace latchkey::web {
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
  return list == "*" || list.find(etag) != std::string_view::npos;
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
