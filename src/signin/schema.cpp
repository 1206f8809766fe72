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
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::signin
