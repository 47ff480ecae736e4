#include "top_k/kernel.h"
#include "top_k_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(top_k, Kernel)
