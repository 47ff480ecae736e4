#include "mmcv_deform_conv2d/kernel.h"
#include "mmcv_deform_conv2d_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(mmcv_deform_conv2d, Kernel)
