// The other truth value.
#pragma once

#include <array>

#include "operators/elementwise.h"

namespace dx::op::logical_not {

struct Function {
  static float of(const std::array<float, 1>& v) { return 1.0F - truth_of(v[0]); }
};

using Kernel = Elementwise<1, Function>;

}  // namespace dx::op::logical_not
