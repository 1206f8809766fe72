#pragma once
// Background work that belongs to somebody: whoever owns the group awaits idle() before what the tasks use
// goes away.

#include <mutex>
#include <vector>

#include "base/task.h"

namespace latchkey {

/// Thread-safe. Outlives its tasks, which must not throw.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;

  /// Starts a task here and now; it runs until its first suspension and then on its own.
  void spawn(Task<void> task) {
    {
      std::lock_guard lock(mutex_);
      ++running_;
    }
    latchkey::spawn(counted(this, std::move(task)));
  }
  std::size_t running() const {
    std::lock_guard lock(mutex_);
    return running_;
  }
  /// Resumes when no task runs.
  Task<void> idle() {
    Completion<bool> wake;
    {
      std::lock_guard lock(mutex_);
      if (running_ == 0) co_return;
      waiting_.push_back(wake);
    }
    co_await wake;
  }

 private:
  static Task<void> counted(TaskGroup* group, Task<void> task) {
    co_await std::move(task);
    std::vector<Completion<bool>> waiting;
    {
      std::lock_guard lock(group->mutex_);
      if (--group->running_ == 0) waiting.swap(group->waiting_);
    }
    for (const auto& wake : waiting) wake.deliver(true);
  }

  mutable std::mutex mutex_;
  std::size_t running_ = 0;
  std::vector<Completion<bool>> waiting_;
};

}  // namespace latchkey
