#include "mail/schema.h"

namespace latchkey::mail {
namespace {

constexpr store::Migration k_migrations[] = {{"mail", 1, R"sql(
CREATE TABLE mail_queue (
  id       TEXT PRIMARY KEY,
  sealed   BLOB NOT NULL,
  attempts BIGINT NOT NULL,
  due_at   BIGINT NOT NULL,
  lease    TEXT
);
CREATE INDEX mail_queue_due ON mail_queue (due_at);
)sql"}};

}  // namespace

std::span<const store::Migration> migrations() { return k_migrations; }

}  // namespace latchkey::mail
