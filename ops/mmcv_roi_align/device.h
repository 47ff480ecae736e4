// Regions of images on a GPU, from one map.
#pragma once

#include "multi_level_roi_align/device.h"

namespace dx::op::mmcv_roi_align {

using DeviceKernel = multi_level_roi_align::MapKernel<false>;

}  // namespace dx::op::mmcv_roi_align
