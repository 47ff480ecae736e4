// An operator of our own as a custom operator of ONNX Runtime's. A file ops/<name>/onnxruntime.cpp
// holds one line:
//
//   DX_ONNXRUNTIME_OPERATOR(<name>, Kernel)
//
// All of them are one shared library, which travels with the worker and serves Python's package too
// (RegisterCustomOps in operator_library.cpp). Ports of the type T are float32 here.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "operators/operator.h"

namespace dx {

// The oldest interface that the host's package may have (1.18, pyproject.toml); later ones have it,
// too.
constexpr std::uint32_t kOrtApiVersion = 18;

class OrtKernel {
 public:
  OrtKernel() = default;
  OrtKernel(const OrtKernel&) = delete;
  OrtKernel& operator=(const OrtKernel&) = delete;
  virtual ~OrtKernel() = default;

  virtual const char* run(op::Call& call) const = 0;
};

template <class Kernel>
class OrtKernelOf : public OrtKernel {
 public:
  explicit OrtKernelOf(const op::Attributes& attributes) : kernel_(attributes) {}

  const char* run(op::Call& call) const override { return kernel_.run(call); }

 private:
  Kernel kernel_;
};

template <class Kernel>
std::unique_ptr<OrtKernel> make_ort_kernel(const op::Attributes& attributes) {
  return std::make_unique<OrtKernelOf<Kernel>>(attributes);
}

struct OrtOperator {
  const op::OperatorFacts* facts;
  std::unique_ptr<OrtKernel> (*make)(const op::Attributes& attributes);
};

// Operators with kernels for GPUs, computed by these kernels on the processor. They are for tests
// on computers without a GPU, and are called kDeviceDomain::<folder>.
std::vector<OrtOperator> device_operators();
constexpr const char* kDeviceDomain = "dx.device";

// The operator under one of its names, as ONNX Runtime asks for it. It lives as long as the
// process.
std::unique_ptr<OrtCustomOp> custom_op(const OrtOperator& row, const op::NameFact& name);

}  // namespace dx

#define DX_ONNXRUNTIME_OPERATOR(name, kernel)                                                \
  namespace dx::op::name {                                                                   \
  dx::OrtOperator onnxruntime_operator() { return {&kFacts, &dx::make_ort_kernel<kernel>}; } \
  }

// For an operator that is computed by its kernels for GPUs here, too (operators/host_kernel.h).
#define DX_ONNXRUNTIME_DEVICE_OPERATOR(name)                                          \
  namespace dx::op::name {                                                            \
  dx::OrtOperator onnxruntime_operator() {                                            \
    return {&kFacts, &dx::make_ort_kernel<dx::op::HostKernel<DeviceKernel, kFacts>>}; \
  }                                                                                   \
  }
