#include "roi_align_rotated/device.h"
#include "roi_align_rotated_device.h"
#include "roi_align_rotated_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(roi_align_rotated, DeviceKernel)
