#include "workers/tensorrt/device_memory.h"

#include <algorithm>
#include <string>

namespace dx {

Result<CudaStream> make_stream(const Library& library) {
  cudaStream_t stream = nullptr;
  const cudaError_t made = library.cuda().cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (Status status = library.check(made, "CUDA gives no stream"); !status) return status.failure();
  return CudaStream(stream, library.cuda().cudaStreamDestroy);
}

Result<CudaEvent> make_event(const Library& library) {
  cudaEvent_t event = nullptr;
  const cudaError_t made = library.cuda().cudaEventCreateWithFlags(&event, cudaEventDefault);
  if (Status status = library.check(made, "CUDA gives no event"); !status) return status.failure();
  return CudaEvent(event, library.cuda().cudaEventDestroy);
}

Result<TensorMemory> make_memory(const Library& library, std::size_t bytes) {
  const std::string what = "there is no memory for a tensor of " + std::to_string(bytes) + " bytes";
  TensorMemory memory;
  memory.bytes = bytes;
  const std::size_t some = std::max<std::size_t>(bytes, 1);  // TensorRT takes no null address
  void* place = nullptr;
  const cudaError_t pinned = library.cuda().cudaHostAlloc(&place, some, cudaHostAllocDefault);
  if (Status status = library.check(pinned, what); !status) return status.failure();
  memory.host = CudaOwned<void>(place, library.cuda().cudaFreeHost);
  const cudaError_t given = library.cuda().cudaMalloc(&place, some);
  if (Status status = library.check(given, what); !status) return status.failure();
  memory.device = CudaOwned<void>(place, library.cuda().cudaFree);
  return memory;
}

}  // namespace dx
