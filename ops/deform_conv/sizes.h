// What a deformable convolution is asked for, and whether its inputs fit that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "operators/operator.h"

namespace dx::op::deform_conv {

// As ONNX counts it, and the places of the inputs behind the images.
struct Settings {
  static constexpr std::size_t kNone = SIZE_MAX;

  std::vector<std::int64_t> dilations, pads, strides;
  std::int64_t groups = 1;
  std::int64_t offset_groups = 1;
  std::size_t weights = 1;
  std::size_t offset = 2;
  std::size_t bias = 3;
  std::size_t mask = 4;
};

inline Settings settings_of(const Attributes& attributes) {
  return {attributes.integers("dilations"), attributes.integers("pads"),
          attributes.integers("strides"), attributes.integer("group"),
          attributes.integer("offset_group")};
}

struct Sizes {
  std::int64_t images, channels, height, width, outputs, kernel_h, kernel_w, out_h, out_w;
  std::int64_t window;  // values of one, of one channel
  std::int64_t places;  // of windows
};

inline std::int64_t output_size(const Settings& set, std::int64_t size, std::int64_t kernel,
                                std::size_t axis) {
  const std::int64_t reach = set.dilations[axis] * (kernel - 1) + 1;
  return (size + set.pads[axis] + set.pads[axis + 2] - reach) / set.strides[axis] + 1;
}

// nullptr, or what does not fit; AnyCall has a Call's or a DeviceCall's has() and input().
template <class AnyCall>
const char* measure(const Settings& set, const AnyCall& call, Sizes& s) {
  const Shape& x = call.input(0).shape;
  const Shape& w = call.input(set.weights).shape;
  const Shape& offset = call.input(set.offset).shape;
  if (x.size() != 4 || w.size() != 4 || offset.size() != 4) return "it is not of images";
  if (set.dilations.size() != 2 || set.strides.size() != 2 || set.pads.size() != 4) {
    return "its attributes are not those of images";
  }
  if (set.groups < 1 || set.offset_groups < 1 || set.strides[0] < 1 || set.strides[1] < 1) {
    return "its groups or strides are not positive";
  }
  s = {x[0], x[1], x[2], x[3], w[0], w[2], w[3], offset[2], offset[3], w[2] * w[3], 0};
  s.places = s.out_h * s.out_w;
  const bool fits =
      x[1] == w[1] * set.groups && w[0] % set.groups == 0 && x[1] % set.offset_groups == 0;
  const bool offsets_fit = offset[0] == x[0] && offset[1] == 2 * set.offset_groups * s.window;
  const bool size_fits = s.out_h == output_size(set, s.height, s.kernel_h, 0) &&
                         s.out_w == output_size(set, s.width, s.kernel_w, 1);
  if (!fits || !offsets_fit || !size_fits) return "the shapes of its inputs do not fit";
  if (s.height * s.width > INT32_MAX) return "its input is too large";
  if (call.has(set.bias) && call.input(set.bias).shape != Shape{s.outputs}) {
    return "its bias does not fit";
  }
  const Shape of_mask = {x[0], set.offset_groups * s.window, s.out_h, s.out_w};
  if (call.has(set.mask) && call.input(set.mask).shape != of_mask) {
    return "its mask does not fit";
  }
  return nullptr;
}

}  // namespace dx::op::deform_conv
