#include "scatter_elements/kernel.h"
#include "scatter_elements_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(scatter_elements, Kernel)
