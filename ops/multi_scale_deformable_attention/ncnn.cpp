#include "multi_scale_deformable_attention/kernel.h"
#include "multi_scale_deformable_attention_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(multi_scale_deformable_attention, Kernel)
