#include "less/kernel.h"
#include "less_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(less, Kernel)
