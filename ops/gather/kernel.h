// Slices of the data along an axis, one for each index; negative ones count from the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "operators/operator.h"
#include "operators/scatter.h"

namespace dx::op::gather {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : axis_(attributes.integer("axis")) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const Tensor& indices = call.input(1);
    const std::int64_t axis = positive_axis(axis_, data.shape.size());
    if (axis < 0) return "its data has no such axis";
    const auto place = static_cast<std::size_t>(axis);
    const auto at = data.shape.begin() + static_cast<std::ptrdiff_t>(axis);
    Shape shape(data.shape.begin(), at);
    shape.insert(shape.end(), indices.shape.begin(), indices.shape.end());
    shape.insert(shape.end(), at + 1, data.shape.end());
    float* const output = call.output(0, shape);
    if (output == nullptr) return kNoMemory;

    const std::int64_t size = data.shape[place];
    const std::int64_t inner = elements(data.shape, place + 1, data.shape.size());
    const std::int64_t chosen = elements(indices.shape);
    std::atomic<bool> beyond{false};
    call.parallel(elements(data.shape, 0, place) * chosen, [&](std::int64_t row, int) {
      const std::int64_t index = index_of(indices.data[row % chosen], size);
      if (index < 0) {
        beyond = true;
        return;
      }
      std::memcpy(output + row * inner, data.data + (row / chosen * size + index) * inner,
                  static_cast<std::size_t>(inner) * sizeof(float));
    });
    return beyond ? "one of its indices is beyond the axis" : nullptr;
  }

 private:
  std::int64_t axis_;
};

}  // namespace dx::op::gather
