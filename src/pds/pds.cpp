#include "pds/pds.h"

namespace latchkey::pds {

Pds::Pds(Config config, Parts parts)
    : config_(std::move(config)),
      shared_{parts.db, parts.clock, parts.rng, parts.passwords, parts.reads},
      sealer_(std::move(parts.sealer)),
      resolver_(parts.resolver),
      lexicons_(parts.lexicons),
      handles_(config_.handle_domains),
      repos_(shared_, sealer_, config_.tree_cache_bytes),
      accounts_(shared_, config_, handles_, sealer_, parts.plc, repos_),
      sessions_(shared_, config_),
      did_docs_(parts.plc, parts.clock),
      authenticator_(shared_, config_, sessions_, parts.oauth) {}

}  // namespace latchkey::pds
