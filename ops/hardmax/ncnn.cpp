#include "hardmax/kernel.h"
#include "hardmax_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(hardmax, Kernel)
