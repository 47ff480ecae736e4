// An operator's kernels as they were compiled for GPUs (DxOperators.cmake writes the values).
#pragma once

#include <cstddef>

namespace dx::op {

// For one GPU ("sm_87"), or as PTX text ("") for whatever GPU is newer than the oldest; it ends
// with a zero.
struct DeviceImage {
  const char* gpu;
  const unsigned char* content;
};

struct DeviceCode {
  std::size_t count;
  const DeviceImage* images;
};

}  // namespace dx::op
