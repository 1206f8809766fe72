#include "auth/core/schema.h"

namespace latchkey::auth {
namespace {

// Addresses stand in these tables only as keyed hashes.
constexpr store::Migration k_migrations[] = {{"auth", 1, R"sql(
CREATE TABLE auth_event (
  bucket TEXT NOT NULL,
  at     BIGINT NOT NULL
);
CREATE INDEX auth_event_bucket ON auth_event (bucket, at);
CREATE INDEX auth_event_at ON auth_event (at);
CREATE TABLE auth_code (
  subject    TEXT PRIMARY KEY,
  code_hash  BLOB NOT NULL,
  tries      BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX auth_code_expires ON auth_code (expires_at);
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::auth
