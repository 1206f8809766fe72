#pragma once
// Result and the TRY family: errors a caller acts on travel in the return type.

#include <expected>
#include <utility>

namespace latchkey {

template <class T, class E>
using Result = std::expected<T, E>;

template <class E>
constexpr auto fail(E&& e) {
  return std::unexpected<std::decay_t<E>>(std::forward<E>(e));
}

}  // namespace latchkey

#define LK_CAT_(a, b) a##b
#define LK_CAT(a, b) LK_CAT_(a, b)
#define LK_TRY_(tmp, ret, decl, ...)                     \
  auto&& tmp = (__VA_ARGS__);                            \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)
#define LK_TRY_VOID_(tmp, ret, ...) \
  if (auto&& tmp = (__VA_ARGS__); !tmp) ret std::unexpected(std::move(tmp).error())

// TRY(auto x, f()): x is f()'s value, or this function returns f()'s error. Plain statements, so they are
// safe around co_await; CO_ variants for coroutines, _VOID where there is no value.
#define TRY(decl, ...) LK_TRY_(LK_CAT(lk_try_, __COUNTER__), return, decl, __VA_ARGS__)
#define CO_TRY(decl, ...) LK_TRY_(LK_CAT(lk_try_, __COUNTER__), co_return, decl, __VA_ARGS__)
#define TRY_VOID(...) LK_TRY_VOID_(LK_CAT(lk_try_, __COUNTER__), return, __VA_ARGS__)
#define CO_TRY_VOID(...) LK_TRY_VOID_(LK_CAT(lk_try_, __COUNTER__), co_return, __VA_ARGS__)
