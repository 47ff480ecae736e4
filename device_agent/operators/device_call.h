// How an operator is computed on a GPU: what runtimes with one (TensorRT) are given of it. A class
// DeviceKernel, in ops/<name>/device.h beside the kernels of kernel.cu, is made once of a node's
// attributes:
//
//   class DeviceKernel {
//    public:
//     explicit DeviceKernel(const dx::op::Attributes& attributes);
//
//     // Says each output's shape; Shapes is a runtime's, sizes may be open, so they are no
//     numbers. template <class Shapes> void shapes(Shapes& shapes) const {
//       shapes.output(0, {shapes.input(0, 0), shapes.constant(4)});
//     }
//
//     const char* run(dx::op::DeviceCall& call) const;  // as a Kernel's (operator.h)
//   };
//
// run() only launches kernels: tensors and scratch memory are the GPU's and may not be touched. It
// is also called to see how much scratch memory it takes, with launches that do nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

class DeviceCall {
 public:
  // Calls the kernel for each index below count, when those launched before are done.
  using Body = void (*)(const void* arguments, int count);

  DeviceCall() = default;
  DeviceCall(const DeviceCall&) = delete;
  DeviceCall& operator=(const DeviceCall&) = delete;
  virtual ~DeviceCall() = default;

  virtual bool has(std::size_t input) const = 0;
  virtual const Tensor& input(std::size_t place) const = 0;

  // Of the shape that shapes() says.
  virtual float* output(std::size_t place) = 0;
  virtual const Shape& output_shape(std::size_t place) const = 0;

  // Memory for the run; nullptr where there is none.
  virtual float* scratch(std::size_t floats) = 0;

  // Launches one kernel of kernel.cu: call.launch(shift_kernel{}, arguments, count).
  template <class Kernel>
  void launch(Kernel, const typename Kernel::Given& arguments, std::int64_t count) {
    queue(Kernel::kName, &Kernel::run, &arguments, sizeof arguments, count);
  }

 protected:
  virtual void queue(const char* kernel, Body body, const void* arguments, std::size_t bytes,
                     std::int64_t count) = 0;
};

constexpr const char* kTooManyIndices = "its tensors are too large for a GPU's kernels";

}  // namespace dx::op
