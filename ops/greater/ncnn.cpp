#include "greater/kernel.h"
#include "greater_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(greater, Kernel)
