#include "gather_elements/kernel.h"
#include "gather_elements_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(gather_elements, Kernel)
