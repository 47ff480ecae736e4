// The K largest, or smallest, values along an axis; of equal ones the first comes first. What is no
// number counts as the last of all numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
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
    const std::int64_t room = k * static_cast<std::int64_t>(sizeof(Key) / sizeof(float));
    float* const memory = call.scratch(static_cast<std::size_t>(room * call.threads()));
    if (values == nullptr || indices == nullptr || memory == nullptr) return kNoMemory;

    const std::int64_t inner = elements(x.shape, place + 1, x.shape.size());
    const std::int64_t outer = elements(x.shape, 0, place);
    call.parallel(outer * inner, [&](std::int64_t row, int thread) {
      const std::int64_t first = row / inner * size * inner + row % inner;
      const std::int64_t to = row / inner * k * inner + row % inner;
      auto* const keys = reinterpret_cast<Key*>(memory + room * thread);
      if (largest_) {
        select<true>(x.data + first, inner, size, keys, k);
      } else {
        select<false>(x.data + first, inner, size, keys, k);
      }
      for (std::int64_t i = 0; i < k; ++i) {
        const std::int64_t index = index_of(keys[i]);
        values[to + i * inner] = x.data[first + index * inner];
        indices[to + i * inner] = static_cast<float>(index);
      }
    });
    return nullptr;
  }

 private:
  // A value and its place as one whole number, which is greater where it comes earlier in the
  // result: the value's bits above, in an order that whole numbers have, and the place below. One
  // comparison without a branch costs half of what comparing value and place does.
  using Key = std::uint64_t;

  template <bool kLargest>
  static Key key_of(float value, std::int64_t index) {
    // Of -0, too, which is equal to 0.
    const float number = number_of<kLargest>(value) + 0.0F;
    std::uint32_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    // Of two negative floats the one with greater bits is smaller, and a sign is a leading one.
    bits ^= (bits >> 31) != 0 ? ~std::uint32_t{0} : std::uint32_t{1} << 31;
    if (!kLargest) bits = ~bits;
    return Key{bits} << 32 | ~static_cast<std::uint32_t>(index);
  }

  static std::int64_t index_of(Key key) {
    return static_cast<std::int64_t>(~static_cast<std::uint32_t>(key));
  }

  template <bool kLargest>
  static float number_of(float value) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    if (!std::isnan(value)) return value;
    return kLargest ? -kInfinity : kInfinity;
  }

  // The first K in the result's order. The heap's top is the last of those that are kept, so most
  // values cost one comparison; one that is equal comes later and stays out.
  template <bool kLargest>
  static void select(const float* from, std::int64_t stride, std::int64_t size, Key* heap,
                     std::int64_t k) {
    for (std::int64_t i = 0; i < k; ++i) heap[i] = key_of<kLargest>(from[i * stride], i);
    std::make_heap(heap, heap + k, std::greater<Key>());
    const auto last = [&] { return number_of<kLargest>(from[index_of(heap[0]) * stride]); };
    float limit = last();
    for (std::int64_t first = k; first < size; first += kStretch) {
      const std::int64_t end = std::min(first + kStretch, size);
      if (stride == 1 && end - first == kStretch && !any<kLargest>(from + first, limit)) continue;
      for (std::int64_t i = first; i < end; ++i) {
        const float value = from[i * stride];
        if (kLargest ? !(value > limit) : !(value < limit)) continue;
        replace_top(heap, k, key_of<kLargest>(value, i));
        limit = last();
      }
    }
    std::sort(heap, heap + k, std::greater<Key>());
  }

  // Half the way of std::pop_heap and std::push_heap, which go down to a leaf and up again.
  static void replace_top(Key* heap, std::int64_t k, Key key) {
    std::int64_t at = 0;
    for (std::int64_t child = 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k) child += heap[child + 1] < heap[child] ? 1 : 0;
      if (key <= heap[child]) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = key;
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
