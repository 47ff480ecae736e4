#include "arg_min/kernel.h"
#include "arg_min_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(arg_min, Kernel)
