// A convolution of images whose windows look at places of their own: each of a window's values is
// read where its offset leads, between pixels by bilinear interpolation, 0 beyond the image.
//
// The values of all windows become the columns of a matrix, which the weights are multiplied with.
// Channels of one offset group read at the same places, which are found once.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "deform_conv/sizes.h"
#include "operators/operator.h"

namespace dx::op::deform_conv {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : Kernel(settings_of(attributes)) {}
  explicit Kernel(Settings settings) : set_(std::move(settings)) {}

  const char* run(Call& call) const {
    Sizes s;
    if (const char* complaint = measure(set_, call, s)) return complaint;
    float* const output = call.output(0, {s.images, s.outputs, s.out_h, s.out_w});
    const std::int64_t rows = s.channels * s.window;
    const std::int64_t tap_rows = set_.offset_groups * s.window;
    const std::int64_t floats_a_tap = static_cast<std::int64_t>(sizeof(Tap) / sizeof(float));
    float* const columns = call.scratch(static_cast<std::size_t>(rows * s.places));
    float* const memory =
        call.scratch(static_cast<std::size_t>(tap_rows * s.places * floats_a_tap));
    if (output == nullptr || columns == nullptr || memory == nullptr) return kNoMemory;
    auto* const taps = reinterpret_cast<Tap*>(memory);
    const float* const weights = call.input(set_.weights).data;
    const std::int64_t group_rows = rows / set_.groups;
    const std::int64_t group_outputs = s.outputs / set_.groups;
    const std::int64_t group_channels = s.channels / set_.offset_groups;
    for (std::int64_t image = 0; image < s.images; ++image) {
      call.parallel(tap_rows, [&](std::int64_t row, int) {
        find_taps(call, s, image * tap_rows + row, row % s.window, taps + row * s.places);
      });
      const float* const pixels = call.input(0).data + image * s.channels * s.height * s.width;
      call.parallel(rows, [&](std::int64_t row, int) {
        const std::int64_t channel = row / s.window;
        const std::int64_t tap_row = channel / group_channels * s.window + row % s.window;
        read_row(pixels + channel * s.height * s.width, taps + tap_row * s.places, s.places,
                 columns + row * s.places);
      });
      float* const to = output + image * s.outputs * s.places;
      for (std::int64_t group = 0; group < set_.groups; ++group) {
        const bool done = call.multiply(
            weights + group * group_outputs * group_rows, columns + group * group_rows * s.places,
            to + group * group_outputs * s.places, group_outputs, s.places, group_rows);
        if (!done) return kNoMemory;
      }
      if (call.has(set_.bias)) add_bias(call, s, to);
    }
    return nullptr;
  }

 private:
  // The four pixels around a place, and by what each counts; outside the image by nothing.
  struct Tap {
    std::array<std::int32_t, 4> offsets;
    std::array<float, 4> weights;
  };

  // Where one value of the window lies at all places; ``plane`` counts all of them before it.
  void find_taps(const Call& call, const Sizes& s, std::int64_t plane, std::int64_t value,
                 Tap* taps) const {
    const float* const offset_h = call.input(set_.offset).data + 2 * plane * s.places;
    const float* const offset_w = offset_h + s.places;
    const float* const mask =
        call.has(set_.mask) ? call.input(set_.mask).data + plane * s.places : nullptr;
    const std::int64_t first_h = value / s.kernel_w * set_.dilations[0] - set_.pads[0];
    const std::int64_t first_w = value % s.kernel_w * set_.dilations[1] - set_.pads[1];
    std::int64_t place = 0;
    for (std::int64_t h = 0; h < s.out_h; ++h) {
      const auto base_h = static_cast<float>(h * set_.strides[0] + first_h);
      for (std::int64_t w = 0; w < s.out_w; ++w, ++place) {
        const auto base_w = static_cast<float>(w * set_.strides[1] + first_w);
        taps[place] = tap(s, base_h + offset_h[place], base_w + offset_w[place],
                          mask == nullptr ? 1.0F : mask[place]);
      }
    }
  }

  static Tap tap(const Sizes& s, float h, float w, float share) {
    Tap tap = {};
    const auto height = static_cast<float>(s.height);
    const auto width = static_cast<float>(s.width);
    if (!(h > -1.0F && h < height && w > -1.0F && w < width)) return tap;
    const float floor_h = std::floor(h);
    const float floor_w = std::floor(w);
    const auto top = static_cast<std::int64_t>(floor_h);
    const auto left = static_cast<std::int64_t>(floor_w);
    const std::array<float, 2> rows = {share * (1 - (h - floor_h)), share * (h - floor_h)};
    const std::array<float, 2> columns = {1 - (w - floor_w), w - floor_w};
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int64_t row = top + static_cast<std::int64_t>(i / 2);
      const std::int64_t column = left + static_cast<std::int64_t>(i % 2);
      if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
      tap.offsets[i] = static_cast<std::int32_t>(row * s.width + column);
      tap.weights[i] = rows[i / 2] * columns[i % 2];
    }
    return tap;
  }

  static void read_row(const float* pixels, const Tap* taps, std::int64_t places, float* to) {
    for (std::int64_t place = 0; place < places; ++place) {
      const Tap& tap = taps[place];
      to[place] = tap.weights[0] * pixels[tap.offsets[0]] +
                  tap.weights[1] * pixels[tap.offsets[1]] +
                  tap.weights[2] * pixels[tap.offsets[2]] + tap.weights[3] * pixels[tap.offsets[3]];
    }
  }

  void add_bias(Call& call, const Sizes& s, float* output) const {
    const float* const bias = call.input(set_.bias).data;
    call.parallel(s.outputs, [&](std::int64_t channel, int) {
      float* const to = output + channel * s.places;
      for (std::int64_t i = 0; i < s.places; ++i) to[i] += bias[channel];
    });
  }

  Settings set_;
};

}  // namespace dx::op::deform_conv
