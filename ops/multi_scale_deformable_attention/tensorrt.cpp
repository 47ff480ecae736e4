#include "multi_scale_deformable_attention/device.h"
#include "multi_scale_deformable_attention_device.h"
#include "multi_scale_deformable_attention_facts.h"
#include "workers/tensorrt/operator.h"

DX_TENSORRT_OPERATOR(multi_scale_deformable_attention, DeviceKernel)
