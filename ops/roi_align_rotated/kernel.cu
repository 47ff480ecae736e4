#include "multi_level_roi_align/kernel.cu"
