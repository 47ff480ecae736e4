// What is held of CUDA's, given back at its end.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "common/result.h"
#include "workers/tensorrt/library.h"

namespace dx {

template <class T>
using CudaOwned = std::unique_ptr<T, cudaError_t (*)(T*)>;

using CudaStream = CudaOwned<CUstream_st>;
using CudaEvent = CudaOwned<CUevent_st>;
using CudaGraph = CudaOwned<CUgraphExec_st>;

Result<CudaStream> make_stream(const Library& library);
Result<CudaEvent> make_event(const Library& library);

// A tensor's memory: pinned in the host's, so that it is copied by the GPU itself, and the GPU's.
struct TensorMemory {
  std::size_t bytes = 0;
  CudaOwned<void> host{nullptr, nullptr};
  CudaOwned<void> device{nullptr, nullptr};
};
Result<TensorMemory> make_memory(const Library& library, std::size_t bytes);

}  // namespace dx
