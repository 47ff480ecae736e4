// A loop's rounds on threads of a runtime's, which let no exception pass.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

#include "operators/operator.h"

namespace dx::op {

class GuardedRounds {
 public:
  GuardedRounds(Call::Body body, void* context) : body_(body), context_(context) {}

  // Any thread may call this. What a round throws is kept, and no further one is begun.
  void run(std::int64_t index, int thread) noexcept {
    if (has_failed_.load(std::memory_order_relaxed)) return;
    try {
      body_(context_, index, thread);
    } catch (...) {
      if (!has_failed_.exchange(true)) thrown_ = std::current_exception();
    }
  }

  // Throws what a round threw first. REQUIRES: all threads are done.
  void finish() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  Call::Body body_;
  void* context_;
  std::atomic<bool> has_failed_{false};
  std::exception_ptr thrown_;
};

}  // namespace dx::op
