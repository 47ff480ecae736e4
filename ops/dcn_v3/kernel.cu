// The deformable convolution of InternImage: every output value is a sum of what its window reads
// in its own channel, at places that move, counted by a mask. Channels come last.
#pragma once

#include "operators/device.h"

namespace dx::op::dcn_v3 {

struct Windows {
  const float* input;   // images, height, width, channels
  const float* offset;  // images, out_h, out_w, groups, window, 2
  const float* mask;    // images, out_h, out_w, groups, window
  float* output;        // images, out_h, out_w, channels
  int height, width, groups, group_channels, out_h, out_w;
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  float offset_scale;
};

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

// For each channel of each place.
DX_KERNEL(dcn_v3_sum, Windows) {
  const int channels = p.groups * p.group_channels;
  const int channel = index % channels;
  const int place = index / channels;
  const int column = place % p.out_w;
  const int row = place / p.out_w % p.out_h;
  const int image = place / p.out_w / p.out_h;
  const int window = p.kernel_h * p.kernel_w;
  const long long first =
      (static_cast<long long>(place) * p.groups + channel / p.group_channels) * window;
  const float* const pixels =
      p.input + static_cast<long long>(image) * p.height * p.width * channels + channel;
  // The middle of the window, from which its values lie apart by the scale.
  const int reach_h = p.dilation_h * (p.kernel_h - 1) / 2;
  const int reach_w = p.dilation_w * (p.kernel_w - 1) / 2;
  const float begin_h = static_cast<float>(row * p.stride_h - p.pad_h + reach_h) -
                        static_cast<float>(reach_h) * p.offset_scale;
  const float begin_w = static_cast<float>(column * p.stride_w - p.pad_w + reach_w) -
                        static_cast<float>(reach_w) * p.offset_scale;
  float sum = 0.0F;
  // Its values are counted column by column.
  for (int i = 0; i < window; ++i) {
    const float* const moves = p.offset + (first + i) * 2;
    const float w = static_cast<float>(i / p.kernel_h * p.dilation_w) + moves[0];
    const float h = static_cast<float>(i % p.kernel_h * p.dilation_h) + moves[1];
    sum += p.mask[first + i] * read_between(pixels, p.height, p.width, channels,
                                            begin_h + h * p.offset_scale,
                                            begin_w + w * p.offset_scale);
  }
  p.output[index] = sum;
}

}  // namespace dx::op::dcn_v3
