#include "equal/kernel.h"
#include "equal_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(equal, Kernel)
