#include "batched_bev_nms/device.h"
#include "batched_bev_nms_device.h"
#include "batched_bev_nms_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(batched_bev_nms, DeviceKernel)
