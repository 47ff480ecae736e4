#include "logical_not/kernel.h"
#include "logical_not_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(logical_not, Kernel)
