#pragma once
#include <string>
#include <string_view>

#include "web/http.h"

namespace latchkey::auth {

/// Sets a header that scripts of other origins may read (Fetch, "CORS protocol").
inline void set_exposed(web::Response& response, std::string name, std::string value) {
  const std::string others(response.headers.get("access-control-expose-headers"));
  response.header("access-control-expose-headers", others.empty() ? name : others + ", " + name);
  response.header(std::move(name), std::move(value));
}

}  // namespace latchkey::auth
