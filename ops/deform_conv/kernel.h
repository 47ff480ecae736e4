// A convolution of images whose windows look at places of their own: each of a window's values is
// read where its offset leads, between pixels by bilinear interpolation, 0 beyond the image.
//
// The values of all windows become the columns of a matrix, which the weights are multiplied with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "operators/operator.h"

namespace dx::op::deform_conv {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : dilations_(attributes.integers("dilations")),
        pads_(attributes.integers("pads")),
        strides_(attributes.integers("strides")),
        groups_(attributes.integer("group")),
        offset_groups_(attributes.integer("offset_group")) {}

  const char* run(Call& call) const {
    Sizes s;
    if (const char* complaint = measure(call, s)) return complaint;
    float* const output = call.output(0, {s.images, s.outputs, s.out_h, s.out_w});
    const std::int64_t rows = s.channels * s.window;
    float* const columns = call.scratch(static_cast<std::size_t>(rows * s.places));
    if (output == nullptr || columns == nullptr) return kNoMemory;
    const float* const weights = call.input(1).data;
    const std::int64_t group_rows = rows / groups_;
    const std::int64_t group_outputs = s.outputs / groups_;
    for (std::int64_t image = 0; image < s.images; ++image) {
      call.parallel(rows, [&](std::int64_t row, int) {
        fill_row(call, s, image, row, columns + row * s.places);
      });
      float* const to = output + image * s.outputs * s.places;
      for (std::int64_t group = 0; group < groups_; ++group) {
        const bool done = call.multiply(
            weights + group * group_outputs * group_rows, columns + group * group_rows * s.places,
            to + group * group_outputs * s.places, group_outputs, s.places, group_rows);
        if (!done) return kNoMemory;
      }
      if (call.has(3)) add_bias(call, s, to);
    }
    return nullptr;
  }

 private:
  struct Sizes {
    std::int64_t images, channels, height, width, outputs, kernel_h, kernel_w, out_h, out_w;
    std::int64_t window;  // values of one, of one channel
    std::int64_t places;  // of windows
  };

  const char* measure(const Call& call, Sizes& s) const {
    const Shape& x = call.input(0).shape;
    const Shape& w = call.input(1).shape;
    const Shape& offset = call.input(2).shape;
    if (x.size() != 4 || w.size() != 4 || offset.size() != 4) return "it is not of images";
    if (dilations_.size() != 2 || strides_.size() != 2 || pads_.size() != 4) {
      return "its attributes are not those of images";
    }
    if (groups_ < 1 || offset_groups_ < 1 || strides_[0] < 1 || strides_[1] < 1) {
      return "its groups or strides are not positive";
    }
    s = {x[0], x[1], x[2], x[3], w[0], w[2], w[3], offset[2], offset[3], w[2] * w[3], 0};
    s.places = s.out_h * s.out_w;
    const bool fits = x[1] == w[1] * groups_ && w[0] % groups_ == 0 && x[1] % offset_groups_ == 0;
    const bool offsets_fit = offset[0] == x[0] && offset[1] == 2 * offset_groups_ * s.window;
    const bool size_fits = s.out_h == output_size(s.height, s.kernel_h, 0) &&
                           s.out_w == output_size(s.width, s.kernel_w, 1);
    if (!fits || !offsets_fit || !size_fits) return "the shapes of its inputs do not fit";
    if (call.has(3) && call.input(3).shape != Shape{s.outputs}) return "its bias does not fit";
    if (call.has(4) &&
        call.input(4).shape != Shape{x[0], offset_groups_ * s.window, s.out_h, s.out_w}) {
      return "its mask does not fit";
    }
    return nullptr;
  }

  std::int64_t output_size(std::int64_t size, std::int64_t kernel, std::size_t axis) const {
    const std::int64_t reach = dilations_[axis] * (kernel - 1) + 1;
    return (size + pads_[axis] + pads_[axis + 2] - reach) / strides_[axis] + 1;
  }

  // What one value of the window reads at all places.
  void fill_row(const Call& call, const Sizes& s, std::int64_t image, std::int64_t row,
                float* to) const {
    const std::int64_t channel = row / s.window;
    const std::int64_t value = row % s.window;
    const std::int64_t group = channel / (s.channels / offset_groups_);
    const std::int64_t plane = (image * offset_groups_ + group) * s.window + value;
    const float* const offset_h = call.input(2).data + 2 * plane * s.places;
    const float* const offset_w = offset_h + s.places;
    const float* const mask = call.has(4) ? call.input(4).data + plane * s.places : nullptr;
    const float* const pixels =
        call.input(0).data + (image * s.channels + channel) * s.height * s.width;
    const std::int64_t first_h = value / s.kernel_w * dilations_[0] - pads_[0];
    const std::int64_t first_w = value % s.kernel_w * dilations_[1] - pads_[1];
    std::int64_t place = 0;
    for (std::int64_t h = 0; h < s.out_h; ++h) {
      const auto base_h = static_cast<float>(h * strides_[0] + first_h);
      for (std::int64_t w = 0; w < s.out_w; ++w, ++place) {
        const auto base_w = static_cast<float>(w * strides_[1] + first_w);
        const float found = read(pixels, s, base_h + offset_h[place], base_w + offset_w[place]);
        to[place] = mask == nullptr ? found : found * mask[place];
      }
    }
  }

  static float read(const float* pixels, const Sizes& s, float h, float w) {
    const auto height = static_cast<float>(s.height);
    const auto width = static_cast<float>(s.width);
    if (!(h > -1.0F && h < height && w > -1.0F && w < width)) return 0.0F;
    const float floor_h = std::floor(h);
    const float floor_w = std::floor(w);
    const auto top = static_cast<std::int64_t>(floor_h);
    const auto left = static_cast<std::int64_t>(floor_w);
    const float down = h - floor_h;
    const float right = w - floor_w;
    const float* const corner = pixels + top * s.width + left;
    const bool has_top = top >= 0;
    const bool has_left = left >= 0;
    const bool has_bottom = top + 1 < s.height;
    const bool has_right = left + 1 < s.width;
    const float a = has_top && has_left ? corner[0] : 0.0F;
    const float b = has_top && has_right ? corner[1] : 0.0F;
    const float c = has_bottom && has_left ? corner[s.width] : 0.0F;
    const float d = has_bottom && has_right ? corner[s.width + 1] : 0.0F;
    return (1 - down) * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d);
  }

  static void add_bias(Call& call, const Sizes& s, float* output) {
    const float* const bias = call.input(3).data;
    call.parallel(s.outputs, [&](std::int64_t channel, int) {
      float* const to = output + channel * s.places;
      for (std::int64_t i = 0; i < s.places; ++i) to[i] += bias[channel];
    });
  }

  std::vector<std::int64_t> dilations_;
  std::vector<std::int64_t> pads_;
  std::vector<std::int64_t> strides_;
  std::int64_t groups_;
  std::int64_t offset_groups_;
};

}  // namespace dx::op::deform_conv
