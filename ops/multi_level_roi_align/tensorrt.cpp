#include "multi_level_roi_align/device.h"
#include "multi_level_roi_align_device.h"
#include "multi_level_roi_align_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(multi_level_roi_align, DeviceKernel)
