#pragma once
#include "base/executor.h"
#include "base/task.h"

namespace latchkey::signin {

/// Resumes when the job that runs now has ended, so that what follows shows in no answer's time.
inline Task<void> after_this_job() {
  Completion<bool> later;
  Executor::current()->post([later] { later.deliver(true); });
  co_await later;
}

}  // namespace latchkey::signin
