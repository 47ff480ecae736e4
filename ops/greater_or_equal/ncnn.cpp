#include "greater_or_equal/kernel.h"
#include "greater_or_equal_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(greater_or_equal, Kernel)
