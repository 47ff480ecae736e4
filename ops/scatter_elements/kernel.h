// output = data, with output[indices[i][j]][j] = updates[i][j], for the axis 0; later updates win,
// or are reduced with what is there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/scatter.h"

namespace dx::op::scatter_elements {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : axis_(attributes.integer("axis")),
        reduction_(static_cast<Reduction>(attributes.integer("reduction"))) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const Tensor& indices = call.input(1);
    const Tensor& updates = call.input(2);
    const std::size_t rank = data.shape.size();
    const std::int64_t axis = positive_axis(axis_, rank);
    if (axis < 0 || indices.shape.size() != rank || updates.shape != indices.shape) {
      return "the shapes of its inputs do not fit";
    }
    const auto place = static_cast<std::size_t>(axis);
    for (std::size_t i = 0; i < rank; ++i) {
      if (i != place && indices.shape[i] > data.shape[i]) {
        return "its indices reach beyond its data";
      }
    }
    float* const output = call.output(0, data.shape);
    if (output == nullptr) return kNoMemory;
    std::copy(data.data, data.data + elements(data.shape), output);
    const std::int64_t stride = elements(data.shape, place + 1, rank);
    const std::int64_t count = elements(indices.shape);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t index = index_of(indices.data[i], data.shape[place]);
      if (index < 0) return "one of its indices is beyond the axis";
      const std::int64_t begin = beside(data.shape, indices.shape, place, i);
      put(output[begin + index * stride], updates.data[i], reduction_);
    }
    return nullptr;
  }

 private:
  // Where in the data the update's line along the axis begins.
  static std::int64_t beside(const Shape& data, const Shape& indices, std::size_t axis,
                             std::int64_t update) {
    std::int64_t begin = 0;
    std::int64_t stride = 1;
    for (std::size_t i = data.size(); i-- > 0;) {
      if (i != axis) begin += update % indices[i] * stride;
      update /= indices[i];
      stride *= data[i];
    }
    return begin;
  }

  std::int64_t axis_;
  Reduction reduction_;
};

}  // namespace dx::op::scatter_elements
