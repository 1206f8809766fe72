#pragma once
// Messages of com.atproto.sync.subscribeRepos, all but their `seq`, which is known when they are numbered.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atproto/repo/engine.h"
#include "atproto/syntax/did.h"
#include "atproto/syntax/handle.h"
#include "base/time.h"
#include "pds/repo_heads.h"

namespace latchkey::pds {

/// `blobs`: what the written records refer to.
Bytes commit_payload(const Did& did, const repo::CommitResult& commit, const std::vector<Cid>& blobs,
                     Time now);
/// The first commit of a new repository: `blocks` is the CAR of the event.
Bytes first_commit_payload(const Did& did, const RepoHead& head, BytesView blocks, Time now);
Bytes sync_payload(const Did& did, const RepoHead& head, Time now);
Bytes identity_payload(const Did& did, const std::optional<Handle>& handle, Time now);
/// `status` absent means active.
Bytes account_payload(const Did& did, std::optional<std::string_view> status, Time now);

}  // namespace latchkey::pds
