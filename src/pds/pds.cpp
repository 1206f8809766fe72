#include "pds/pds.h"

namespace latchkey::pds {

Pds::Pds(Config config, Parts parts)
    : config_(std::move(config)),
      shared_{parts.db, parts.clock, parts.rng, parts.passwords, parts.reads},
      sealer_(std::move(parts.sealer)),
      resolver_(parts.resolver),
      lexicons_(parts.lexicons),
      handles_(config_.handle_domains),
      blobs_(shared_, config_, parts.blobs),
      repos_(shared_, sealer_, blobs_, config_.tree_cache_bytes),
      accounts_(shared_, config_, handles_, sealer_, parts.plc, repos_),
      sessions_(shared_, config_),
      did_docs_(parts.plc, parts.clock),
      settings_(shared_, config_),
      identity_(shared_, config_, handles_, parts.plc, did_docs_, parts.resolver),
      lifecycle_(shared_, repos_, blobs_, settings_, identity_, did_docs_, parts.mailer,
                 std::move(parts.recent_sign_in)),
      authenticator_(shared_, config_, sessions_, repos_, parts.oauth) {}

Task<std::size_t> Pds::resume_unfinished(Unfinished which) {
  const std::size_t creations = co_await accounts_.resume_unfinished(which);
  const std::size_t changes = co_await identity_.resume_unfinished(which);
  co_await lifecycle_.sweep_events();
  co_await blobs_.expire();
  if (which == Unfinished::all) co_await blobs_.sweep();
  co_return creations + changes;
}

}  // namespace latchkey::pds
