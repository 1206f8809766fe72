#include "store/libpq.h"

#include <fmt/format.h>

#include <dlfcn.h>

#include "store/database.h"

namespace latchkey::store {

const Libpq& libpq() {
  static const Libpq loaded = [] {
    void* const library = ::dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library)
      throw Error(Error::Kind::unavailable,
                  fmt::format("PostgreSQL needs libpq (Debian: apt install libpq5): {}", ::dlerror()));
    Libpq pq{};
#define LK_LOAD(name)                                                     \
  pq.name = reinterpret_cast<decltype(pq.name)>(::dlsym(library, #name)); \
  if (!pq.name) throw Error(Error::Kind::unavailable, "libpq 14 or newer is needed: " #name " is missing");
    LK_LIBPQ(LK_LOAD)
#undef LK_LOAD
    return pq;
  }();
  return loaded;
}

}  // namespace latchkey::store
