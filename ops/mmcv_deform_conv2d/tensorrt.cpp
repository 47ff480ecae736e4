#include "mmcv_deform_conv2d/device.h"
#include "mmcv_deform_conv2d_device.h"
#include "mmcv_deform_conv2d_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(mmcv_deform_conv2d, DeviceKernel)
