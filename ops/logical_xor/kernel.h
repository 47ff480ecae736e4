// One of the two, of truth values.
#pragma once

#include <array>

#include "operators/elementwise.h"

namespace dx::op::logical_xor {

struct Function {
  static float of(const std::array<float, 2>& v) {
    return static_cast<float>(truth_of(v[0]) ^ truth_of(v[1]));
  }
};

using Kernel = Elementwise<2, Function>;

}  // namespace dx::op::logical_xor
