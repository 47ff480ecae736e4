// Where the largest, or smallest, value along an axis stands: the first, or the last, of equal
// ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

// So many lines along the axis are looked through side by side: what is held fits into the nearest
// cache, and what is read of a plane is long enough for the processor to read ahead.
constexpr std::int64_t kLinesAtOnce = 256;

// For `count` lines of `size` values, which lie `step` apart along a line and 1 from line to line.
// REQUIRES: size > 0, count <= kLinesAtOnce.
template <bool kLargest, bool kTakesLast>
void find_extremes(const float* from, std::int64_t size, std::int64_t step, std::int64_t count,
                   std::int32_t* __restrict places) {
  std::array<float, kLinesAtOnce> held;
  std::copy(from, from + count, held.begin());
  std::fill(places, places + count, 0);
  for (std::int64_t i = 1; i < size; ++i) {
    const float* const values = from + i * step;
    const auto place = static_cast<std::int32_t>(i);
    for (std::int64_t line = 0; line < count; ++line) {
      const float value = values[line];
      const float there = held[static_cast<std::size_t>(line)];
      const float a = kLargest ? value : there;
      const float b = kLargest ? there : value;
      held[static_cast<std::size_t>(line)] = a > b ? value : there;
      // Whole numbers as masks: a branch or a choice here keeps compilers from writing vectors.
      const auto better = -static_cast<std::int32_t>(kTakesLast ? a >= b : a > b);
      places[line] = (place & better) | (places[line] & ~better);
    }
  }
}

// The same of one line without gaps, which is looked through at several places at once. REQUIRES:
// size > 0.
template <bool kLargest>
std::int64_t find_extreme(const float* from, std::int64_t size, bool takes_last) {
  constexpr std::int64_t kParts = 16;
  std::array<float, kParts> held;
  held.fill(from[0]);
  const auto keep = [&held](std::size_t part, float value) {
    const float there = held[part];
    held[part] = (kLargest ? value > there : value < there) ? value : there;
  };
  std::int64_t i = 0;
  for (; i + kParts <= size; i += kParts) {
    for (std::size_t part = 0; part < kParts; ++part) keep(part, from[i + std::int64_t(part)]);
  }
  for (; i < size; ++i) keep(0, from[i]);
  for (std::size_t part = 1; part < kParts; ++part) keep(0, held[part]);
  // Where the first is no number, nothing is larger or equal, and it stays.
  if (takes_last) {
    for (i = size - 1; i > 0 && from[i] != held[0];) --i;
    return i;
  }
  for (i = 0; i < size && from[i] != held[0];) ++i;
  return i < size ? i : 0;
}

// Calls found(first, places, count) for groups of lines along an axis: `first` counts the elements
// before the first line's first value; from one line to the next of a group it is one more.
template <bool kLargest, class Found>
void each_extreme(Call& call, const Tensor& x, std::size_t axis, bool takes_last,
                  const Found& found) {
  const std::int64_t size = x.shape[axis];
  const std::int64_t step = elements(x.shape, axis + 1, x.shape.size());
  const std::int64_t groups = (step + kLinesAtOnce - 1) / kLinesAtOnce;
  call.parallel(elements(x.shape, 0, axis) * groups, [&](std::int64_t index, int) {
    const std::int64_t line = index % groups * kLinesAtOnce;
    const std::int64_t first = index / groups * size * step + line;
    const std::int64_t count = std::min(kLinesAtOnce, step - line);
    std::array<std::int32_t, kLinesAtOnce> places;
    if (step == 1) {
      places[0] =
          static_cast<std::int32_t>(find_extreme<kLargest>(x.data + first, size, takes_last));
    } else if (takes_last) {
      find_extremes<kLargest, true>(x.data + first, size, step, count, places.data());
    } else {
      find_extremes<kLargest, false>(x.data + first, size, step, count, places.data());
    }
    found(first, places.data(), count);
  });
}

template <bool kLargest>
class ArgExtreme {
 public:
  explicit ArgExtreme(const Attributes& attributes)
      : axis_(attributes.integer("axis")),
        keeps_axis_(attributes.integer("keepdims") != 0),
        takes_last_(attributes.integer("select_last_index") != 0) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const std::int64_t axis = positive_axis(axis_, data.shape.size());
    if (axis < 0) return "its input has no such axis";
    const auto place = static_cast<std::size_t>(axis);
    Shape shape = data.shape;
    shape[place] = 1;
    if (!keeps_axis_) shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
    float* const output = call.output(0, shape);
    if (output == nullptr) return kNoMemory;
    const std::int64_t size = data.shape[place];
    const std::int64_t inner = elements(data.shape, place + 1, data.shape.size());
    each_extreme<kLargest>(call, data, place, takes_last_,
                           [&](std::int64_t first, const std::int32_t* places, std::int64_t count) {
                             float* const to =
                                 output + first / (size * inner) * inner + first % inner;
                             for (std::int64_t i = 0; i < count; ++i)
                               to[i] = static_cast<float>(places[i]);
                           });
    return nullptr;
  }

 private:
  std::int64_t axis_;
  bool keeps_axis_;
  bool takes_last_;
};

}  // namespace dx::op
