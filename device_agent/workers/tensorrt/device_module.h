// Kernels of our own on a GPU, by CUDA's driver: no compiler is needed on the board.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "operators/device_code.h"

namespace dx {

// Queues the kernel on the stream, with an index for each below `count`; "", or what was wrong.
// The code is loaded at its first launch and stays.
// REQUIRES: a GPU is current on this thread; count is positive.
std::string launch_kernel(const op::DeviceCode& code, const char* kernel, const void* arguments,
                          int count, cudaStream_t stream);

}  // namespace dx
