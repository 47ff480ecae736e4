#include "roi_align/kernel.h"
#include "roi_align_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(roi_align, Kernel)
