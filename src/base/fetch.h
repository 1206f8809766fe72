#pragma once
// What lower layers need of the network, as interfaces. web::GuardedClient and web::DnsResolver are the real
// ones (docs/decisions/003-network-interfaces.md); tests hand in FakeFetch.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/task.h"

namespace latchkey {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// A request body that is read while it is sent, so that a file need not be in memory. Called on the thread
/// that sends, one call at a time; an implementation answers at once.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// All of it, in bytes: the Content-Length.
  virtual std::uint64_t size() const = 0;
  /// Goes back to the first byte. Called before every sending, because a request may have to be sent again.
  virtual bool rewind() = 0;
  /// Fills the front of `out` and says how far; 0 is the end, std::nullopt a failure.
  virtual std::optional<std::size_t> read(std::span<std::uint8_t> out) = 0;
};

/// Takes the body of an answer piece by piece, on the thread that receives.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual bool write(BytesView piece) = 0;  // false stops the transfer
};

struct FetchRequest {
  std::string method = "GET";
  std::string url;
  HeaderList headers = {};
  std::string body = {};
  std::size_t max_body = 1 << 20;           // a longer answer is an error
  std::chrono::milliseconds timeout{5000};  // for the whole exchange

  std::shared_ptr<BodySource> source = {};  // instead of `body`
  /// Gets the body of an answer with a 2xx status; the body of any other is in FetchResponse as usual.
  std::shared_ptr<BodySink> sink = {};
  /// The longest time in which no byte moves either way, in whole seconds; zero: only `timeout` counts.
  std::chrono::seconds max_silence{0};
  std::stop_token stop = {};  // ends the exchange (Kind::stopped)
};

struct FetchResponse {
  int status = 0;
  HeaderList headers;  // names in lower case
  std::string body;
  std::string header(std::string_view name) const;  // first value, "" when absent
};

struct FetchError {
  /// stopped: by the request's stop token, its sink, or a source that could not be read.
  enum class Kind { refused_by_guard, unreachable, timeout, too_large, bad_answer, stopped };
  Kind kind;
  std::string detail;  // for logs
};

class Fetch {
 public:
  virtual ~Fetch() = default;
  /// Never follows redirects. Any status is a value, not an error.
  virtual Task<Result<FetchResponse, FetchError>> fetch(FetchRequest request) = 0;
  /// Whether `source` and `sink` are served. Others see `body` alone: read_source(), pass_to_sink().
  virtual bool streams() const { return false; }
};

/// `source` read into `body`: for a Fetch that does not stream. False when the source fails.
[[nodiscard]] bool read_source(FetchRequest& request);
/// A body that arrived in one piece, given to the request's sink. False when the sink wants no more.
[[nodiscard]] bool pass_to_sink(BodySink& sink, FetchResponse& response);

class TxtLookup {
 public:
  virtual ~TxtLookup() = default;
  /// The TXT records of a name, each with its strings joined. No such name is an empty list.
  virtual Task<Result<std::vector<std::string>, FetchError>> txt(std::string name) = 0;
};

}  // namespace latchkey
