#pragma once
// A did:plc directory: the endpoints of https://web.plc.directory/api/redoc over store::Database.

#include <span>
#include <string>

#include "base/time.h"
#include "store/database.h"
#include "web/router.h"

namespace latchkey::dev {

/// Table plc_operation and what keeps its order.
std::span<const store::Migration> plc_migrations();

class PlcDirectory {
 public:
  PlcDirectory(store::Database& db, const Clock& clock);
  /// Adds the directory's routes. The object must outlive the router.
  void add_routes(web::Router& router);

 private:
  store::Database& db_;
  const Clock& clock_;
};

}  // namespace latchkey::dev
