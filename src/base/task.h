#pragma once
// Task<T>: a lazy coroutine with one owner, awaited to its end. Exceptions travel to the awaiter.
//
//   Task<Result<Row, Fault>> load(std::string id);        // parameters by value
//   CO_TRY(auto row, co_await load(id));
//
// spawn() starts one nobody awaits; run() drives one to its end on the calling thread; Completion<T> turns a
// callback into something to await.

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <variant>

#include "base/executor.h"

namespace latchkey {

template <class T>
class [[nodiscard]] Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      return h.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
};

template <class T>
struct Promise : PromiseBase {
  std::variant<std::monostate, T, std::exception_ptr> result;
  Task<T> get_return_object();
  template <class U>
    requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    result.template emplace<1>(std::forward<U>(value));
  }
  void return_value(T value) { result.template emplace<1>(std::move(value)); }  // co_return {…}
  void unhandled_exception() { result.template emplace<2>(std::current_exception()); }
  T take() {
    if (result.index() == 2) std::rethrow_exception(std::get<2>(result));
    return std::move(std::get<1>(result));
  }
};

template <>
struct Promise<void> : PromiseBase {
  std::exception_ptr error;
  Task<void> get_return_object();
  void return_void() {}
  void unhandled_exception() { error = std::current_exception(); }
  void take() {
    if (error) std::rethrow_exception(error);
  }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  explicit Task(std::coroutine_handle<promise_type> h) : handle_(h) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
        handle.promise().continuation = caller;
        return handle;
      }
      T await_resume() { return handle.promise().take(); }
    };
    return Awaiter{handle_};
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() {
      std::terminate();
    }  // spawn() takes Tasks that handle their errors
  };
};
inline Detached detach(Task<void> task) { co_await std::move(task); }
template <class T>
Task<void> store_result(Task<T> task, std::optional<T>* out, std::exception_ptr* error) {
  try {
    out->emplace(co_await std::move(task));
  } catch (...) {
    *error = std::current_exception();
  }
}
inline Task<void> store_done(Task<void> task, bool* done, std::exception_ptr* error) {
  try {
    co_await std::move(task);
  } catch (...) {
    *error = std::current_exception();
  }
  *done = true;
}
}  // namespace detail

/// Starts a task here and now; it runs until its first suspension and then on its own. It must not throw.
inline void spawn(Task<void> task) { detail::detach(std::move(task)); }

/// Drives a task to its end on `executor`, on this thread.
template <class T>
T run(InlineExecutor& executor, Task<T> task) {
  std::exception_ptr error;
  if constexpr (std::is_void_v<T>) {
    bool done = false;
    executor.post([&] { spawn(detail::store_done(std::move(task), &done, &error)); });
    executor.run_until([&] { return done; });
    if (error) std::rethrow_exception(error);
  } else {
    std::optional<T> out;
    executor.post([&] { spawn(detail::store_result(std::move(task), &out, &error)); });
    executor.run_until([&] { return out.has_value() || error; });
    if (error) std::rethrow_exception(error);
    return std::move(*out);
  }
}
template <class T>
T run(Task<T> task) {
  InlineExecutor executor;
  return run(executor, std::move(task));
}

/// One value delivered from anywhere, awaited once. The waiter resumes on the executor it waited on (or on
/// the delivering thread if it waited on none). Copies share one state.
///
///   Completion<int> c;
///   pool.try_post([c] { c.deliver(work()); });
///   int x = co_await c;
template <class T>
class Completion {
  struct State {
    std::mutex mutex;
    std::optional<T> value;
    std::exception_ptr error;
    std::coroutine_handle<> waiter;
    Executor* executor = nullptr;
  };

 public:
  void deliver(T value) const {
    finish([&](State& s) { s.value.emplace(std::move(value)); });
  }
  void fail_with(std::exception_ptr e) const {
    finish([&](State& s) { s.error = e; });
  }

  auto operator co_await() const {
    struct Awaiter {
      std::shared_ptr<State> state;
      bool await_ready() { return false; }
      bool await_suspend(std::coroutine_handle<> h) {
        std::lock_guard lock(state->mutex);
        if (state->value || state->error) return false;
        state->waiter = h;
        state->executor = Executor::current();
        return true;
      }
      T await_resume() {
        if (state->error) std::rethrow_exception(state->error);
        return std::move(*state->value);
      }
    };
    return Awaiter{state_};
  }

 private:
  template <class F>
  void finish(F&& set) const {
    std::coroutine_handle<> waiter;
    Executor* executor;
    {
      std::lock_guard lock(state_->mutex);
      if (state_->value || state_->error) return;
      set(*state_);
      waiter = state_->waiter;
      executor = state_->executor;
    }
    if (!waiter) return;
    if (executor)
      executor->post([waiter] { waiter.resume(); });
    else
      waiter.resume();
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// The pool's queue is full: the caller sheds load.
struct Overloaded : std::runtime_error {
  Overloaded() : std::runtime_error("work queue is full") {}
};

/// Runs fn on the pool and resumes where it was awaited. Throws Overloaded when the queue is full.
template <class F>
Task<std::invoke_result_t<F>> run_on(ThreadPool* pool, F fn) {
  using T = std::invoke_result_t<F>;
  Completion<T> done;
  const bool queued = pool->try_post([done, fn = std::move(fn)]() mutable {
    try {
      done.deliver(fn());
    } catch (...) {
      done.fail_with(std::current_exception());
    }
  });
  if (!queued) throw Overloaded();
  co_return co_await done;
}

/// Suspends for a while on the current executor.
inline Task<void> sleep_for(std::chrono::milliseconds delay) {
  Completion<bool> done;
  Executor::current()->post_after(delay, [done] { done.deliver(true); });
  co_await done;
}

}  // namespace latchkey
