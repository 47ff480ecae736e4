#include "gather_nd/kernel.h"
#include "gather_nd_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(gather_nd, Kernel)
