// 1 at the largest value along an axis, 0 elsewhere; of equal ones the first is
// taken.
#pragma once

#include <cstdint>

#include "operators/operator.h"

namespace dx::op::hardmax {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : axis_(attributes.integer("axis")) {}

  const char* run(Call& call) const {
    const Tensor& x = call.input(0);
    const std::int64_t axis = positive_axis(axis_, x.shape.size());
    if (axis < 0) return "its input has no such axis";
    float* const y = call.output(0, x.shape);
    if (y == nullptr) return kNoMemory;

    const auto place = static_cast<std::size_t>(axis);
    const std::int64_t size = x.shape[place];
    const std::int64_t inner = elements(x.shape, place + 1, x.shape.size());
    call.parallel(elements(x.shape) / size, [&](std::int64_t row, int) {
      const std::int64_t first = row / inner * size * inner + row % inner;
      const float* const from = x.data + first;
      std::int64_t largest = 0;
      for (std::int64_t i = 1; i < size; ++i) {
        if (from[i * inner] > from[largest * inner]) largest = i;
      }
      for (std::int64_t i = 0; i < size; ++i) y[first + i * inner] = i == largest ? 1.0F : 0.0F;
    });
    return nullptr;
  }

 private:
  std::int64_t axis_;
};

}  // namespace dx::op::hardmax
