#include "deform_conv/kernel.cu"
