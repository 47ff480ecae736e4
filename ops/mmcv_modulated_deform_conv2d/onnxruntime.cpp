#include "mmcv_modulated_deform_conv2d/kernel.h"
#include "mmcv_modulated_deform_conv2d_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(mmcv_modulated_deform_conv2d, Kernel)
