// Non-maximum suppression of turned boxes on a GPU.
#pragma once

#include "batched_nms/device.h"

namespace dx::op::batched_bev_nms {

using DeviceKernel = batched_nms::KindOfKernel<batched_nms::kTurnedCorners>;

}  // namespace dx::op::batched_bev_nms
