#pragma once
#include <chrono>

#include "base/executor.h"
#include "base/log.h"
#include "base/task.h"

namespace latchkey::app {

template <class Service>
Task<void> clean_now(Service* service) {
  try {
    co_await service->clean();
  } catch (const std::exception& e) {
    log::error("cleaning failed", {{"detail", e.what()}});
  }
}

/// What has expired goes, every five minutes. The executor stops before the service goes.
template <class Service>
void clean_regularly(Executor& loop, Service* service) {
  loop.post_after(std::chrono::minutes(5), [&loop, service] {
    spawn(clean_now(service));
    clean_regularly(loop, service);
  });
}

}  // namespace latchkey::app
