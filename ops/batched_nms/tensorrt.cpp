#include "batched_nms/device.h"
#include "batched_nms_device.h"
#include "batched_nms_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(batched_nms, DeviceKernel)
