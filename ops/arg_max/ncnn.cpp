#include "arg_max/kernel.h"
#include "arg_max_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(arg_max, Kernel)
