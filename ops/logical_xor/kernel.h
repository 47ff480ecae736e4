// One of the two, of truth values.
#pragma once

#include <array>
#include <cmath>

#include "operators/elementwise.h"

namespace dx::op::logical_xor {

struct Function {
  static float of(const std::array<float, 2>& v) {
    return std::fabs(truth_of(v[0]) - truth_of(v[1]));
  }
};

using Kernel = Elementwise<2, Function>;

}  // namespace dx::op::logical_xor
