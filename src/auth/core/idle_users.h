#pragma once
// Users who came, left and were never heard of again. The statement is in users_sql.cpp.

#include <string>
#include <string_view>
#include <vector>

#include "auth/core/models.h"

namespace latchkey::auth {

class IdleUsers {
 public:
  /// Those whose text field, an additional one, is empty.
  IdleUsers(const TableNames& names, std::string_view empty_field);
  /// Ids of those who were made and last signed in at or before `until`.
  std::vector<std::string> list(store::Tx& tx, Time until, std::int64_t limit) const;

 private:
  store::Sql select_;
};

}  // namespace latchkey::auth
