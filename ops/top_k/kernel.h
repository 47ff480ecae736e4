// The K largest, or smallest, values along an axis; of equal ones the first comes first. What is no
// number counts as the last of all numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "operators/operator.h"

namespace dx::op::top_k {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : axis_(attributes.integer("axis")), largest_(attributes.integer("largest") != 0) {}

  const char* run(Call& call) const {
    const Tensor& x = call.input(0);
    const std::int64_t axis = positive_axis(axis_, x.shape.size());
    if (axis < 0) return "its input has no such axis";
    const auto place = static_cast<std::size_t>(axis);
    const std::int64_t size = x.shape[place];
    const float wanted = elements(call.input(1).shape) == 1 ? call.input(1).data[0] : 0.0F;
    if (!(wanted >= 1.0F && wanted <= static_cast<float>(size))) {
      return "its K is not between 1 and the size of the axis";
    }
    const auto k = static_cast<std::int64_t>(wanted);
    Shape shape = x.shape;
    shape[place] = k;
    float* const values = call.output(0, shape);
    float* const indices = call.output(1, shape);
    const std::int64_t room = k * static_cast<std::int64_t>(sizeof(Entry) / sizeof(float));
    float* const memory = call.scratch(static_cast<std::size_t>(room * call.threads()));
    if (values == nullptr || indices == nullptr || memory == nullptr) return kNoMemory;

    const std::int64_t inner = elements(x.shape, place + 1, x.shape.size());
    const std::int64_t outer = elements(x.shape, 0, place);
    call.parallel(outer * inner, [&](std::int64_t row, int thread) {
      const std::int64_t first = row / inner * size * inner + row % inner;
      const std::int64_t to = row / inner * k * inner + row % inner;
      auto* const heap = reinterpret_cast<Entry*>(memory + room * thread);
      if (largest_) {
        select<true>(x.data + first, inner, size, heap, k);
      } else {
        select<false>(x.data + first, inner, size, heap, k);
      }
      for (std::int64_t i = 0; i < k; ++i) {
        values[to + i * inner] = x.data[first + heap[i].index * inner];
        indices[to + i * inner] = static_cast<float>(heap[i].index);
      }
    });
    return nullptr;
  }

 private:
  struct Entry {
    float value;
    std::int32_t index;
  };

  // Whether a comes before b in the result.
  template <bool kLargest>
  static bool before(const Entry& a, const Entry& b) {
    if (a.value != b.value) return kLargest ? a.value > b.value : a.value < b.value;
    return a.index < b.index;
  }

  template <bool kLargest>
  static constexpr float last() {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    return kLargest ? -kInfinity : kInfinity;
  }

  // The first K in the result's order. The heap's top is the last of those that are kept, so most
  // values cost one comparison; one that is equal comes later and stays out.
  template <bool kLargest>
  static void select(const float* from, std::int64_t stride, std::int64_t size, Entry* heap,
                     std::int64_t k) {
    for (std::int64_t i = 0; i < k; ++i) {
      const float value = from[i * stride];
      heap[i] = {std::isnan(value) ? last<kLargest>() : value, static_cast<std::int32_t>(i)};
    }
    std::make_heap(heap, heap + k, before<kLargest>);
    for (std::int64_t first = k; first < size; first += kStretch) {
      const std::int64_t end = std::min(first + kStretch, size);
      if (stride == 1 && end - first == kStretch && !any<kLargest>(from + first, heap[0].value)) {
        continue;
      }
      for (std::int64_t i = first; i < end; ++i) {
        const float value = from[i * stride];
        if (kLargest ? !(value > heap[0].value) : !(value < heap[0].value)) continue;
        std::pop_heap(heap, heap + k, before<kLargest>);
        heap[k - 1] = {value, static_cast<std::int32_t>(i)};
        std::push_heap(heap, heap + k, before<kLargest>);
      }
    }
    std::sort_heap(heap, heap + k, before<kLargest>);
  }

  // So many values are looked through at once: most of them come after what is kept already.
  static constexpr std::int64_t kStretch = 16;

  template <bool kLargest>
  static bool any(const float* values, float limit) {
    std::int32_t found = 0;
    for (std::int64_t i = 0; i < kStretch; ++i) {
      found += (kLargest ? values[i] > limit : values[i] < limit) ? 1 : 0;
    }
    return found > 0;
  }

  std::int64_t axis_;
  bool largest_;
};

}  // namespace dx::op::top_k
