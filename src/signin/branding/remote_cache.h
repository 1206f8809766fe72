#pragma once
// Small files of clients (logos, mail templates), fetched by the guarded client, read once and kept for a
// while.

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/fetch.h"
#include "base/keyed_lock.h"
#include "base/log.h"
#include "base/time.h"

namespace latchkey::signin {

/// What was fetched is kept for 10 minutes, a failure for 1 (epds-flows, section 5). The least recently used
/// goes first. Whoever asks for what is being fetched waits for it. Thread-safe.
template <class T>
class RemoteCache {
 public:
  static constexpr std::chrono::minutes k_life{10}, k_failure_life{1};
  static constexpr std::chrono::seconds k_timeout{5};

  struct Options {
    std::string what;  // for the log
    std::string accept;
    std::size_t max_bytes;
    std::size_t max_entries;
  };
  using Read = std::function<Result<T, std::string>(const FetchResponse&)>;

  /// `read` sees answers with status 200 only; its error goes to the log.
  RemoteCache(Options options, Read read, Fetch& fetch, const Clock& clock)
      : options_(std::move(options)), read_(std::move(read)), fetch_(fetch), clock_(clock) {}

  /// Null when it cannot be had.
  Task<std::shared_ptr<const T>> get(std::string url) {
    if (const auto known = cached(url)) co_return *known;
    const auto turn = co_await fetching_.lock(url);
    if (const auto known = cached(url)) co_return *known;  // fetched while we waited
    FetchRequest request{.url = url,
                         .headers = {{"accept", options_.accept}},
                         .max_body = options_.max_bytes,
                         .timeout = k_timeout};
    const auto answer = co_await fetch_.fetch(std::move(request));
    co_return remember(std::move(url), read(url, answer));
  }

  /// True when the last try failed, and that is not long ago.
  bool is_known_bad(const std::string& url) {
    const auto known = cached(url);
    return known && !*known;
  }

 private:
  struct Entry {
    std::shared_ptr<const T> value;  // null: a failure
    Time fetched_at;
    std::list<std::string>::iterator recent;
  };

  std::optional<std::shared_ptr<const T>> cached(const std::string& url) {
    std::lock_guard lock(mutex_);
    const auto at = cache_.find(url);
    if (at == cache_.end()) return std::nullopt;
    const auto age = clock_.now() - at->second.fetched_at;
    if (at->second.value ? age >= k_life : age >= k_failure_life) return std::nullopt;
    recent_.splice(recent_.begin(), recent_, at->second.recent);
    return at->second.value;
  }

  std::shared_ptr<const T> read(const std::string& url, const Result<FetchResponse, FetchError>& answer) {
    std::string why;
    if (!answer) {
      why = answer.error().detail;
    } else if (answer->status != 200) {
      why = "status " + std::to_string(answer->status);
    } else if (answer->body.size() > options_.max_bytes) {
      why = "too large";
    } else {
      auto value = read_(*answer);
      if (value) return std::make_shared<const T>(*std::move(value));
      why = std::move(value).error();
    }
    log::info("a client's file could not be used",
              {{"what", options_.what}, {"url", url}, {"detail", std::move(why)}});
    return nullptr;
  }

  std::shared_ptr<const T> remember(std::string url, std::shared_ptr<const T> value) {
    std::lock_guard lock(mutex_);
    const Time now = clock_.now();
    if (const auto at = cache_.find(url); at != cache_.end()) {
      at->second.value = value;
      at->second.fetched_at = now;
      recent_.splice(recent_.begin(), recent_, at->second.recent);
      return value;
    }
    if (cache_.size() == options_.max_entries) {
      cache_.erase(recent_.back());
      recent_.pop_back();
    }
    recent_.push_front(url);
    cache_.emplace(std::move(url), Entry{value, now, recent_.begin()});
    return value;
  }

  Options options_;
  Read read_;
  Fetch& fetch_;
  const Clock& clock_;
  KeyedLock fetching_;
  std::mutex mutex_;
  std::map<std::string, Entry> cache_;
  std::list<std::string> recent_;  // most recent first
};

}  // namespace latchkey::signin
