#include "non_max_suppression/kernel.h"
#include "non_max_suppression_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(non_max_suppression, Kernel)
