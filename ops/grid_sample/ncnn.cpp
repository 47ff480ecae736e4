#include "grid_sample/kernel.h"
#include "grid_sample_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(grid_sample, Kernel)
