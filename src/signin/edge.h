#pragma once
// What stands before and behind every route of an ePDS, so that no new route can be without: limits per
// client address (pds-surface, section 7) and headers.

#include "oauth/server/server.h"
#include "signin/pages.h"
#include "web/rate_limit.h"

namespace latchkey::signin {

/// Puts every route there is by now under its limit, or under the one for all others. Health checks, static
/// files and preflights have none.
void add_limits(web::Router& router, std::shared_ptr<web::RateLimits> limits, const Pages& pages,
                oauth::Server& oauth);

/// Answers that are no pages say so; also those of routes that do not exist.
void add_headers(web::Router& router, const Pages& pages);

}  // namespace latchkey::signin
