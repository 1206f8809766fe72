// com.atproto.sync.listRepos
#include <charconv>

#include "pds/methods.h"
#include "pds/pds.h"

namespace latchkey::pds {

Task<Answer> list_repos(Pds& pds, Call call) {
  CO_TRY(const auto limit, call.int_param("limit", 1, 1000, 500));
  CO_TRY(auto cursor, call.text_param("cursor"));
  std::int64_t after = 0;
  if (cursor) {
    const auto [end, error] = std::from_chars(cursor->data(), cursor->data() + cursor->size(), after);
    if (error != std::errc() || end != cursor->data() + cursor->size() || after < 0)
      co_return invalid("Malformed cursor");
  }
  const auto page = co_await pds.db().read([&](store::Tx& tx) { return accounts::list(tx, after, limit); });
  json::Array repos;
  for (const auto& [account, head] : page) {
    json::Object repo{{"did", account.did.str()},
                      {"head", head.commit.str()},
                      {"rev", head.rev},
                      {"active", account.active()}};
    if (auto status = account.status()) repo.append("status", *status);
    repos.push_back(std::move(repo));
  }
  json::Object out{{"repos", std::move(repos)}};
  if (static_cast<std::int64_t>(page.size()) == limit)
    out.append("cursor", std::to_string(page.back().account.id));
  co_return web::Response::json(std::move(out));
}

}  // namespace latchkey::pds
