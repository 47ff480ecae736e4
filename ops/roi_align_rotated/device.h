// Turned regions of images on a GPU, from one map.
#pragma once

#include "multi_level_roi_align/device.h"

namespace dx::op::roi_align_rotated {

using DeviceKernel = multi_level_roi_align::MapKernel<true>;

}  // namespace dx::op::roi_align_rotated
