// com.atproto.server.checkAccountStatus
#include <set>

#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {
namespace {

/// Blocks of the repository as a CAR has them: the commit, the tree's nodes, each record once.
std::int64_t count_blocks(const mst::Tree& tree) {
  std::set<Cid> blocks;
  mst::Walker walker(tree);
  while (const auto item = walker.next()) {
    if (const auto* leaf = std::get_if<mst::Leaf>(&*item))
      blocks.insert(leaf->value);
    else
      blocks.insert(std::get<mst::Block>(*item).cid);
  }
  return static_cast<std::int64_t>(blocks.size()) + 1;
}

}  // namespace

Task<Answer> check_account_status(Pds& pds, Call call) {
  const Account& account = call.who().account;
  const auto repo = co_await pds.repos().current(account);
  if (!repo) co_return refuse(xrpc::Error::RepoNotFound, "Could not find repo for DID: " + account.did.str());
  const auto blocks = co_await run_on(&pds.shared().reads, [repo] { return count_blocks(repo->tree); });
  const bool valid =
      (co_await pds.identity().check_entry(account, repo->signing_key.public_key())).has_value();
  const auto blobs =
      co_await pds.db().read([id = account.id](store::Tx& tx) { return blobs::count(tx, id); });
  co_return web::Response::json(json::Object{{"activated", !account.deactivated_at},
                                             {"validDid", valid},
                                             {"repoCommit", repo->head.commit.str()},
                                             {"repoRev", repo->head.rev},
                                             {"repoBlocks", blocks},
                                             {"indexedRecords", static_cast<std::int64_t>(repo->tree.size())},
                                             {"privateStateValues", 0},  // no preferences are kept here
                                             {"expectedBlobs", blobs.expected},
                                             {"importedBlobs", blobs.here}});
}

}  // namespace latchkey::pds
