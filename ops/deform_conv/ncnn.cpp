#include "deform_conv/kernel.h"
#include "deform_conv_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(deform_conv, Kernel)
