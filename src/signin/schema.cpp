#include "signin/schema.h"

namespace latchkey::signin {
namespace {

constexpr store::Migration k_migrations[] = {{"signin", 1, R"sql(
CREATE TABLE signin_flow (
  id           TEXT PRIMARY KEY,
  browser      TEXT NOT NULL,
  locked_did   TEXT,
  email        TEXT,
  sent_at      BIGINT,
  session      TEXT,
  proven_email TEXT,
  created_at   BIGINT NOT NULL
);
CREATE INDEX signin_flow_created ON signin_flow (created_at);
)sql"},
                                             {"signin", 2, R"sql(
CREATE TABLE signin_device (
  id           TEXT PRIMARY KEY,
  generation   BIGINT NOT NULL,
  rotated_at   BIGINT NOT NULL,
  signed_in_at BIGINT NOT NULL,
  agent        TEXT NOT NULL,
  created_at   BIGINT NOT NULL
);

CREATE TABLE signin_device_account (
  device       TEXT NOT NULL REFERENCES signin_device (id) ON DELETE CASCADE,
  did          TEXT NOT NULL,
  ip           TEXT NOT NULL,
  proven_at    BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL,
  remembered   BIGINT NOT NULL,
  PRIMARY KEY (device, did)
);
CREATE INDEX signin_device_account_did ON signin_device_account (did);
CREATE INDEX signin_device_account_expires ON signin_device_account (expires_at);
)sql"},
                                             {"signin", 3, R"sql(
ALTER TABLE signin_flow ADD COLUMN proven_did TEXT;
ALTER TABLE signin_flow ADD COLUMN stay BIGINT NOT NULL DEFAULT 0;
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::signin
