#include "dev/lexicon_names/lexicon_names.h"

#include "pds/accounts.h"

namespace latchkey::dev {

Task<Result<std::vector<std::string>, FetchError>> LexiconNames::txt(std::string name) {
  constexpr std::string_view k_prefix = "_lexicon.";
  if (!name.starts_with(k_prefix)) co_return std::vector<std::string>();
  const auto handle = Handle::parse(std::string_view(name).substr(k_prefix.size()));
  if (!handle) co_return std::vector<std::string>();
  const auto account =
      co_await db_.read([&](store::Tx& tx) { return pds::accounts::by_handle(tx, *handle); });
  if (!account) co_return std::vector<std::string>();
  co_return std::vector<std::string>{"did=" + account->did.str()};
}

}  // namespace latchkey::dev
