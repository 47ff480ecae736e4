#include "logical_and/kernel.h"
#include "logical_and_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(logical_and, Kernel)
