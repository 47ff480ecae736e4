// An image or a volume, read at the places of a grid: the nearest pixel, or a sum of those around a
// place by linear or cubic interpolation (Keys 1981, with -0.75), along each axis on its own.
//
// First each place's taps along each axis are found, then every channel is summed up by them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op::grid_sample {

enum class Mode { kLinear, kNearest, kCubic };
enum class Padding { kZeros, kBorder, kReflection };

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : Kernel(mode_of(attributes.integer("mode")),
               static_cast<Padding>(attributes.integer("padding_mode")),
               attributes.integer("align_corners") != 0) {}
  Kernel(Mode mode, Padding padding, bool align_corners)
      : align_corners_(align_corners), mode_(mode), padding_(padding) {}

  const char* run(Call& call) const {
    Sizes s;
    if (const char* complaint = measure(call, s)) return complaint;
    Shape shape = call.input(0).shape;
    const Shape& grid = call.input(1).shape;
    std::copy(grid.begin() + 1, grid.end() - 1, shape.begin() + 2);
    float* const output = call.output(0, shape);
    const std::int64_t taps = s.rank * taps_an_axis();
    const std::int64_t floats_a_tap = static_cast<std::int64_t>(sizeof(Tap) / sizeof(float));
    float* const memory = call.scratch(static_cast<std::size_t>(s.places * taps * floats_a_tap));
    if (output == nullptr || memory == nullptr) return kNoMemory;

    auto* const found = reinterpret_cast<Tap*>(memory);
    for (std::int64_t image = 0; image < s.images; ++image) {
      const float* const places = call.input(1).data + image * s.places * s.rank;
      call.parallel(s.places, [&](std::int64_t place, int) {
        find_taps(s, places + place * s.rank, found + place * taps);
      });
      call.parallel(s.channels, [&](std::int64_t channel, int) {
        const std::int64_t plane = image * s.channels + channel;
        sum_up(s, call.input(0).data + plane * s.pixels, found, output + plane * s.places);
      });
    }
    return nullptr;
  }

 private:
  static constexpr std::int64_t kMostAxes = 3;

  struct Sizes {
    std::int64_t images, channels, rank, pixels, places;
    std::array<std::int64_t, kMostAxes> axes, steps;  // slowest first
  };

  // Where along an axis a pixel lies, in elements, and by what it counts; -1: outside, 0.
  struct Tap {
    std::int32_t offset;
    float weight;
  };

  // By the place of the name in op.toml: the last two are the earlier names of linear and cubic.
  static Mode mode_of(std::int64_t choice) {
    if (choice == 1) return Mode::kNearest;
    return choice == 2 || choice == 4 ? Mode::kCubic : Mode::kLinear;
  }

  std::int64_t taps_an_axis() const {
    if (mode_ == Mode::kNearest) return 1;
    return mode_ == Mode::kLinear ? 2 : 4;
  }

  const char* measure(const Call& call, Sizes& s) const {
    const Shape& x = call.input(0).shape;
    const Shape& grid = call.input(1).shape;
    const auto rank = static_cast<std::int64_t>(x.size()) - 2;
    if (rank < 2 || rank > kMostAxes) return "it is neither of images nor of volumes";
    if (rank == 3 && mode_ == Mode::kCubic) return "it interpolates volumes by cubics";
    if (grid.size() != x.size() || grid[0] != x[0] || grid.back() != rank) {
      return "its grid does not fit its input";
    }
    s.images = x[0];
    s.channels = x[1];
    s.rank = rank;
    s.pixels = elements(x, 2, x.size());
    s.places = elements(grid, 1, grid.size() - 1);
    if (s.pixels > INT32_MAX) return "its input is too large";
    std::int64_t step = s.pixels;
    for (std::int64_t i = 0; i < rank; ++i) {
      const auto axis = static_cast<std::size_t>(i);
      s.axes[axis] = x[2 + axis];
      step /= x[2 + axis];
      s.steps[axis] = step;
    }
    return nullptr;
  }

  // The grid names the fastest axis first.
  void find_taps(const Sizes& s, const float* place, Tap* taps) const {
    for (std::int64_t i = 0; i < s.rank; ++i, taps += taps_an_axis()) {
      const auto axis = static_cast<std::size_t>(i);
      const std::int64_t size = s.axes[axis];
      const auto length = static_cast<float>(size);
      const float share = place[s.rank - 1 - i] + 1.0F;
      const float at =
          align_corners_ ? share / 2.0F * (length - 1.0F) : (share * length - 1) / 2.0F;
      find_axis(at, size, s.steps[axis], taps);
    }
  }

  void find_axis(float at, std::int64_t size, std::int64_t step, Tap* taps) const {
    // Beyond this no pixel is near, and no float counts pixels any more.
    constexpr float kFarthest = 16777216.0F;
    if (!(std::fabs(at) <= kFarthest)) at = at > 0.0F ? kFarthest : -kFarthest;
    if (mode_ == Mode::kNearest) {
      taps[0] = tap(std::nearbyint(at), size, step, 1.0F);
      return;
    }
    if (mode_ == Mode::kLinear) {
      const float inside = padding_ == Padding::kZeros ? at : within(at, size);
      const float first = std::floor(inside);
      const float share = inside - first;
      taps[0] = tap(first, size, step, 1.0F - share);
      taps[1] = tap(first + 1.0F, size, step, share);
      return;
    }
    const float first = std::floor(at);
    const float share = at - first;
    const std::array<float, 4> weights = {outer(share + 1.0F), inner(share), inner(1.0F - share),
                                          outer(2.0F - share)};
    for (int i = 0; i < 4; ++i) {
      const auto place = static_cast<float>(i - 1);
      taps[i] = tap(first + place, size, step, weights[static_cast<std::size_t>(i)]);
    }
  }

  Tap tap(float pixel, std::int64_t size, std::int64_t step, float weight) const {
    auto index = static_cast<std::int64_t>(pixel);
    if (index < 0 || index >= size) {
      if (padding_ == Padding::kZeros) return {-1, 0.0F};
      index = static_cast<std::int64_t>(within(pixel, size));
      index = std::clamp<std::int64_t>(index, 0, size - 1);
    }
    return {static_cast<std::int32_t>(index * step), weight};
  }

  // The place that the padding stands for.
  float within(float at, std::int64_t size) const {
    const auto last = static_cast<float>(size - 1);
    if (padding_ == Padding::kBorder) return std::clamp(at, 0.0F, last);
    const float low = align_corners_ ? 0.0F : -0.5F;
    const float high = align_corners_ ? last : last + 0.5F;
    if (at >= low && at <= high) return at;
    const float range = high - low;
    if (range <= 0.0F) return low;
    const float beyond = at < low ? low - at : at - high;
    const float turns = std::floor(beyond / range);
    const float rest = beyond - turns * range;
    // Each turn goes the other way.
    const bool from_low = (at < low) == (std::fmod(turns, 2.0F) == 0.0F);
    return from_low ? low + rest : high - rest;
  }

  // The cubic's two pieces, by the distance of a pixel.
  static float inner(float t) {
    constexpr float kA = -0.75F;
    return ((kA + 2.0F) * t - (kA + 3.0F)) * t * t + 1.0F;
  }
  static float outer(float t) {
    constexpr float kA = -0.75F;
    return ((kA * t - 5.0F * kA) * t + 8.0F * kA) * t - 4.0F * kA;
  }

  void sum_up(const Sizes& s, const float* pixels, const Tap* taps, float* to) const {
    if (s.rank == 3) {
      mode_ == Mode::kNearest ? sum_volume<1>(s, pixels, taps, to)
                              : sum_volume<2>(s, pixels, taps, to);
    } else if (mode_ == Mode::kNearest) {
      sum_image<1>(s, pixels, taps, to);
    } else if (mode_ == Mode::kLinear) {
      sum_image<2>(s, pixels, taps, to);
    } else {
      sum_image<4>(s, pixels, taps, to);
    }
  }

  template <int kTaps>
  static void sum_image(const Sizes& s, const float* pixels, const Tap* taps, float* to) {
    for (std::int64_t place = 0; place < s.places; ++place, taps += 2 * kTaps) {
      to[place] = sum_plane<kTaps>(pixels, taps, taps + kTaps);
    }
  }

  template <int kTaps>
  static void sum_volume(const Sizes& s, const float* pixels, const Tap* taps, float* to) {
    for (std::int64_t place = 0; place < s.places; ++place, taps += 3 * kTaps) {
      float sum = 0.0F;
      for (int d = 0; d < kTaps; ++d) {
        if (taps[d].offset < 0) continue;
        sum += taps[d].weight *
               sum_plane<kTaps>(pixels + taps[d].offset, taps + kTaps, taps + 2 * kTaps);
      }
      to[place] = sum;
    }
  }

  template <int kTaps>
  static float sum_plane(const float* pixels, const Tap* rows, const Tap* columns) {
    float sum = 0.0F;
    for (int h = 0; h < kTaps; ++h) {
      if (rows[h].offset < 0) continue;
      const float* const row = pixels + rows[h].offset;
      float of_row = 0.0F;
      for (int w = 0; w < kTaps; ++w) {
        if (columns[w].offset >= 0) of_row += columns[w].weight * row[columns[w].offset];
      }
      sum += rows[h].weight * of_row;
    }
    return sum;
  }

  bool align_corners_;
  Mode mode_;
  Padding padding_;
};

}  // namespace dx::op::grid_sample
