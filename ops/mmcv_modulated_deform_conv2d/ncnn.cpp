#include "mmcv_modulated_deform_conv2d/kernel.h"
#include "mmcv_modulated_deform_conv2d_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(mmcv_modulated_deform_conv2d, Kernel)
