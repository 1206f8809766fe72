#include "pds/schema.h"

namespace latchkey::pds {
namespace {

// Three rows per commit (record, head, event), all found by path order: docs/decisions, lean layout. The
// Merkle tree is not stored; it follows from the records and is checked against repo_head.data when it is
// rebuilt.
constexpr store::Migration k_migrations[] = {{"pds", 1, R"sql(
CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  did TEXT NOT NULL UNIQUE,
  handle TEXT UNIQUE,
  email TEXT UNIQUE,
  email_confirmed_at BIGINT,
  password_scrypt TEXT,
  signing_key BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  activated_at BIGINT,
  deactivated_at BIGINT,
  delete_after BIGINT,
  takedown_ref TEXT
);

CREATE TABLE account_creation (
  account_id BIGINT NOT NULL PRIMARY KEY,
  operation TEXT NOT NULL,
  rev TEXT NOT NULL,
  commit_cid BLOB NOT NULL,
  data BLOB NOT NULL,
  commit_block BLOB NOT NULL,
  blocks BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE record (
  account_id BIGINT NOT NULL,
  collection TEXT NOT NULL,
  rkey TEXT NOT NULL,
  cid BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (account_id, collection, rkey)
) WITHOUT ROWID;

CREATE TABLE repo_head (
  account_id BIGINT NOT NULL PRIMARY KEY,
  rev TEXT NOT NULL,
  commit_cid BLOB NOT NULL,
  data BLOB NOT NULL,
  commit_block BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE repo_event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  payload BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE repo_event_pending (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  payload BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE refresh_token (
  id TEXT NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  next_id TEXT,
  app_password TEXT
) WITHOUT ROWID;
CREATE INDEX refresh_token_account ON refresh_token (account_id, expires_at);
)sql"},
                                             {"pds", 2, R"sql(
-- A signed PLC operation between "decided here" and "in the directory and here". One an account at a time;
-- its handle is reserved meanwhile.
CREATE TABLE plc_update (
  account_id BIGINT NOT NULL PRIMARY KEY,
  operation TEXT NOT NULL,
  handle TEXT UNIQUE,
  created_at BIGINT NOT NULL
);
CREATE INDEX plc_update_created ON plc_update (created_at);

CREATE TABLE app_password (
  account_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  password_hash BLOB NOT NULL,
  privileged BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, name)
) WITHOUT ROWID;

CREATE TABLE mailed_token (
  account_id BIGINT NOT NULL,
  purpose BIGINT NOT NULL,
  token_hash BLOB NOT NULL,
  expires_at BIGINT NOT NULL,
  hour_began BIGINT NOT NULL,
  hour_count BIGINT NOT NULL,
  day_began BIGINT NOT NULL,
  day_count BIGINT NOT NULL,
  PRIMARY KEY (account_id, purpose)
) WITHOUT ROWID;

CREATE TABLE invite (
  code TEXT NOT NULL PRIMARY KEY,
  max_uses BIGINT NOT NULL,
  uses BIGINT NOT NULL,
  for_account TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  disabled_at BIGINT
);
CREATE INDEX invite_created ON invite (created_at, code);

CREATE TABLE invite_use (
  account_id BIGINT NOT NULL PRIMARY KEY,
  code TEXT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX invite_use_code ON invite_use (code);

-- Events of accounts that were deleted, still to be taken out of the log: those after next_seq, up to last_seq.
CREATE TABLE event_removal (
  account_id BIGINT NOT NULL PRIMARY KEY,
  next_seq BIGINT NOT NULL,
  last_seq BIGINT NOT NULL
);
)sql"},
                                             {"pds", 3, R"sql(
-- The bytes are in the blob store under account_id, cid and upload. temporary_since: until a record refers to it.
CREATE TABLE account_blob (
  account_id BIGINT NOT NULL,
  cid BLOB NOT NULL,
  upload TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  temporary_since BIGINT,
  PRIMARY KEY (account_id, cid)
) WITHOUT ROWID;
CREATE INDEX account_blob_temporary ON account_blob (temporary_since) WHERE temporary_since IS NOT NULL;
CREATE INDEX account_blob_temporary_of ON account_blob (account_id) WHERE temporary_since IS NOT NULL;

-- What the records of a repository refer to, whether the blob is here or not (migration).
CREATE TABLE blob_reference (
  account_id BIGINT NOT NULL,
  path TEXT NOT NULL,
  cid BLOB NOT NULL,
  rev TEXT NOT NULL,
  PRIMARY KEY (account_id, path, cid)
) WITHOUT ROWID;
CREATE INDEX blob_reference_cid ON blob_reference (account_id, cid);
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::pds
