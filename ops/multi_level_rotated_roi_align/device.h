// Turned regions of images on a GPU, from several maps.
#pragma once

#include "multi_level_roi_align/device.h"

namespace dx::op::multi_level_rotated_roi_align {

using DeviceKernel = multi_level_roi_align::LevelsKernel<true>;

}  // namespace dx::op::multi_level_rotated_roi_align
