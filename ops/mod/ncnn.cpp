#include "mod/kernel.h"
#include "mod_facts.h"
#include "workers/ncnn/operator.h"

DX_NCNN_OPERATOR(mod, Kernel)
