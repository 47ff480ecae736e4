// Where the largest, or smallest, value along an axis stands: the first, or the last, of equal
// ones.
#pragma once

#include <cstddef>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

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
    if (!keeps_axis_) shape.erase(shape.begin() + axis);
    float* const output = call.output(0, shape);
    if (output == nullptr) return kNoMemory;
    const std::int64_t size = data.shape[place];
    const std::int64_t inner = elements(data.shape, place + 1, data.shape.size());
    call.parallel(elements(data.shape) / size, [&](std::int64_t row, int) {
      const float* const from = data.data + row / inner * size * inner + row % inner;
      std::int64_t best = 0;
      for (std::int64_t i = 1; i < size; ++i) {
        const float value = from[i * inner];
        const float held = from[best * inner];
        const bool is_better = kLargest ? value > held : value < held;
        if (is_better || (takes_last_ && value == held)) best = i;
      }
      output[row] = static_cast<float>(best);
    });
    return nullptr;
  }

 private:
  std::int64_t axis_;
  bool keeps_axis_;
  bool takes_last_;
};

}  // namespace dx::op
