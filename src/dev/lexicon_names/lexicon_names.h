#pragma once
// The TXT records that say where lexicons are published, on a network without DNS: the account alice.test is
// the authority for test.alice.*, so its lexicons are records in its own repository.
// Source: https://atproto.com/specs/lexicon#lexicon-publication-and-resolution

#include "base/fetch.h"
#include "store/database.h"

namespace latchkey::dev {

class LexiconNames final : public TxtLookup {
 public:
  /// `db` is that of the PDS.
  explicit LexiconNames(store::Database& db) : db_(db) {}

  /// For `_lexicon.<handle>` the DID of the account here; every other name has no records.
  Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) override;

 private:
  store::Database& db_;
};

}  // namespace latchkey::dev
