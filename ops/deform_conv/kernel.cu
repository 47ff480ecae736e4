// A deformable convolution of one image (see kernel.h): what all windows read becomes the columns
// of a matrix, and that is multiplied with the weights.
#pragma once

#include "operators/between_pixels.cu"

namespace dx::op::deform_conv {

struct Columns {
  const float* pixels;   // channels, height, width
  const float* offsets;  // offset groups, window, 2, places
  const float* mask;     // offset groups, window, places; nullptr for ones
  float* columns;        // channels, window, places
  int group_channels;    // of an offset group
  int height, width, kernel_h, kernel_w, out_h, out_w;
  int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

// For each place of a window and channel.
DX_KERNEL(deform_conv_columns, Columns) {
  const int places = p.out_h * p.out_w;
  const int place = index % places;
  const int channel = index / places;
  const int window = p.kernel_h * p.kernel_w;
  const long long group = channel / p.group_channels;
  const float* const offsets = p.offsets + group * 2 * window * places + place;
  const float* const mask = p.mask == nullptr ? nullptr : p.mask + group * window * places + place;
  const float* const pixels = p.pixels + static_cast<long long>(channel) * p.height * p.width;
  float* const to = p.columns + static_cast<long long>(channel) * window * places + place;
  const int first_h = place / p.out_w * p.stride_h - p.pad_h;
  const int first_w = place % p.out_w * p.stride_w - p.pad_w;
  for (int i = 0; i < window; ++i) {
    const long long at = static_cast<long long>(i) * places;
    const float h = static_cast<float>(first_h + i / p.kernel_w * p.dilation_h) + offsets[2 * at];
    const float w =
        static_cast<float>(first_w + i % p.kernel_w * p.dilation_w) + offsets[2 * at + places];
    const float value = read_between(pixels, p.height, p.width, 1, h, w);
    to[at] = mask == nullptr ? value : value * mask[at];
  }
}

struct Product {
  const float* weights;  // groups, outputs, rows
  const float* columns;  // groups, rows, places
  const float* bias;     // groups, outputs; nullptr for none
  float* result;         // groups, outputs, places
  int outputs, rows, places;
};

// So many outputs of one place are one thread's, which reads each value of the columns once.
constexpr int kOutputsAtOnce = 8;

// For each place, tile of outputs and group.
DX_KERNEL(deform_conv_product, Product) {
  const int tiles = (p.outputs + kOutputsAtOnce - 1) / kOutputsAtOnce;
  const int place = index % p.places;
  const int first = index / p.places % tiles * kOutputsAtOnce;
  const int group = index / p.places / tiles;
  const float* weights[kOutputsAtOnce];
  float sums[kOutputsAtOnce];
  for (int i = 0; i < kOutputsAtOnce; ++i) {
    // Beyond the last output the last one is computed once more.
    const int output = group * p.outputs + least(first + i, p.outputs - 1);
    weights[i] = p.weights + static_cast<long long>(output) * p.rows;
    sums[i] = p.bias == nullptr ? 0.0F : p.bias[output];
  }
  const float* const columns =
      p.columns + static_cast<long long>(group) * p.rows * p.places + place;
  for (int row = 0; row < p.rows; ++row) {
    const float value = columns[static_cast<long long>(row) * p.places];
    for (int i = 0; i < kOutputsAtOnce; ++i) sums[i] += weights[i][row] * value;
  }
  for (int i = 0; i < kOutputsAtOnce && first + i < p.outputs; ++i) {
    const int output = group * p.outputs + first + i;
    p.result[static_cast<long long>(output) * p.places + place] = sums[i];
  }
}

}  // namespace dx::op::deform_conv
