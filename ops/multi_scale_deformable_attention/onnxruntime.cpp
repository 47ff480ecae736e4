#include "multi_scale_deformable_attention/kernel.h"
#include "multi_scale_deformable_attention_facts.h"
#include "workers/onnxruntime/operator.h"

DX_ONNXRUNTIME_OPERATOR(multi_scale_deformable_attention, Kernel)
