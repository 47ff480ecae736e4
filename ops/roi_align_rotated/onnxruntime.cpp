#include "roi_align_rotated/kernel.h"
#include "roi_align_rotated_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(roi_align_rotated, Kernel)
