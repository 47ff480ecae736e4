// output[i][j][k] = data[indices[i][j][k]][j][k] for the axis 0; negative ones count from the end.
#pragma once

#include <atomic>
#include <cstdint>

#include "operators/operator.h"
#include "operators/scatter.h"

namespace dx::op::gather_elements {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : axis_(attributes.integer("axis")) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const Tensor& indices = call.input(1);
    const std::size_t rank = data.shape.size();
    const std::int64_t axis = positive_axis(axis_, rank);
    if (axis < 0 || indices.shape.size() != rank) return "its inputs have no such axis";
    const auto place = static_cast<std::size_t>(axis);
    for (std::size_t i = 0; i < rank; ++i) {
      if (i != place && indices.shape[i] > data.shape[i]) {
        return "its indices reach beyond its data";
      }
    }
    float* const output = call.output(0, indices.shape);
    if (output == nullptr) return kNoMemory;

    // A row goes along the last axis; it moves through the data by `step`,
    // unless the indices do.
    const std::int64_t width = indices.shape[rank - 1];
    const std::int64_t size = data.shape[place];
    const std::int64_t stride = elements(data.shape, place + 1, rank);
    const std::int64_t step = place + 1 == rank ? 0 : 1;
    std::atomic<bool> beyond{false};
    call.parallel(elements(indices.shape) / width, [&](std::int64_t row, int) {
      const float* const from = data.data + row_begin(data.shape, indices.shape, place, row);
      const float* const index = indices.data + row * width;
      float* const to = output + row * width;
      for (std::int64_t i = 0; i < width; ++i) {
        float wanted = index[i];
        if (wanted < 0) wanted += static_cast<float>(size);
        if (!(wanted >= 0 && wanted < static_cast<float>(size))) {
          beyond = true;
          return;
        }
        to[i] = from[static_cast<std::int64_t>(wanted) * stride + i * step];
      }
    });
    return beyond ? "one of its indices is beyond the axis" : nullptr;
  }

 private:
  std::int64_t axis_;
};

}  // namespace dx::op::gather_elements
