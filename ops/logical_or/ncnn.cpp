#include "logical_or/kernel.h"
#include "logical_or_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(logical_or, Kernel)
