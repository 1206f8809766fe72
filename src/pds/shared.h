#pragma once

#include "base/executor.h"
#include "base/rng.h"
#include "base/time.h"
#include "store/database.h"

namespace latchkey::pds {

/// The parts shared by the services of this folder; all outlive them.
struct Shared {
  store::Database& db;
  const Clock& clock;
  Rng& rng;
  ThreadPool& passwords;  // a small pool: scrypt takes 16 MiB and tens of milliseconds
  ThreadPool& reads;      // reads that may take long: whole repositories
};

}  // namespace latchkey::pds
