#include "logical_xor/kernel.h"
#include "logical_xor_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(logical_xor, Kernel)
