// TensorRT and CUDA as the board has them: their libraries are opened by name when they are needed,
// so that a worker whose board lacks one can say so.
#pragma once

#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "common/result.h"

static_assert((NV_TENSORRT_MAJOR == 8 && NV_TENSORRT_MINOR >= 5) || NV_TENSORRT_MAJOR == 9 ||
                  NV_TENSORRT_MAJOR == 10,
              "dx-worker-tensorrt is written for TensorRT 8.5 to 10");

namespace dx {

// The functions of CUDA's runtime that are called, by their own names.
struct CudaApi {
#define DX_CUDA_FUNCTIONS(X)       \
  X(cudaDeviceGetAttribute)        \
  X(cudaEventCreateWithFlags)      \
  X(cudaEventDestroy)              \
  X(cudaEventElapsedTime)          \
  X(cudaEventRecord)               \
  X(cudaFree)                      \
  X(cudaFreeHost)                  \
  X(cudaGetDevice)                 \
  X(cudaGetDeviceCount)            \
  X(cudaGetErrorString)            \
  X(cudaGraphDestroy)              \
  X(cudaGraphExecDestroy)          \
  X(cudaGraphInstantiateWithFlags) \
  X(cudaGraphLaunch)               \
  X(cudaHostAlloc)                 \
  X(cudaMalloc)                    \
  X(cudaMemGetInfo)                \
  X(cudaMemcpyAsync)               \
  X(cudaStreamBeginCapture)        \
  X(cudaStreamCreateWithFlags)     \
  X(cudaStreamDestroy)             \
  X(cudaStreamEndCapture)          \
  X(cudaStreamSynchronize)
#define DX_DECLARE(name) decltype(&::name) name = nullptr;
  DX_CUDA_FUNCTIONS(DX_DECLARE)
#undef DX_DECLARE
};

// TensorRT's C functions; all else is called through the objects that they make.
struct TensorrtApi {
  decltype(&::createInferBuilder_INTERNAL) create_builder = nullptr;
  decltype(&::createInferRuntime_INTERNAL) create_runtime = nullptr;
  decltype(&::createNvOnnxParser_INTERNAL) create_parser = nullptr;
  decltype(&::getInferLibVersion) version = nullptr;
};

// "10.3.0", as TensorRT's libraries and headers count.
std::string version_text(std::int32_t version);

// The version of the headers that this worker was compiled with.
std::int32_t compiled_version();

// The board's TensorRT, "" where it cannot be opened.
std::string board_version();

class Library {
 public:
  // Opens all libraries and looks for a GPU, once. They stay open until the process ends.
  // Fails, in a sentence, where a library is missing or of a version that this worker is not for,
  // where there is no GPU, and where this user may not use it.
  static Result<const Library*> open();

  const CudaApi& cuda() const { return cuda_; }
  const TensorrtApi& tensorrt() const { return tensorrt_; }
  std::string version() const { return version_text(tensorrt_.version()); }
  // "sm_87".
  const std::string& gpu() const { return gpu_; }
  // 87 of sm_87.
  int capability() const { return capability_; }

  // `what` is the beginning of the sentence.
  Status check(cudaError_t status, const std::string& what) const;

  // " (123 of 7620 MiB of the GPU's memory are free)", "" where that is not told.
  std::string free_memory_text() const;

 private:
  friend Result<Library> open_libraries();
  Status find_gpu();

  CudaApi cuda_;
  TensorrtApi tensorrt_;
  std::string gpu_;
  int capability_ = 0;
};

}  // namespace dx
