#pragma once
// A document of somebody else, kept for a while. One fetch at a time: who comes while it is under way waits
// for its outcome. Between two attempts lies a pause, so that nobody can make this server hammer the other.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "auth/plugins/social/provider.h"

namespace latchkey::auth {

/// Thread-safe.
template <class T>
class Refreshed {
 public:
  using Load = std::function<Task<Result<T, ProviderError>>()>;
  struct Policy {
    std::chrono::seconds lifetime;  // older ones are fetched again before they are used
    std::chrono::seconds pause;     // between two attempts, whatever came of the first
  };
  Refreshed(const Clock& clock, Policy policy, Load load)
      : clock_(clock), policy_(policy), load_(std::move(load)) {}

  /// The document, fetched again when it is too old or not good enough (lacks what is looked for).
  Task<Result<std::shared_ptr<const T>, ProviderError>> get(std::function<bool(const T&)> good_enough) {
    for (;;) {
      std::optional<Completion<bool>> somebody_fetches;
      {
        std::lock_guard lock(mutex_);
        const Time now = clock_.now();
        if (value_ && now - fetched_at_ < policy_.lifetime && good_enough(*value_)) co_return value_;
        if (under_way_) {
          somebody_fetches = waiting_.emplace_back();
        } else {
          if (attempted_at_ && now - *attempted_at_ < policy_.pause) co_return fail(problem_);
          attempted_at_ = now;
          under_way_ = true;
        }
      }
      if (somebody_fetches) {
        co_await *somebody_fetches;
        continue;
      }
      Landing landing{this};
      auto loaded = co_await load_();
      std::lock_guard lock(mutex_);
      if (loaded) {
        value_ = std::make_shared<const T>(std::move(*loaded));
        fetched_at_ = *attempted_at_;
        problem_ = {ProviderError::Kind::refused, "not in the provider's document"};
      } else {
        problem_ = loaded.error();
      }
      // Now it is there and good enough, or the pause says no.
    }
  }

 private:
  // Wakes who waits, also when the fetch ends by an exception. Its lock comes after that of the writer above.
  struct Landing {
    Refreshed* owner;
    ~Landing() {
      std::vector<Completion<bool>> waiting;
      {
        std::lock_guard lock(owner->mutex_);
        owner->under_way_ = false;
        waiting.swap(owner->waiting_);
      }
      for (const auto& one : waiting) one.deliver(true);
    }
  };

  const Clock& clock_;
  Policy policy_;
  Load load_;
  std::mutex mutex_;
  std::shared_ptr<const T> value_;
  Time fetched_at_{};
  std::optional<Time> attempted_at_;
  bool under_way_ = false;
  ProviderError problem_{ProviderError::Kind::unreachable, "not fetched yet"};
  std::vector<Completion<bool>> waiting_;
};

}  // namespace latchkey::auth
