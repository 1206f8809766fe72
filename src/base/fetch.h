#pragma once
// What lower layers need of the network, as interfaces. web::GuardedClient and web::DnsResolver are the real
// ones (docs/decisions/003-network-interfaces.md); tests hand in FakeFetch.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace latchkey {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct FetchRequest {
  std::string method = "GET";
  std::string url;
  HeaderList headers = {};
  std::string body = {};
  std::size_t max_body = 1 << 20;           // a longer answer is an error
  std::chrono::milliseconds timeout{5000};  // for the whole exchange
};

struct FetchResponse {
  int status = 0;
  HeaderList headers;  // names in lower case
  std::string body;
  std::string header(std::string_view name) const;  // first value, "" when absent
};

struct FetchError {
  enum class Kind { refused_by_guard, unreachable, timeout, too_large, bad_answer };
  Kind kind;
  std::string detail;  // for logs
};

class Fetch {
 public:
  virtual ~Fetch() = default;
  /// Never follows redirects. Any status is a value, not an error.
  virtual Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) = 0;
};

class TxtLookup {
 public:
  virtual ~TxtLookup() = default;
  /// The TXT records of a name, each with its strings joined. No such name is an empty list.
  virtual Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) = 0;
};

}  // namespace latchkey
