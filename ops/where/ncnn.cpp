#include "where/kernel.h"
#include "where_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(where, Kernel)
