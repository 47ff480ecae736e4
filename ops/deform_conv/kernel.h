// A convolution of images whose windows look at places of their own: each of a
// window's values is read where its offset leads, between pixels by bilinear
// interpolation, 0 beyond the image.
//
// The values of all windows become the columns of a matrix, which the weights
// are multiplied with. Channels of one offset group read at the same places,
// which are found once; for that the image's channels are laid side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "deform_conv/sizes.h"
#include "operators/channels_last.h"
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
    const std::int64_t pixels = s.height * s.width;
    const std::int64_t together = windows_together(s);
    const std::int64_t room = kAtOnce * s.channels / set_.offset_groups;
    float* const columns = call.scratch(static_cast<std::size_t>(s.channels * s.window * together));
    float* const product = call.scratch(static_cast<std::size_t>(s.outputs * together));
    float* const image = call.scratch(static_cast<std::size_t>(s.channels * pixels));
    float* const memory = call.scratch(static_cast<std::size_t>(room * call.threads()));
    if (output == nullptr || columns == nullptr || product == nullptr || image == nullptr ||
        memory == nullptr) {
      return kNoMemory;
    }
    for (std::int64_t number = 0; number < s.images; ++number) {
      put_channels_last(call, call.input(0).data + number * s.channels * pixels, s.channels, pixels,
                        image);
      for (std::int64_t first = 0; first < s.places; first += together) {
        const std::int64_t count = std::min(together, s.places - first);
        call.parallel((count + kAtOnce - 1) / kAtOnce, [&](std::int64_t block, int thread) {
          const std::int64_t begin = block * kAtOnce;
          read_block(call, s, number, first + begin, std::min(kAtOnce, count - begin), image,
                     memory + room * thread, columns + begin, count);
        });
        if (!multiply(call, s, columns, product, count)) return kNoMemory;
        float* const to = output + number * s.outputs * s.places + first;
        call.parallel(s.outputs, [&](std::int64_t channel, int) {
          const float bias = call.has(set_.bias) ? call.input(set_.bias).data[channel] : 0.0F;
          const float* const from = product + channel * count;
          for (std::int64_t i = 0; i < count; ++i) to[channel * s.places + i] = from[i] + bias;
        });
      }
    }
    return nullptr;
  }

 private:
  // So many windows' values are gathered before they are laid into the matrix:
  // floats of a line of the cache, so that each line is written once.
  static constexpr std::int64_t kAtOnce = 16;

  // As many windows' columns are multiplied together as stay in a processor's
  // cache, but not so few that laying out the weights for each product costs
  // more than laying out the columns.
  std::int64_t windows_together(const Sizes& s) const {
    constexpr std::int64_t kFloats = std::int64_t{1} << 17;
    const std::int64_t row = std::max<std::int64_t>(s.channels * s.window, 1);
    const std::int64_t wanted = std::max(kFloats / row, s.outputs / set_.groups);
    return std::min((wanted + kAtOnce - 1) / kAtOnce * kAtOnce, s.places);
  }

  bool multiply(Call& call, const Sizes& s, const float* columns, float* product,
                std::int64_t count) const {
    const float* const weights = call.input(set_.weights).data;
    const std::int64_t rows = s.channels / set_.groups * s.window;
    const std::int64_t outputs = s.outputs / set_.groups;
    for (std::int64_t group = 0; group < set_.groups; ++group) {
      if (!call.multiply(weights + group * outputs * rows, columns + group * rows * count,
                         product + group * outputs * count, outputs, count, rows)) {
        return false;
      }
    }
    return true;
  }

  // What `count` windows from `first` on read becomes columns of the matrix,
  // whose rows lie `step` apart.
  void read_block(const Call& call, const Sizes& s, std::int64_t number, std::int64_t first,
                  std::int64_t count, const float* image, float* memory, float* columns,
                  std::int64_t step) const {
    const std::int64_t channels = s.channels / set_.offset_groups;
    for (std::int64_t plane = 0; plane < set_.offset_groups * s.window; ++plane) {
      const std::int64_t group = plane / s.window;
      const std::int64_t value = plane % s.window;
      const std::int64_t offset = (number * set_.offset_groups * s.window + plane) * s.places;
      for (std::int64_t i = 0; i < count; ++i) {
        const FourPixels at = find(call, s, offset, value, first + i);
        read_between(image + group * channels, at, channels, memory + i * channels);
      }
      lay(memory, channels, count, columns + (group * channels * s.window + value) * step,
          s.window * step);
    }
  }

  static void lay(const float* values, std::int64_t channels, std::int64_t count, float* to,
                  std::int64_t step) {
    if (count != kAtOnce) return turn(values, channels, count, channels, to, step);
    for (std::int64_t channel = 0; channel < channels; ++channel, to += step) {
      for (std::int64_t i = 0; i < kAtOnce; ++i) to[i] = values[i * channels + channel];
    }
  }

  // Where one value of a window lies; `offset` counts all offsets' planes
  // before its own.
  FourPixels find(const Call& call, const Sizes& s, std::int64_t offset, std::int64_t value,
                  std::int64_t place) const {
    const float* const offsets = call.input(set_.offset).data + 2 * offset + place;
    const std::int64_t row =
        place / s.out_w * set_.strides[0] - set_.pads[0] + value / s.kernel_w * set_.dilations[0];
    const std::int64_t column =
        place % s.out_w * set_.strides[1] - set_.pads[1] + value % s.kernel_w * set_.dilations[1];
    const float share = call.has(set_.mask) ? call.input(set_.mask).data[offset + place] : 1.0F;
    return pixels_at(s, static_cast<float>(row) + offsets[0],
                     static_cast<float>(column) + offsets[s.places], share);
  }

  static FourPixels pixels_at(const Sizes& s, float h, float w, float share) {
    FourPixels at = {};
    const auto height = static_cast<float>(s.height);
    const auto width = static_cast<float>(s.width);
    if (!(h > -1.0F && h < height && w > -1.0F && w < width)) return at;
    const std::int64_t top = whole_below(h);
    const std::int64_t left = whole_below(w);
    const float down = h - static_cast<float>(top);
    const float right = w - static_cast<float>(left);
    const float rows[2] = {share * (1 - down), share * down};
    const float columns[2] = {1 - right, right};
    for (std::int64_t i = 0; i < 4; ++i) {
      const std::int64_t row = top + i / 2;
      const std::int64_t column = left + i % 2;
      if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
      at.places[i] = (row * s.width + column) * s.channels;
      at.shares[i] = rows[i / 2] * columns[i % 2];
    }
    return at;
  }

  Settings set_;
};

}  // namespace dx::op::deform_conv
