// Regions of images, each brought to one size: every output value is the mean
// of samples on a grid within its bin, read between pixels by bilinear
// interpolation (He et al. 2017, Mask R-CNN, 3); or the largest of what the
// four pixels around each sample count for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "operators/operator.h"

namespace dx::op::roi_align {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : half_pixel_(attributes.integer("coordinate_transformation_mode") == 0),
        largest_(attributes.integer("mode") == 1),
        height_(attributes.integer("output_height")),
        width_(attributes.integer("output_width")),
        sampling_(attributes.integer("sampling_ratio")),
        scale_(attributes.number("spatial_scale")) {}

  const char* run(Call& call) const {
    const Tensor& x = call.input(0);
    const Shape& rois = call.input(1).shape;
    const Tensor& images = call.input(2);
    if (x.shape.size() != 4) return "it is not of images";
    if (rois.size() != 2 || rois[1] != 4 || elements(images.shape) != rois[0]) {
      return "its regions are not four numbers each, with an image for each";
    }
    if (height_ < 1 || width_ < 1 || sampling_ < 0) return "its output has no size";
    if (x.shape[2] * x.shape[3] > INT32_MAX) return "its input is too large";
    std::int64_t most = 0;
    for (std::int64_t i = 0; i < rois[0]; ++i) {
      if (!(images.data[i] >= 0.0F && images.data[i] < static_cast<float>(x.shape[0]))) {
        return "it has no such image";
      }
      const Region region = region_of(call.input(1).data + 4 * i);
      if (std::max(region.rows.samples, region.columns.samples) > kMostSamples) {
        return "a region is thousands of times larger than its output";
      }
      most = std::max(most, taps_of(region));
    }
    const std::int64_t channels = x.shape[1];
    const std::int64_t room = most * static_cast<std::int64_t>(sizeof(Tap) / sizeof(float));
    float* const y = call.output(0, {rois[0], channels, height_, width_});
    float* const memory = call.scratch(static_cast<std::size_t>(room * call.threads() + 1));
    if (y == nullptr || memory == nullptr) return kNoMemory;

    const std::int64_t pixels = x.shape[2] * x.shape[3];
    call.parallel(rois[0] * channels, [&](std::int64_t plane, int thread) {
      const auto image = static_cast<std::int64_t>(images.data[plane / channels]);
      const float* const from = x.data + (image * channels + plane % channels) * pixels;
      const Region region = region_of(call.input(1).data + plane / channels * 4);
      auto* const rows = reinterpret_cast<Tap*>(memory + room * thread);
      find_taps(region.rows, height_, x.shape[2], x.shape[3], rows);
      Tap* const columns = rows + height_ * region.rows.samples;
      find_taps(region.columns, width_, x.shape[3], 1, columns);
      reduce(region, from, rows, columns, y + plane * height_ * width_);
    });
    return nullptr;
  }

 private:
  static constexpr std::int64_t kMostSamples = 4096;  // along a side of a bin

  // One side of a region: where it begins, how long a bin is, how many samples a bin has.
  struct Side {
    float begin, bin;
    std::int64_t samples;
  };

  struct Region {
    Side rows, columns;
  };

  // A sample's two pixels along an axis, in elements, and by what each counts.
  struct Tap {
    std::int32_t low, high;
    float low_share, high_share;
  };

  Region region_of(const float* corners) const {
    return {side(corners[1], corners[3], height_), side(corners[0], corners[2], width_)};
  }

  std::int64_t taps_of(const Region& region) const {
    return height_ * region.rows.samples + width_ * region.columns.samples;
  }

  Side side(float begin, float end, std::int64_t places) const {
    const float shift = half_pixel_ ? 0.5F : 0.0F;
    const float first = begin * scale_ - shift;
    float length = end * scale_ - shift - first;
    if (!half_pixel_) length = std::max(length, 1.0F);
    const float bin = length / static_cast<float>(places);
    const float wanted = sampling_ > 0 ? static_cast<float>(sampling_) : std::ceil(bin);
    // Not a number where the region is none; beyond all others where a file asks for that.
    if (!(wanted <= static_cast<float>(kMostSamples))) return {first, bin, kMostSamples + 1};
    return {first, bin, static_cast<std::int64_t>(std::max(wanted, 0.0F))};
  }

  // Up to a pixel beyond the image its border is read, nothing further out.
  static void find_taps(const Side& side, std::int64_t places, std::int64_t size, std::int64_t step,
                        Tap* taps) {
    for (std::int64_t place = 0; place < places; ++place) {
      for (std::int64_t i = 0; i < side.samples; ++i) {
        const float within =
            (static_cast<float>(i) + 0.5F) * side.bin / static_cast<float>(side.samples);
        *taps++ = tap(side.begin + static_cast<float>(place) * side.bin + within, size, step);
      }
    }
  }

  static Tap tap(float at, std::int64_t size, std::int64_t step) {
    if (!(at >= -1.0F && at <= static_cast<float>(size))) return {};
    const float inside = std::max(at, 0.0F);
    const auto low = std::min(static_cast<std::int64_t>(inside), size - 1);
    const std::int64_t high = std::min(low + 1, size - 1);
    const float share = low == high ? 0.0F : inside - static_cast<float>(low);
    return {static_cast<std::int32_t>(low * step), static_cast<std::int32_t>(high * step),
            1.0F - share, share};
  }

  void reduce(const Region& region, const float* pixels, const Tap* rows, const Tap* columns,
              float* to) const {
    const std::int64_t down = region.rows.samples;
    const std::int64_t across = region.columns.samples;
    const auto count = static_cast<float>(std::max<std::int64_t>(down * across, 1));
    for (std::int64_t h = 0; h < height_; ++h) {
      for (std::int64_t w = 0; w < width_; ++w) {
        const bool some = down * across > 0;
        float found = largest_ && some ? -std::numeric_limits<float>::infinity() : 0.0F;
        for (const Tap* row = rows + h * down; row != rows + (h + 1) * down; ++row) {
          if (largest_) {
            found = std::max(found, largest_in_row(pixels, *row, columns + w * across, across));
          } else {
            found += sum_row(pixels, *row, columns + w * across, across);
          }
        }
        *to++ = largest_ ? found : found / count;
      }
    }
  }

  static float sum_row(const float* pixels, const Tap& row, const Tap* columns,
                       std::int64_t count) {
    const float* const upper = pixels + row.low;
    const float* const lower = pixels + row.high;
    float above = 0.0F;
    float below = 0.0F;
    for (const Tap* tap = columns; tap != columns + count; ++tap) {
      above += tap->low_share * upper[tap->low] + tap->high_share * upper[tap->high];
      below += tap->low_share * lower[tap->low] + tap->high_share * lower[tap->high];
    }
    return row.low_share * above + row.high_share * below;
  }

  static float largest_in_row(const float* pixels, const Tap& row, const Tap* columns,
                              std::int64_t count) {
    const float* const upper = pixels + row.low;
    const float* const lower = pixels + row.high;
    float largest = -std::numeric_limits<float>::infinity();
    for (const Tap* tap = columns; tap != columns + count; ++tap) {
      const float above = std::max(row.low_share * tap->low_share * upper[tap->low],
                                   row.low_share * tap->high_share * upper[tap->high]);
      const float below = std::max(row.high_share * tap->low_share * lower[tap->low],
                                   row.high_share * tap->high_share * lower[tap->high]);
      largest = std::max({largest, above, below});
    }
    return largest;
  }

  bool half_pixel_;
  bool largest_;
  std::int64_t height_;
  std::int64_t width_;
  std::int64_t sampling_;
  float scale_;
};

}  // namespace dx::op::roi_align
