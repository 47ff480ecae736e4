// Attention to a few places of several maps on a GPU.
#pragma once

#include <cstdint>

#include "multi_scale_deformable_attention/kernel.cu"
#include "operators/device_call.h"

namespace dx::op::multi_scale_deformable_attention {

class DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes&) {}

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(0, 0), s.input(3, 1), s.product(s.input(0, 2), s.input(0, 3))});
  }

  const char* run(DeviceCall& call) const {
    const Shape& value = call.input(0).shape;
    const Shape& places = call.input(3).shape;
    if (value.size() != 4 || places.size() != 6) return "its inputs have other numbers of axes";
    const std::int64_t maps = places[3];
    const Shape weights = {value[0], places[1], value[2], maps, places[4]};
    const bool fits = places == Shape{value[0], places[1], value[2], maps, places[4], 2} &&
                      call.input(4).shape == weights && call.input(1).shape == Shape{maps, 2} &&
                      call.input(2).shape == Shape{maps};
    if (!fits) return "the shapes of its inputs do not fit";
    const std::int64_t width = value[2] * value[3];
    if (value[1] > kMostIndices || width > kMostIndices || places[1] > kMostIndices) {
      return kTooManyIndices;
    }
    const auto number = [](std::int64_t size) { return static_cast<int>(size); };
    call.launch(multi_scale_deformable_attention_attend_kernel{},
                {call.input(0).data, call.input(1).data, call.input(2).data, call.input(3).data,
                 call.input(4).data, call.output(0), number(value[1]), number(value[2]),
                 number(value[3]), number(places[1]), number(maps), number(places[4])},
                value[0] * places[1] * width);
    return nullptr;
  }
};

}  // namespace dx::op::multi_scale_deformable_attention
