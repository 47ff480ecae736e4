// Turned regions of images, each brought to one size: every output value is the mean of samples on
// a grid within its bin, read between pixels by bilinear interpolation. A region is an image's
// number, its centre, width, height, and an angle in radians. One of an image that is not there is
// all 0.
//
// The samples of a region lie at the same places in every channel, which are found once.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op::roi_align_rotated {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : height_(attributes.integer("output_height")),
        width_(attributes.integer("output_width")),
        scale_(attributes.number("spatial_scale")),
        sampling_(attributes.integer("sampling_ratio")),
        aligned_(attributes.integer("aligned") != 0),
        clockwise_(attributes.integer("clockwise") != 0) {}

  const char* run(Call& call) const {
    if (const char* complaint = check(call)) return complaint;
    const Tensor& x = call.input(0);
    const Tensor& rois = call.input(1);
    const std::int64_t count = rois.shape[0];
    const std::int64_t channels = x.shape[1];
    std::int64_t most = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const Region region = region_of(rois.data + kRoi * i);
      if (std::max(region.down, region.across) > kMostSamples) {
        return "a region is hundreds of times larger than its output";
      }
      most = std::max(most, samples_of(region));
    }
    const std::int64_t room = most * static_cast<std::int64_t>(sizeof(Tap) / sizeof(float));
    float* const y = call.output(0, {count, channels, height_, width_});
    float* const memory = call.scratch(static_cast<std::size_t>(room * call.threads() + 1));
    if (y == nullptr || memory == nullptr) return kNoMemory;

    const std::int64_t pixels = x.shape[2] * x.shape[3];
    const std::int64_t bins = height_ * width_;
    call.parallel(count, [&](std::int64_t i, int thread) {
      const Region region = region_of(rois.data + kRoi * i);
      auto* const taps = reinterpret_cast<Tap*>(memory + room * thread);
      find_taps(region, x.shape[2], x.shape[3], taps);
      const float number = rois.data[kRoi * i];
      if (!(number >= 0.0F && number < static_cast<float>(x.shape[0]))) {
        std::fill_n(y + i * channels * bins, channels * bins, 0.0F);
        return;
      }
      const float* const image = x.data + static_cast<std::int64_t>(number) * channels * pixels;
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        average(region, image + channel * pixels, taps, y + (i * channels + channel) * bins);
      }
    });
    return nullptr;
  }

 private:
  static constexpr std::int64_t kRoi = 6;
  static constexpr std::int64_t kMostSamples = 256;  // along a side of a bin

  struct Region {
    std::int64_t down, across;  // samples of a bin
    float y, x, height, width, cosine, sine;
  };

  // The four pixels around a sample, and by what each counts; beyond the image by nothing.
  struct Tap {
    std::array<std::int32_t, 4> offsets;
    std::array<float, 4> weights;
  };

  const char* check(const Call& call) const {
    const Shape& x = call.input(0).shape;
    const Shape& rois = call.input(1).shape;
    if (x.size() != 4) return "it is not of images";
    if (rois.size() != 2 || rois[1] != kRoi) return "its regions are not six numbers";
    if (height_ < 1 || width_ < 1 || sampling_ < 0) return "its output has no size";
    if (height_ > INT16_MAX || width_ > INT16_MAX) return "its output is too large";
    if (x[2] * x[3] > INT32_MAX) return "its input is too large";
    return nullptr;
  }

  Region region_of(const float* roi) const {
    const float shift = aligned_ ? 0.5F : 0.0F;
    const float angle = clockwise_ ? -roi[5] : roi[5];
    Region region = {};
    region.x = roi[1] * scale_ - shift;
    region.y = roi[2] * scale_ - shift;
    region.width = aligned_ ? roi[3] * scale_ : std::max(roi[3] * scale_, 1.0F);
    region.height = aligned_ ? roi[4] * scale_ : std::max(roi[4] * scale_, 1.0F);
    region.cosine = std::cos(angle);
    region.sine = std::sin(angle);
    region.down = samples(region.height / static_cast<float>(height_));
    region.across = samples(region.width / static_cast<float>(width_));
    return region;
  }

  // Beyond all others where a region is not a number, or a file asks for that.
  std::int64_t samples(float bin) const {
    const float wanted = sampling_ > 0 ? static_cast<float>(sampling_) : std::ceil(bin);
    if (!(wanted <= static_cast<float>(kMostSamples))) return kMostSamples + 1;
    return static_cast<std::int64_t>(std::max(wanted, 0.0F));
  }

  std::int64_t samples_of(const Region& region) const {
    return height_ * region.down * width_ * region.across;
  }

  void find_taps(const Region& region, std::int64_t rows, std::int64_t columns, Tap* taps) const {
    const float step_h = region.height / static_cast<float>(height_ * region.down);
    const float step_w = region.width / static_cast<float>(width_ * region.across);
    for (std::int64_t bin = 0; bin < height_ * width_; ++bin) {
      for (std::int64_t h = 0; h < region.down; ++h) {
        const auto row = static_cast<float>(bin / width_ * region.down + h);
        const float up = (row + 0.5F) * step_h - region.height / 2;
        for (std::int64_t w = 0; w < region.across; ++w) {
          const auto column = static_cast<float>(bin % width_ * region.across + w);
          const float along = (column + 0.5F) * step_w - region.width / 2;
          *taps++ = tap(up * region.cosine - along * region.sine + region.y,
                        up * region.sine + along * region.cosine + region.x, rows, columns);
        }
      }
    }
  }

  // Up to a pixel beyond the image its border is read, nothing further out.
  static Tap tap(float y, float x, std::int64_t rows, std::int64_t columns) {
    if (!(y >= -1.0F && y <= static_cast<float>(rows) && x >= -1.0F &&
          x <= static_cast<float>(columns)) ||
        rows < 1 || columns < 1) {
      return {};
    }
    const float down = std::min(std::max(y, 0.0F), static_cast<float>(rows - 1));
    const float along = std::min(std::max(x, 0.0F), static_cast<float>(columns - 1));
    const auto top = static_cast<std::int64_t>(down);
    const auto left = static_cast<std::int64_t>(along);
    const std::int64_t bottom = std::min(top + 1, rows - 1);
    const std::int64_t right = std::min(left + 1, columns - 1);
    const float low = down - static_cast<float>(top);
    const float far = along - static_cast<float>(left);
    const auto offset = [columns](std::int64_t row, std::int64_t column) {
      return static_cast<std::int32_t>(row * columns + column);
    };
    return {{offset(top, left), offset(top, right), offset(bottom, left), offset(bottom, right)},
            {(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far}};
  }

  void average(const Region& region, const float* pixels, const Tap* taps, float* to) const {
    const std::int64_t samples = region.down * region.across;
    const auto count = static_cast<float>(std::max<std::int64_t>(samples, 1));
    for (std::int64_t bin = 0; bin < height_ * width_; ++bin, taps += samples) {
      float sum = 0.0F;
      for (std::int64_t i = 0; i < samples; ++i) {
        const Tap& tap = taps[i];
        for (std::size_t corner = 0; corner < tap.weights.size(); ++corner) {
          if (tap.weights[corner] != 0.0F) sum += tap.weights[corner] * pixels[tap.offsets[corner]];
        }
      }
      to[bin] = sum / count;
    }
  }

  std::int64_t height_;
  std::int64_t width_;
  float scale_;
  std::int64_t sampling_;
  bool aligned_;
  bool clockwise_;
};

}  // namespace dx::op::roi_align_rotated
