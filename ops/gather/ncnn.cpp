#include "gather/kernel.h"
#include "gather_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(gather, Kernel)
