#include "nms_rotated/kernel.h"
#include "nms_rotated_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(nms_rotated, Kernel)
