#include "batched_nms/kernel.cu"
