#include "dcn_v3/device.h"
#include "dcn_v3_facts.h"
#include "operators/host_kernel.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_DEVICE_OPERATOR(dcn_v3)
