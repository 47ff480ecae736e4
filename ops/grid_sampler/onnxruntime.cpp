#include "grid_sampler/kernel.h"
#include "grid_sampler_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(grid_sampler, Kernel)
