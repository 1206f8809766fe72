#include "base/executor.h"

#include <algorithm>

namespace latchkey {
namespace {
thread_local Executor* t_current = nullptr;
}

Executor* Executor::current() { return t_current; }
Executor::Enter::Enter(Executor* e) : before_(t_current) { t_current = e; }
Executor::Enter::~Enter() { t_current = before_; }

// Both notify under the lock: run_until may return, and the executor with it be gone, as soon as the lock is
// free.
void InlineExecutor::post(Job job) {
  std::lock_guard lock(mutex_);
  ready_.push_back(std::move(job));
  wake_.notify_one();
}

void InlineExecutor::post_after(std::chrono::milliseconds delay, Job job) {
  std::lock_guard lock(mutex_);
  const auto due = elapsed_ + delay;
  auto at = std::upper_bound(delayed_.begin(), delayed_.end(), due,
                             [](auto t, const Delayed& d) { return t < d.due; });
  delayed_.insert(at, Delayed{due, std::move(job)});
  wake_.notify_one();
}

void InlineExecutor::run_until(const std::function<bool()>& done) {
  Enter enter(this);
  while (!done()) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      // A delayed job goes ahead only after a moment in which no other thread delivered anything.
      if (ready_.empty() && !delayed_.empty())
        wake_.wait_for(lock, std::chrono::milliseconds(20), [&] { return !ready_.empty(); });
      else
        wake_.wait(lock, [&] { return !ready_.empty() || !delayed_.empty(); });
      if (!ready_.empty()) {
        job = std::move(ready_.front());
        ready_.pop_front();
      } else if (!delayed_.empty()) {
        elapsed_ = delayed_.front().due;
        job = std::move(delayed_.front().job);
        delayed_.erase(delayed_.begin());
      } else {
        continue;
      }
    }
    job();
  }
}

ThreadPool::ThreadPool(unsigned threads, std::size_t max_queue) : max_queue_(max_queue) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& t : threads_) t.join();
}

bool ThreadPool::try_post(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= max_queue_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void ThreadPool::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

}  // namespace latchkey
