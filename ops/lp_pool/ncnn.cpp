#include "lp_pool/kernel.h"
#include "lp_pool_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(lp_pool, Kernel)
