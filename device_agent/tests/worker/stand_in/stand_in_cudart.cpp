// A stand-in for CUDA's runtime library in tests: the host's memory is the GPU's.
//   no-gpu          there is none
//   gpu=72          its compute capability, 87 otherwise
//   memory=BYTES    of what one piece may take
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cuda_runtime_api.h"
#include "stand_in.h"

struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};
struct CUgraphExec_st {
  CUgraph_st graph;
};

using dx::stand_in::number;
using dx::stand_in::word;

namespace {

constexpr long kGpu = 87;
constexpr std::size_t kTotal = std::size_t{7620} << 20;

cudaError_t give(void** place, std::size_t bytes) {
  const long most = number("memory", -1);
  if (most >= 0 && bytes > static_cast<std::size_t>(most)) return cudaErrorMemoryAllocation;
  *place = std::malloc(bytes);
  return *place == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

}  // namespace

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const long gpu = number("gpu", kGpu);
  *value = static_cast<int>(attribute == cudaDevAttrComputeCapabilityMajor ? gpu / 10 : gpu % 10);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  *ms = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  stream->sent.push_back([event] { event->time = std::chrono::steady_clock::now(); });
  return cudaSuccess;
}

cudaError_t cudaFree(void* place) {
  std::free(place);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* place) { return cudaFree(place); }

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = word("no-gpu") ? 0 : 1;
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorMemoryAllocation) return "out of memory";
  return error == cudaErrorNoDevice ? "no CUDA-capable device is detected" : "no error";
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made, cudaGraph_t graph,
                                          unsigned long long) {
  *made = new CUgraphExec_st{*graph};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  for (const auto& work : graph->graph.work) stream->sent.push_back(work);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** place, std::size_t bytes, unsigned int) {
  return give(place, bytes);
}

cudaError_t cudaMalloc(void** place, std::size_t bytes) { return give(place, bytes); }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = kTotal / 2;
  *total = kTotal;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  stream->sent.push_back([to, from, bytes] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->recording.emplace();
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->recording) return cudaErrorInvalidValue;
  *graph = new CUgraph_st(std::move(*stream->recording));
  stream->recording.reset();
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  for (const auto& work : std::exchange(stream->sent, {})) work();
  return cudaSuccess;
}
