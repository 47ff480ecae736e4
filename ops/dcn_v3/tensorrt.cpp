#include "dcn_v3/device.h"
#include "dcn_v3_device.h"
#include "dcn_v3_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(dcn_v3, DeviceKernel)
