#pragma once
// The one outbound HTTP client. Everything a stranger can make us fetch goes through its guard
// (docs/threat-model.md: SSRF, DNS rebinding).

#include <memory>
#include <string>
#include <string_view>

#include "base/fetch.h"

namespace latchkey::web {

/// strict: https only, host names only, and the address the socket connects to must be public.
/// local_network: http, IP literals and private addresses as well. For `dev` and closed networks; announced
/// in the log when the client is made.
enum class Guard { strict, local_network };

struct ClientOptions {
  Guard guard = Guard::strict;
  std::string ca_file;  // more trust anchors (PEM), beside the system's
  std::string user_agent = "latchkey";
  std::chrono::milliseconds connect_timeout{3000};
  std::size_t max_parallel = 256;  // requests under way; more are refused as unreachable
  std::size_t max_response_header = 32 * 1024;
  /// host:port:address entries that replace DNS (libcurl CURLOPT_RESOLVE). The guard still judges the
  /// address.
  std::vector<std::string> resolve;
};

/// libcurl on a thread of its own. Redirects are never followed, proxies of the environment are ignored,
/// bodies arrive as sent (no content encoding is asked for; an encoded answer is an error). fetch() resumes
/// on the executor it was awaited on. Requests under way when the client goes end as unreachable. Sources are
/// read and sinks written on the client's thread, which other requests wait for.
class GuardedClient final : public Fetch {
 public:
  explicit GuardedClient(ClientOptions options);
  ~GuardedClient() override;
  Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) override;
  bool streams() const override { return true; }

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace latchkey::web
