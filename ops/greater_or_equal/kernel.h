// Where the first is not less, as truth values.
#pragma once

#include <array>

#include "operators/elementwise.h"

namespace dx::op::greater_or_equal {

struct Function {
  static float of(const std::array<float, 2>& v) { return v[0] >= v[1] ? 1.0F : 0.0F; }
};

using Kernel = Elementwise<2, Function>;

}  // namespace dx::op::greater_or_equal
