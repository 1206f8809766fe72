#pragma once
// Where coroutines resume. The web server has one Executor per thread; tests have InlineExecutor.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace latchkey {

using Job = std::move_only_function<void()>;

class Executor {
 public:
  virtual ~Executor() = default;
  /// Runs the job later on this executor's thread. Thread-safe. Must not throw.
  virtual void post(Job job) = 0;
  /// Runs the job after a delay, on the same thread. Thread-safe.
  virtual void post_after(std::chrono::milliseconds delay, Job job) = 0;

  /// The executor whose job this thread is running; nullptr on threads that belong to none.
  static Executor* current();

 protected:
  /// RAII: marks this thread as running jobs of `e`.
  class Enter {
   public:
    explicit Enter(Executor* e);
    ~Enter();
    Enter(const Enter&) = delete;

   private:
    Executor* before_;
  };
};

/// A queue run by whoever calls run_until; for tests and command-line tools. Delays are ordered but not
/// waited for in real time: a delayed job runs when nothing else is ready.
class InlineExecutor final : public Executor {
 public:
  void post(Job job) override;
  void post_after(std::chrono::milliseconds delay, Job job) override;
  /// Runs jobs until done() holds, blocking for jobs from other threads.
  void run_until(const std::function<bool()>& done);

 private:
  struct Delayed {
    std::chrono::milliseconds due;
    Job job;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> ready_;
  std::vector<Delayed> delayed_;  // sorted by due
  std::chrono::milliseconds elapsed_{0};
};

/// A few threads for CPU-heavy or blocking work. Bounded: try_post fails when `max_queue` jobs wait.
class ThreadPool {
 public:
  explicit ThreadPool(unsigned threads, std::size_t max_queue = 10'000);
  ~ThreadPool();  // finishes what is queued
  ThreadPool(const ThreadPool&) = delete;
  [[nodiscard]] bool try_post(Job job);

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  std::size_t max_queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace latchkey
