#include "roi_align_rotated/kernel.h"
#include "roi_align_rotated_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(roi_align_rotated, Kernel)
