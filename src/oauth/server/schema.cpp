#include "oauth/server/schema.h"

namespace latchkey::oauth {
namespace {

// Codes and request URIs are kept as SHA-256, so a leaked database lets nobody finish a login. Refresh tokens
// are not kept at all: they are derived (tokens.h).
constexpr store::Migration k_migrations[] = {{"oauth", 1, R"sql(
CREATE TABLE oauth_request (
  id             TEXT PRIMARY KEY,
  client_id      TEXT NOT NULL,
  redirect_uri   TEXT NOT NULL,
  scope          TEXT NOT NULL,
  state          TEXT NOT NULL,
  code_challenge TEXT NOT NULL UNIQUE,
  response_mode  TEXT NOT NULL,
  login_hint     TEXT,
  prompt         TEXT,
  dpop_jkt       TEXT NOT NULL,
  auth_kid       TEXT,
  auth_jkt       TEXT,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  browser        TEXT,
  finished_at    BIGINT
);
CREATE INDEX oauth_request_created ON oauth_request (created_at);
CREATE TABLE oauth_code (
  code_hash      TEXT PRIMARY KEY,
  client_id      TEXT NOT NULL,
  redirect_uri   TEXT NOT NULL,
  scope          TEXT NOT NULL,
  did            TEXT NOT NULL,
  code_challenge TEXT NOT NULL,
  dpop_jkt       TEXT NOT NULL,
  auth_kid       TEXT,
  auth_jkt       TEXT,
  expires_at     BIGINT NOT NULL,
  spent_at       BIGINT,
  session_id     TEXT
);
CREATE INDEX oauth_code_expires ON oauth_code (expires_at);
CREATE TABLE oauth_session (
  id             TEXT PRIMARY KEY,
  did            TEXT NOT NULL,
  client_id      TEXT NOT NULL,
  scope          TEXT NOT NULL,
  dpop_jkt       TEXT NOT NULL,
  auth_kid       TEXT,
  auth_jkt       TEXT,
  created_at     BIGINT NOT NULL,
  last_used_at   BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  generation     BIGINT NOT NULL,
  rotated_at     BIGINT NOT NULL,
  revoked_at     BIGINT
);
CREATE INDEX oauth_session_did ON oauth_session (did);
CREATE INDEX oauth_session_expires ON oauth_session (expires_at);
CREATE TABLE oauth_approval (
  did            TEXT NOT NULL,
  client_id      TEXT NOT NULL,
  scope          TEXT NOT NULL,
  approved_at    BIGINT NOT NULL,
  PRIMARY KEY (did, client_id)
);
)sql"},
                                             {"oauth", 2, R"sql(
ALTER TABLE oauth_code ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE oauth_code ADD COLUMN device TEXT NOT NULL DEFAULT '';
CREATE INDEX oauth_code_did ON oauth_code (did);
ALTER TABLE oauth_session ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE oauth_session ADD COLUMN device TEXT NOT NULL DEFAULT '';
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::oauth
