// MMCV's deformable convolution with a mask on a GPU is ONNX's with its inputs in another order.
#pragma once

#include "deform_conv/device.h"
#include "mmcv_modulated_deform_conv2d/kernel.h"
#include "operators/device_call.h"

namespace dx::op::mmcv_modulated_deform_conv2d {

class DeviceKernel : public deform_conv::DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes)
      : deform_conv::DeviceKernel(placed(mmcv_deform_conv2d::settings_of(attributes))) {}
};

}  // namespace dx::op::mmcv_modulated_deform_conv2d
