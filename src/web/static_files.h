#pragma once
// The files of ui/static, under addresses that change with them.

#include <memory>
#include <string>
#include <string_view>

#include "web/embedded.h"
#include "web/http.h"

namespace latchkey::web {

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
