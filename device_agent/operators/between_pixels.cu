// What lies between the pixels of an image, for kernels on GPUs.
#pragma once

#include "operators/device.h"

namespace dx::op {

// Between pixels that lie `step` values apart; 0 beyond the image.
DX_DEVICE inline float read_between(const float* pixels, int height, int width, int step, float h,
                                    float w) {
  if (!(h > -1.0F && h < static_cast<float>(height) && w > -1.0F &&
        w < static_cast<float>(width))) {
    return 0.0F;
  }
  const float floor_h = __builtin_floorf(h);
  const float floor_w = __builtin_floorf(w);
  const int top = static_cast<int>(floor_h);
  const int left = static_cast<int>(floor_w);
  const float down = h - floor_h;
  const float right = w - floor_w;
  const float* const at = pixels + (static_cast<long long>(top) * width + left) * step;
  const long long row = static_cast<long long>(width) * step;
  float sum = 0.0F;
  if (top >= 0 && left >= 0) sum += (1 - down) * (1 - right) * at[0];
  if (top >= 0 && left + 1 < width) sum += (1 - down) * right * at[step];
  if (top + 1 < height && left >= 0) sum += down * (1 - right) * at[row];
  if (top + 1 < height && left + 1 < width) sum += down * right * at[row + step];
  return sum;
}

}  // namespace dx::op
