#include "mmcv_roi_align/device.h"
#include "mmcv_roi_align_device.h"
#include "mmcv_roi_align_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(mmcv_roi_align, DeviceKernel)
