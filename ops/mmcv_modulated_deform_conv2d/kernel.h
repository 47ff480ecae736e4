// ONNX's DeformConv with a mask as MMCV exports it: its inputs stand in another order.
#pragma once

#include "mmcv_deform_conv2d/kernel.h"
#include "operators/operator.h"

namespace dx::op::mmcv_modulated_deform_conv2d {

inline deform_conv::Settings placed(deform_conv::Settings settings) {
  settings.offset = 1;
  settings.mask = 2;
  settings.weights = 3;
  settings.bias = 4;
  return settings;
}

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : convolution_(placed(mmcv_deform_conv2d::settings_of(attributes))) {}

  const char* run(Call& call) const { return convolution_.run(call); }

 private:
  deform_conv::Kernel convolution_;
};

}  // namespace dx::op::mmcv_modulated_deform_conv2d
