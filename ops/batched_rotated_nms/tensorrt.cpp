#include "batched_rotated_nms/device.h"
#include "batched_rotated_nms_device.h"
#include "batched_rotated_nms_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(batched_rotated_nms, DeviceKernel)
