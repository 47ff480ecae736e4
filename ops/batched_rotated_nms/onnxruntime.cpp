#include "batched_rotated_nms/device.h"
#include "batched_rotated_nms_facts.h"
#include "operators/host_kernel.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_DEVICE_OPERATOR(batched_rotated_nms)
