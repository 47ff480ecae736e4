#include "less_or_equal/kernel.h"
#include "less_or_equal_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(less_or_equal, Kernel)
