// ONNX's DeformConv as MMCV exports it: its inputs stand in another order, there is no mask.
#pragma once

#include <cstdint>
#include <vector>

#include "deform_conv/kernel.h"
#include "operators/operator.h"

namespace dx::op::mmcv_deform_conv2d {

// Of height and width, or of top, bottom, left and right, as ONNX's pads.
inline std::vector<std::int64_t> pads_of(const std::vector<std::int64_t>& padding) {
  if (padding.size() == 2) return {padding[0], padding[1], padding[0], padding[1]};
  if (padding.size() == 4) return {padding[0], padding[2], padding[1], padding[3]};
  return {};
}

inline deform_conv::Settings settings_of(const Attributes& attributes) {
  return {attributes.integers("dilation"), pads_of(attributes.integers("padding")),
          attributes.integers("stride"), attributes.integer("groups"),
          attributes.integer("deform_groups")};
}

inline deform_conv::Settings placed(deform_conv::Settings settings) {
  settings.offset = 1;
  settings.weights = 2;
  settings.bias = settings.mask = deform_conv::Settings::kNone;
  return settings;
}

constexpr const char* kBiasMissing = "its bias is said to be there, and is no input";

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : has_bias_(attributes.integer("bias") != 0), convolution_(placed(settings_of(attributes))) {}

  const char* run(Call& call) const { return has_bias_ ? kBiasMissing : convolution_.run(call); }

 private:
  bool has_bias_;
  deform_conv::Kernel convolution_;
};

}  // namespace dx::op::mmcv_deform_conv2d
