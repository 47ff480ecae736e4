// 1 at the largest value along an axis, 0 elsewhere; of equal ones the first is
// taken.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/arg_extreme.h"
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
    const std::int64_t step = elements(x.shape, place + 1, x.shape.size());
    // Lines without gaps are one stretch, others as many as they have values.
    const std::int64_t stretches = step == 1 ? 1 : size;
    each_extreme<true>(call, x, place, false,
                       [&](std::int64_t first, const std::int32_t* places, std::int64_t count) {
                         const std::int64_t length = step == 1 ? size : count;
                         for (std::int64_t i = 0; i < stretches; ++i) {
                           std::fill_n(y + first + i * step, length, 0.0F);
                         }
                         for (std::int64_t i = 0; i < count; ++i)
                           y[first + places[i] * step + i] = 1.0F;
                       });
    return nullptr;
  }

 private:
  std::int64_t axis_;
};

}  // namespace dx::op::hardmax
