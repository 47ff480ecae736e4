#include "deform_conv/device.h"
#include "deform_conv_device.h"
#include "deform_conv_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(deform_conv, DeviceKernel)
