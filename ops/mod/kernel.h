// What is left of a division. Of whole numbers in floats it is exact, as fmod is.
#pragma once

#include <array>
#include <cmath>

#include "operators/elementwise.h"

namespace dx::op::mod {

// With the sign of the dividend; not a number where the divisor is 0.
struct Truncated {
  static float of(const std::array<float, 2>& v) { return std::fmod(v[0], v[1]); }
};

// With the sign of the divisor; 0 where that is 0, as a whole number has to be something.
struct Floored {
  static float of(const std::array<float, 2>& v) {
    if (v[1] == 0.0F) return 0.0F;
    const float left = std::fmod(v[0], v[1]);
    return left != 0.0F && (left < 0.0F) != (v[1] < 0.0F) ? left + v[1] : left;
  }
};

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : truncates_(attributes.integer("fmod") != 0), truncated_(attributes), floored_(attributes) {}

  const char* run(Call& call) const {
    return truncates_ ? truncated_.run(call) : floored_.run(call);
  }

 private:
  bool truncates_;
  Elementwise<2, Truncated> truncated_;
  Elementwise<2, Floored> floored_;
};

}  // namespace dx::op::mod
