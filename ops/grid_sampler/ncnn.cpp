#include "grid_sampler/kernel.h"
#include "grid_sampler_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(grid_sampler, Kernel)
