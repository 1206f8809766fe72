#pragma once
// A did:plc directory over store::Database, answering as the one at plc.directory does.
// Sources: https://web.plc.directory/spec/v0.1/did-plc, https://web.plc.directory/api/redoc
//
//   POST /{did}            append an operation: 200, or 400 {"message"} when the rules refuse it
//   GET  /{did}            DID document (application/did+ld+json); 404 unknown, 410 after a tombstone
//   GET  /{did}/data       the state as PLC keeps it
//   GET  /{did}/log        operations that count; /log/last the newest; /log/audit all, with times
//   GET  /export           JSON lines; ?after=<createdAt or seq>&count=<1..1000>
//   GET  /_health

#include <span>
#include <string>

#include "base/time.h"
#include "dev/plc_directory/log_store.h"
#include "store/migrate.h"
#include "web/router.h"

namespace latchkey::dev {

/// Tables plc_operation and plc_head.
std::span<const store::Migration> plc_migrations();

struct PlcOptions {
  PlcLimits limits = {};
  std::string version = "0.1.0";  // shown by /_health
};

class PlcDirectory {
 public:
  PlcDirectory(store::Database& db, const Clock& clock, PlcOptions options = {});
  /// Adds the directory's routes. The object must outlive the router.
  void add_routes(web::Router& router);

 private:
  Task<web::Response> submit(web::Request request);
  Task<web::Response> document(web::Request request);
  Task<web::Response> data(web::Request request);
  Task<web::Response> log(web::Request request);
  Task<web::Response> last(web::Request request);
  Task<web::Response> audit(web::Request request);
  Task<web::Response> export_lines(web::Request request);
  Task<web::Response> health(web::Request request);

  struct Current {
    Did did;
    plc::Data data;
  };
  /// The state of the DID in the path, or the answer to give.
  Task<Result<Current, web::Response>> current(web::Request request);

  PlcLogStore operations_;
  const Clock& clock_;
  PlcOptions options_;
};

}  // namespace latchkey::dev
