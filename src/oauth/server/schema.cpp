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
-- A request goes when it is over; its code_challenge is remembered longer.
CREATE TABLE oauth_challenge (
  code_challenge TEXT PRIMARY KEY,
  used_at        BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO oauth_challenge (code_challenge, used_at) SELECT code_challenge, created_at FROM oauth_request;
CREATE INDEX oauth_challenge_used ON oauth_challenge (used_at);
ALTER TABLE oauth_request RENAME TO oauth_request_1;
CREATE TABLE oauth_request (
  id             TEXT PRIMARY KEY,
  client_id      TEXT NOT NULL,
  redirect_uri   TEXT NOT NULL,
  scope          TEXT NOT NULL,
  state          TEXT NOT NULL,
  code_challenge TEXT NOT NULL,
  response_mode  TEXT NOT NULL,
  login_hint     TEXT,
  prompt         TEXT,
  dpop_jkt       TEXT NOT NULL,
  auth_kid       TEXT,
  auth_jkt       TEXT,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  browser        TEXT
);
INSERT INTO oauth_request (id, client_id, redirect_uri, scope, state, code_challenge, response_mode, login_hint,
                           prompt, dpop_jkt, auth_kid, auth_jkt, created_at, expires_at, browser)
SELECT id, client_id, redirect_uri, scope, state, code_challenge, response_mode, login_hint,
       prompt, dpop_jkt, auth_kid, auth_jkt, created_at, expires_at, browser
FROM oauth_request_1 WHERE finished_at IS NULL;
DROP TABLE oauth_request_1;
ALTER TABLE oauth_code ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE oauth_code ADD COLUMN device TEXT NOT NULL DEFAULT '';
CREATE INDEX oauth_code_did ON oauth_code (did);
ALTER TABLE oauth_session ADD COLUMN ip TEXT NOT NULL DEFAULT '';
ALTER TABLE oauth_session ADD COLUMN device TEXT NOT NULL DEFAULT '';
-- Only filled where several processes share the database (replay.h).
CREATE TABLE oauth_seen (
  id             BLOB PRIMARY KEY,
  expires_at     BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX oauth_seen_expires ON oauth_seen (expires_at);
)sql"},
                                             {"oauth", 3, R"sql(
ALTER TABLE oauth_request ADD COLUMN ui_locales TEXT;
)sql"},
                                             // One row per permission set that was ever asked for: the last
                                             // document that was good, and how the last try went.
                                             {"oauth_sets", 1, R"sql(
CREATE TABLE oauth_permission_set (
  nsid          TEXT PRIMARY KEY,
  document      TEXT,
  cid           TEXT,
  did           TEXT,
  fetched_at    BIGINT,
  last_tried_at BIGINT NOT NULL,
  failure       TEXT,
  used_at       BIGINT NOT NULL
);
CREATE INDEX oauth_permission_set_used ON oauth_permission_set (used_at);
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::oauth
