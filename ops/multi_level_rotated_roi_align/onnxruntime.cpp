#include "multi_level_rotated_roi_align/device.h"
#include "multi_level_rotated_roi_align_facts.h"
#include "operators/host_kernel.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_DEVICE_OPERATOR(multi_level_rotated_roi_align)
