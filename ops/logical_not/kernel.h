// The other truth value.
#pragma once

#include <array>

#include "operators/elementwise.h"

namespace dx::op::logical_not {

struct Function {
  static float of(const std::array<float, 1>& v) { return static_cast<float>(1 - truth_of(v[0])); }
};

using Kernel = Elementwise<1, Function>;

}  // namespace dx::op::logical_not
