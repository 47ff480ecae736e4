// Turned regions of images on a GPU, from one map.
#pragma once

#include "multi_level_roi_align/device.h"

namespace dx::op::roi_align_rotated {

class DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes) : scale_(attributes.number("spatial_scale")) {
    settings_.out_h = static_cast<int>(attributes.integer("output_height"));
    settings_.out_w = static_cast<int>(attributes.integer("output_width"));
    settings_.sampling = static_cast<int>(attributes.integer("sampling_ratio"));
    settings_.finest = 1.0F;  // there is only one map
    settings_.aligned = attributes.integer("aligned") != 0;
    settings_.clockwise = attributes.integer("clockwise") != 0;
    settings_.turned = true;
  }

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(1, 0), s.input(0, 1), s.constant(settings_.out_h),
                 s.constant(settings_.out_w)});
  }

  const char* run(DeviceCall& call) const {
    multi_level_roi_align::Regions p = settings_;
    const char* const complaint = multi_level_roi_align::add_level(p, call.input(0), scale_);
    return complaint != nullptr ? complaint : multi_level_roi_align::pool(call, p, call.input(1));
  }

 private:
  multi_level_roi_align::Regions settings_ = {};
  float scale_;
};

}  // namespace dx::op::roi_align_rotated
