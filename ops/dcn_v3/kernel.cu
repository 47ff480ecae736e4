// The deformable convolution of InternImage: every output value is a sum of what its window reads
// in its own channel, at places that move, counted by a mask. Channels come last.
#pragma once

#include "operators/between_pixels.cu"

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
