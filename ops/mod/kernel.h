// What is left of a division. Of whole numbers in floats it is exact, as fmod is.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "operators/elementwise.h"

namespace dx::op::mod {

// As std::fmod, which takes a bit of the quotient at a time.
inline float left_of(float dividend, float divisor) {
  // Up to there a double holds the product exactly, and no quotient is rounded to a whole number
  // that it is not.
  constexpr double kLargest = 1 << 29;
  const double quotient = static_cast<double>(dividend) / static_cast<double>(divisor);
  if (!(std::fabs(quotient) < kLargest)) return std::fmod(dividend, divisor);
  const auto whole = static_cast<std::int32_t>(quotient);
  if (whole == 0) return dividend;  // of infinity too, with which no product is a number
  const double left = static_cast<double>(dividend) - whole * static_cast<double>(divisor);
  return std::copysign(static_cast<float>(left), dividend);
}

// With the sign of the dividend; not a number where the divisor is 0.
struct Truncated {
  static float of(const std::array<float, 2>& v) { return left_of(v[0], v[1]); }
};

// With the sign of the divisor; 0 where that is 0, as a whole number has to be something.
struct Floored {
  static float of(const std::array<float, 2>& v) {
    if (v[1] == 0.0F) return 0.0F;
    const float left = left_of(v[0], v[1]);
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
