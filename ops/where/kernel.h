// The second where the first is true, else the third.
#pragma once

#include <array>

#include "operators/elementwise.h"

namespace dx::op::where {

struct Function {
  static float of(const std::array<float, 3>& v) { return v[0] != 0 ? v[1] : v[2]; }
};

using Kernel = Elementwise<3, Function>;

}  // namespace dx::op::where
