#include "nms_match/kernel.h"
#include "nms_match_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(nms_match, Kernel)
