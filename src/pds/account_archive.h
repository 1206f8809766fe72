#pragma once
// Everything an account has published, as one file.

#include <optional>

#include "base/task.h"
#include "pds/accounts.h"
#include "web/http.h"

namespace latchkey::pds {

class Pds;

/// A tar (POSIX.1-2017, pax: "ustar Interchange Format"), not compressed: repo.car, and blobs/<cid> for every
/// blob a record refers to. Streamed: it takes the memory of one piece, however much there is. std::nullopt
/// when there is no repository.
Task<std::optional<web::Response>> download_archive(Pds* pds, Account account);

}  // namespace latchkey::pds
