// Regions of images on a GPU, from one map or several.
#pragma once

#include <cstdint>
#include <vector>

#include "multi_level_roi_align/kernel.cu"
#include "operators/device_call.h"

namespace dx::op::multi_level_roi_align {

constexpr const char* kDoNotFit = "the shapes of its maps do not fit each other";

// Enters a map into the levels; nullptr, or what does not fit.
inline const char* add_level(Regions& p, const Tensor& map, float scale) {
  const Shape& shape = map.shape;
  if (shape.size() != 4) return "it is not of images";
  Levels& levels = p.levels;
  if (levels.count == kMostLevels) return "it has more maps than nine";
  if (shape[2] > kMostIndices || shape[3] > kMostIndices) return kTooManyIndices;
  if (levels.count == 0) {
    p.images = static_cast<int>(shape[0]);
    p.channels = static_cast<int>(shape[1]);
  } else if (shape[0] != p.images || shape[1] != p.channels) {
    return kDoNotFit;
  }
  levels.maps[levels.count] = map.data;
  levels.heights[levels.count] = static_cast<int>(shape[2]);
  levels.widths[levels.count] = static_cast<int>(shape[3]);
  levels.scales[levels.count++] = scale;
  return nullptr;
}

// Launches it for regions of that many numbers.
inline const char* pool(DeviceCall& call, Regions& p, const Tensor& regions) {
  const std::int64_t numbers = p.turned ? 6 : 5;
  if (regions.shape.size() != 2 || regions.shape[1] != numbers) {
    return p.turned ? "its regions are not six numbers" : "its regions are not five numbers";
  }
  if (p.out_h < 1 || p.out_w < 1 || p.sampling < 0) return "its output has no size";
  p.regions = regions.data;
  p.to = call.output(0);
  call.launch(multi_level_roi_align_pool_kernel{}, p,
              regions.shape[0] * p.channels * p.out_h * p.out_w);
  return nullptr;
}

// What regions of one map and of several are asked for.
template <bool turned>
Regions settings_of(const Attributes& attributes) {
  Regions p = {};
  p.out_h = static_cast<int>(attributes.integer("output_height"));
  p.out_w = static_cast<int>(attributes.integer("output_width"));
  p.sampling = static_cast<int>(attributes.integer("sampling_ratio"));
  p.aligned = attributes.integer("aligned") != 0;
  p.turned = turned;
  if constexpr (turned) p.clockwise = attributes.integer("clockwise") != 0;
  return p;
}

// The regions come first, then the maps.
template <bool turned>
class LevelsKernel {
 public:
  explicit LevelsKernel(const Attributes& attributes)
      : settings_(settings_of<turned>(attributes)),
        strides_(attributes.numbers("featmap_strides")) {
    settings_.finest = static_cast<float>(attributes.integer("finest_scale"));
    settings_.grow = attributes.number("roi_scale_factor");
    if constexpr (!turned) settings_.takes_largest = attributes.integer("pool_mode") == 0;
  }

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(0, 0), s.input(1, 1), s.constant(settings_.out_h),
                 s.constant(settings_.out_w)});
  }

  const char* run(DeviceCall& call) const {
    Regions p = settings_;
    for (std::size_t level = 0; call.has(level + 1); ++level) {
      if (level >= strides_.size() || !(strides_[level] > 0)) {
        return "its featmap_strides are not one for each map";
      }
      const char* const complaint = add_level(p, call.input(level + 1), 1 / strides_[level]);
      if (complaint != nullptr) return complaint;
    }
    if (p.levels.count == 0 || !(p.finest > 0)) return "it has no maps, or no finest_scale";
    return pool(call, p, call.input(0));
  }

 private:
  Regions settings_;
  std::vector<float> strides_;
};

// One map comes first, then the regions.
template <bool turned>
class MapKernel {
 public:
  explicit MapKernel(const Attributes& attributes)
      : settings_(settings_of<turned>(attributes)), scale_(attributes.number("spatial_scale")) {
    settings_.finest = 1.0F;  // there is only one map
    if constexpr (!turned) settings_.takes_largest = attributes.integer("mode") == 1;
  }

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(1, 0), s.input(0, 1), s.constant(settings_.out_h),
                 s.constant(settings_.out_w)});
  }

  const char* run(DeviceCall& call) const {
    Regions p = settings_;
    const char* const complaint = add_level(p, call.input(0), scale_);
    return complaint != nullptr ? complaint : pool(call, p, call.input(1));
  }

 private:
  Regions settings_;
  float scale_;
};

using DeviceKernel = LevelsKernel<false>;

}  // namespace dx::op::multi_level_roi_align
