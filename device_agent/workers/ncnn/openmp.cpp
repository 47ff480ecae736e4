// The part of an OpenMP library that ncnn's code calls, on ForkJoin: `parallel for` with a static
// schedule. It stands in the executable itself, so the linker finds these names before those of
// ncnn's simpleomp.cpp and leaves that one in its archive; should ncnn ever call a name that is
// missing here, the link fails with both.
#include <platform.h>

#if NCNN_SIMPLEOMP

#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "workers/ncnn/fork_join.h"

namespace {

std::atomic<int> default_team{0};

int team_or_default(int requested) {
  if (requested > 0) return requested;
  const int team = default_team;
  return team > 0 ? team : static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

extern "C" {

int omp_get_max_threads() { return team_or_default(0); }
void omp_set_num_threads(int threads) { default_team = threads; }
int omp_get_dynamic() { return 0; }
void omp_set_dynamic(int) {}
int omp_get_num_threads() { return dx::ForkJoin::team_size(); }
int omp_get_thread_num() { return dx::ForkJoin::thread_number(); }
int kmp_get_blocktime() { return dx::ForkJoin::instance().block_time_ms(); }
void kmp_set_blocktime(int milliseconds) {
  dx::ForkJoin::instance().set_block_time_ms(milliseconds);
}

}  // extern "C"

#if defined(__clang__)

// Clang's code calls libomp's entry points: https://openmp.llvm.org (the interface of kmp.h). A
// loop's body comes as a function whose captured variables are further pointer-sized arguments.
namespace {

constexpr std::size_t kMaxCaptured = 64;

using Microtask = void (*)(std::int32_t*, std::int32_t*, ...);
using Caller = void (*)(Microtask, std::int32_t*, void**);

template <std::size_t>
using Pointer = void*;

template <std::size_t... I>
void call_with(Microtask task, std::int32_t* number, void** captured) {
  using Exact = void (*)(std::int32_t*, std::int32_t*, Pointer<I>...);
  (void)captured;
  reinterpret_cast<Exact>(task)(number, number, captured[I]...);
}

template <std::size_t... I>
constexpr Caller caller_of(std::index_sequence<I...>) {
  return &call_with<I...>;
}

template <std::size_t... N>
constexpr auto all_callers(std::index_sequence<N...>) {
  struct Table {
    Caller callers[sizeof...(N)];
  };
  return Table{{caller_of(std::make_index_sequence<N>())...}};
}

constexpr auto kCallers = all_callers(std::make_index_sequence<kMaxCaptured + 1>());

struct Loop {
  Microtask task = nullptr;
  Caller caller = nullptr;
  void* captured[kMaxCaptured];
};

thread_local int requested_team = 0;

// This thread's share of lower..upper (inclusive, step 1): as even as possible, in order.
template <class Integer, class Unsigned>
void static_share(Integer* lower, Integer* upper, std::int32_t* last) {
  const auto team = static_cast<Unsigned>(dx::ForkJoin::team_size());
  const auto number = static_cast<Unsigned>(dx::ForkJoin::thread_number());
  const Unsigned count = static_cast<Unsigned>(*upper) - static_cast<Unsigned>(*lower) + 1;
  const Unsigned each = count / team;
  const Unsigned rest = count % team;
  const Unsigned start = number * each + (number < rest ? number : rest);
  const Unsigned size = each + (number < rest ? 1 : 0);
  // An empty share ends before it starts.
  const Unsigned first = static_cast<Unsigned>(*lower) + start;
  *last = size > 0 && start + size == count;
  *lower = static_cast<Integer>(first);
  *upper = static_cast<Integer>(first + size - 1);
}

}  // namespace

extern "C" {

std::int32_t __kmpc_global_thread_num(void*) { return dx::ForkJoin::thread_number(); }

void __kmpc_push_num_threads(void*, std::int32_t, std::int32_t threads) {
  requested_team = threads;
}

void __kmpc_fork_call(void*, std::int32_t count, Microtask task, ...) {
  if (count < 0 || static_cast<std::size_t>(count) > kMaxCaptured) __builtin_trap();
  Loop loop;
  loop.task = task;
  loop.caller = kCallers.callers[count];
  va_list arguments;
  va_start(arguments, task);
  for (std::int32_t i = 0; i < count; ++i) loop.captured[i] = va_arg(arguments, void*);
  va_end(arguments);

  const int team = team_or_default(std::exchange(requested_team, 0));
  const auto body = [](void* context, int thread) {
    auto* its = static_cast<Loop*>(context);
    std::int32_t number = thread;
    its->caller(its->task, &number, its->captured);
  };
  dx::ForkJoin::instance().run(team, body, &loop);
}

void __kmpc_for_static_init_4(void*, std::int32_t, std::int32_t, std::int32_t* last,
                              std::int32_t* lower, std::int32_t* upper, std::int32_t*, std::int32_t,
                              std::int32_t) {
  static_share<std::int32_t, std::uint32_t>(lower, upper, last);
}

void __kmpc_for_static_init_4u(void*, std::int32_t, std::int32_t, std::int32_t* last,
                               std::uint32_t* lower, std::uint32_t* upper, std::int32_t*,
                               std::int32_t, std::int32_t) {
  static_share<std::uint32_t, std::uint32_t>(lower, upper, last);
}

void __kmpc_for_static_init_8(void*, std::int32_t, std::int32_t, std::int32_t* last,
                              std::int64_t* lower, std::int64_t* upper, std::int64_t*, std::int64_t,
                              std::int64_t) {
  static_share<std::int64_t, std::uint64_t>(lower, upper, last);
}

void __kmpc_for_static_init_8u(void*, std::int32_t, std::int32_t, std::int32_t* last,
                               std::uint64_t* lower, std::uint64_t* upper, std::int64_t*,
                               std::int64_t, std::int64_t) {
  static_share<std::uint64_t, std::uint64_t>(lower, upper, last);
}

void __kmpc_for_static_fini(void*, std::int32_t) {}

}  // extern "C"

#else  // GCC's code calls libgomp's one entry point and shares the iterations out itself.

namespace {

struct Loop {
  void (*function)(void*) = nullptr;
  void* data = nullptr;
};

}  // namespace

extern "C" void GOMP_parallel(void (*function)(void*), void* data, unsigned threads, unsigned) {
  Loop loop{function, data};
  const auto body = [](void* context, int) {
    auto* its = static_cast<Loop*>(context);
    its->function(its->data);
  };
  dx::ForkJoin::instance().run(team_or_default(static_cast<int>(threads)), body, &loop);
}

#endif  // defined(__clang__)

#endif  // NCNN_SIMPLEOMP
