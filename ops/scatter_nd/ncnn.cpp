#include "scatter_nd/kernel.h"
#include "scatter_nd_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(scatter_nd, Kernel)
