// An image with its channels side by side. What reads all channels between the same pixels then
// reads vectors, where with a plane a channel it would read a value here and there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

// The largest whole number that is not above x. REQUIRES: an int holds it. (std::floor is a call
// where the processor may lack the instruction.)
inline std::int32_t whole_below(float x) {
  const auto whole = static_cast<std::int32_t>(x);
  return static_cast<float>(whole) > x ? whole - 1 : whole;
}

// to (columns, rows) = from (rows, columns), of which the rows begin `step` and `to_step` apart.
inline void turn(const float* from, std::int64_t step, std::int64_t rows, std::int64_t columns,
                 float* to, std::int64_t to_step) {
  // A line of the cache across, and not more of them at once than it keeps of one power of two.
  constexpr std::int64_t kAcross = 16;
  constexpr std::int64_t kDown = 8;
  for (std::int64_t row = 0; row < rows; row += kDown) {
    const std::int64_t down = std::min(kDown, rows - row);
    for (std::int64_t column = 0; column < columns; column += kAcross) {
      const std::int64_t end = std::min(column + kAcross, columns);
      for (std::int64_t i = column; i < end; ++i) {
        for (std::int64_t j = row; j < row + down; ++j) to[i * to_step + j] = from[j * step + i];
      }
    }
  }
}

// to (pixels, channels) = from (channels, pixels), on all threads.
inline void put_channels_last(Call& call, const float* from, std::int64_t channels,
                              std::int64_t pixels, float* to) {
  constexpr std::int64_t kAtOnce = 64;
  call.parallel((pixels + kAtOnce - 1) / kAtOnce, [&](std::int64_t block, int) {
    const std::int64_t first = block * kAtOnce;
    turn(from + first, pixels, channels, std::min(kAtOnce, pixels - first), to + first * channels,
         channels);
  });
}

// The four pixels around a place, and by what each counts; those outside the image by nothing.
struct FourPixels {
  std::int64_t places[4];
  float shares[4];

  bool is_outside() const {
    return shares[0] == 0.0F && shares[1] == 0.0F && shares[2] == 0.0F && shares[3] == 0.0F;
  }
};

// to[i] = what these channels have between the pixels, in an image with channels last.
inline void read_between(const float* image, const FourPixels& at, std::int64_t channels,
                         float* __restrict to) {
  const float* const top_left = image + at.places[0];
  const float* const top_right = image + at.places[1];
  const float* const bottom_left = image + at.places[2];
  const float* const bottom_right = image + at.places[3];
  const float a = at.shares[0];
  const float b = at.shares[1];
  const float c = at.shares[2];
  const float d = at.shares[3];
  for (std::int64_t i = 0; i < channels; ++i) {
    to[i] = a * top_left[i] + b * top_right[i] + c * bottom_left[i] + d * bottom_right[i];
  }
}

}  // namespace dx::op
