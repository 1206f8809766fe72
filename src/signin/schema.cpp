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
)sql"},
                                             {"signin", 4, R"sql(
CREATE TABLE backup_email (
  id          TEXT PRIMARY KEY,
  did         TEXT NOT NULL,
  email       TEXT NOT NULL,
  token_hash  BLOB UNIQUE,
  expires_at  BIGINT,
  verified_at BIGINT,
  created_at  BIGINT NOT NULL,
  UNIQUE (did, email)
);
CREATE INDEX backup_email_email ON backup_email (email);
CREATE INDEX backup_email_expires ON backup_email (expires_at);

CREATE INDEX signin_flow_browser ON signin_flow (browser);
ALTER TABLE signin_flow ADD COLUMN backup_email TEXT;
ALTER TABLE signin_flow ADD COLUMN backup_proven BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signin_flow ADD COLUMN proven_by TEXT NOT NULL DEFAULT '';
ALTER TABLE signin_device_account ADD COLUMN proven_by TEXT NOT NULL DEFAULT '';

CREATE TABLE signin_recovery (
  did         TEXT PRIMARY KEY,
  ready_at    BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  cancel_hash BLOB NOT NULL UNIQUE
);
CREATE INDEX signin_recovery_expires ON signin_recovery (expires_at);

CREATE TABLE signin_audit (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  did    TEXT NOT NULL,
  at     BIGINT NOT NULL,
  event  TEXT NOT NULL,
  detail TEXT NOT NULL,
  ip     TEXT NOT NULL,
  agent  TEXT NOT NULL
);
CREATE INDEX signin_audit_did ON signin_audit (did, id);
CREATE INDEX signin_audit_at ON signin_audit (at);
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::signin
