#pragma once
// GET /metrics: what an operator's monitoring wants to know, in Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Only numbers; whose they are is not told.
//
// Asked with HTTP Basic as `admin` and PDS_ADMIN_PASSWORD, on the name of the PDS. Without that password the
// route does not exist.

#include "pds/pds.h"
#include "store/database.h"
#include "web/rate_limit.h"
#include "web/router.h"

namespace latchkey::signin {

class Metrics {
 public:
  /// `limits` may be null: nothing is counted.
  Metrics(store::Database& db, pds::Pds& pds, std::shared_ptr<const web::RateLimits> limits);

  void add_routes(web::Router& router);

 private:
  Task<web::Response> answer(web::Request request);

  store::Database& db_;
  pds::Pds& pds_;
  std::shared_ptr<const web::RateLimits> limits_;
  const Time started_at_;
};

}  // namespace latchkey::signin
