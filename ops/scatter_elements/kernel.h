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
    // A row goes along the last axis; it moves through the data by `step`, unless the indices do.
    const std::int64_t width = rank > 0 ? indices.shape[rank - 1] : 1;
    const std::int64_t stride = elements(data.shape, place + 1, rank);
    const std::int64_t step = place + 1 == rank ? 0 : 1;
    const std::int64_t rows = width > 0 ? elements(indices.shape) / width : 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      float* const to = output + row_begin(data.shape, indices.shape, place, row);
      const std::int64_t first = row * width;
      for (std::int64_t i = 0; i < width; ++i) {
        const std::int64_t index = index_of(indices.data[first + i], data.shape[place]);
        if (index < 0) return "one of its indices is beyond the axis";
        put(to[index * stride + i * step], updates.data[first + i], reduction_);
      }
    }
    return nullptr;
  }

 private:
  std::int64_t axis_;
  Reduction reduction_;
};

}  // namespace dx::op::scatter_elements
