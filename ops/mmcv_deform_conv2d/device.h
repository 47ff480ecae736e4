// MMCV's deformable convolution on a GPU is ONNX's with its inputs in another order.
#pragma once

#include "deform_conv/device.h"
#include "mmcv_deform_conv2d/kernel.h"
#include "operators/device_call.h"

namespace dx::op::mmcv_deform_conv2d {

class DeviceKernel : public deform_conv::DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes)
      : deform_conv::DeviceKernel(placed(settings_of(attributes))),
        has_bias_(attributes.integer("bias") != 0) {}

  const char* run(DeviceCall& call) const {
    return has_bias_ ? kBiasMissing : deform_conv::DeviceKernel::run(call);
  }

 private:
  bool has_bias_;
};

}  // namespace dx::op::mmcv_deform_conv2d
