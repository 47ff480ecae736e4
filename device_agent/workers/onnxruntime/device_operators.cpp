#include "device_kernels.inc"
#include "operators/host_kernel.h"
#include "workers/onnxruntime/operator.h"

namespace dx {
namespace {

template <class DeviceKernel, const op::OperatorFacts& facts>
OrtOperator on_the_processor() {
  return {&facts, &make_ort_kernel<op::HostKernel<DeviceKernel, facts>>};
}

}  // namespace

std::vector<OrtOperator> device_operators() {
  return {
#define DX_OPERATOR(name) on_the_processor<op::name::DeviceKernel, op::name::kFacts>(),
#include "device_operators.inc"
#undef DX_OPERATOR
  };
}

}  // namespace dx
