// output = data, with output[indices[i]] = updates[i], where an index is a tuple for the first
// axes; later updates win, or are reduced with what is there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/scatter.h"

namespace dx::op::scatter_nd {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : reduction_(static_cast<Reduction>(attributes.integer("reduction"))) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const Tensor& indices = call.input(1);
    const Tensor& updates = call.input(2);
    if (indices.shape.empty()) return "the shapes of its inputs do not fit";
    const std::int64_t depth = indices.shape.back();
    if (depth > static_cast<std::int64_t>(data.shape.size())) {
      return "its indices have more axes than its data";
    }
    const auto axes = static_cast<std::size_t>(depth);
    Shape wanted(indices.shape.begin(), indices.shape.end() - 1);
    wanted.insert(wanted.end(), data.shape.begin() + static_cast<std::ptrdiff_t>(depth),
                  data.shape.end());
    if (updates.shape != wanted) return "the shapes of its inputs do not fit";
    float* const output = call.output(0, data.shape);
    if (output == nullptr) return kNoMemory;
    std::copy(data.data, data.data + elements(data.shape), output);
    const std::int64_t width = elements(data.shape, axes, data.shape.size());
    const std::int64_t count = elements(indices.shape) / depth;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int64_t place = 0;
      for (std::size_t axis = 0; axis < axes; ++axis) {
        const float value = indices.data[i * depth + static_cast<std::int64_t>(axis)];
        const std::int64_t index = index_of(value, data.shape[axis]);
        if (index < 0) return "one of its indices is beyond the axis";
        place = place * data.shape[axis] + index;
      }
      float* const to = output + place * width;
      for (std::int64_t x = 0; x < width; ++x) {
        put(to[x], updates.data[i * width + x], reduction_);
      }
    }
    return nullptr;
  }

 private:
  Reduction reduction_;
};

}  // namespace dx::op::scatter_nd
