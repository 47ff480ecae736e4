// What is left of a division. Of whole numbers in floats it is exact, as fmod is.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "operators/elementwise.h"

namespace dx::op::mod {

// As std::fmod, which takes a bit of the quotient at a time; not a number where the quotient is too
// large for that.
inline float left_of(float dividend, float divisor) {
  // Up to there a double holds the product exactly, and no quotient is rounded to a whole number
  // that it is not.
  constexpr double kLargest = 1 << 29;
  const double whole = dividend;
  const double quotient = whole / static_cast<double>(divisor);
  const bool is_exact = std::fabs(quotient) < kLargest;
  const auto times = static_cast<double>(static_cast<std::int32_t>(is_exact ? quotient : 0.0));
  // Less than one time is none, of infinity too, with which no product is a number.
  const double taken = std::fabs(quotient) < 1.0 ? 0.0 : times * static_cast<double>(divisor);
  const float left = std::copysign(static_cast<float>(whole - taken), dividend);
  return is_exact ? left : std::numeric_limits<float>::quiet_NaN();
}

// With the sign of the dividend; not a number where the divisor is 0.
struct Truncated {
  static float of(const std::array<float, 2>& v) { return left_of(v[0], v[1]); }
  static float exact(const std::array<float, 2>& v) { return std::fmod(v[0], v[1]); }
};

// With the sign of the divisor; 0 where that is 0, as a whole number has to be something.
struct Floored {
  static float of(const std::array<float, 2>& v) { return floored(left_of(v[0], v[1]), v[1]); }
  static float exact(const std::array<float, 2>& v) {
    return v[1] == 0.0F ? 0.0F : floored(std::fmod(v[0], v[1]), v[1]);
  }

 private:
  static float floored(float left, float divisor) {
    return left != 0.0F && (left < 0.0F) != (divisor < 0.0F) ? left + divisor : left;
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
