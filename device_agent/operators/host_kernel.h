// Runs an operator's kernels for GPUs on the processor, with loops in place of blocks and threads:
// what they compute is the same but for rounding, how they are launched is not.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "operators/device.h"
#include "operators/device_call.h"

namespace dx::op {

// Shapes of which all sizes are known.
class KnownShapes {
 public:
  using Size = std::int64_t;

  KnownShapes(const Call& call, std::size_t outputs) : call_(call), outputs_(outputs) {}

  bool has(std::size_t input) const { return call_.has(input); }
  std::size_t rank(std::size_t input) const {
    return has(input) ? call_.input(input).shape.size() : 0;
  }
  // 0 where there is no such axis.
  Size input(std::size_t input, std::size_t axis) const {
    return axis < rank(input) ? call_.input(input).shape[axis] : 0;
  }
  static Size constant(std::int64_t value) { return value; }
  static Size product(Size a, Size b) { return a * b; }
  void output(std::size_t place, std::initializer_list<Size> shape) { outputs_[place] = shape; }
  // The shape of an input, however many axes it has.
  void same(std::size_t place, std::size_t input) { outputs_[place] = call_.input(input).shape; }

  const std::vector<Shape>& outputs() const { return outputs_; }

 private:
  const Call& call_;
  std::vector<Shape> outputs_;
};

class HostDeviceCall : public DeviceCall {
 public:
  HostDeviceCall(Call& call, const std::vector<Shape>& shapes) : call_(call), shapes_(shapes) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      outputs_.push_back(call.output(i, shapes[i]));
    }
  }

  // nullptr if all launches were possible and there was memory for the outputs.
  const char* complaint() const {
    const bool written = std::find(outputs_.begin(), outputs_.end(), nullptr) == outputs_.end();
    return written ? complaint_ : kNoMemory;
  }

  bool has(std::size_t input) const override { return call_.has(input); }
  const Tensor& input(std::size_t place) const override { return call_.input(place); }
  float* output(std::size_t place) override { return outputs_[place]; }
  const Shape& output_shape(std::size_t place) const override { return shapes_[place]; }
  float* scratch(std::size_t floats) override { return call_.scratch(floats); }

 protected:
  void queue(const char*, Body body, const void* arguments, std::size_t,
             std::int64_t count) override {
    if (count > kMostIndices) complaint_ = kTooManyIndices;
    if (complaint() != nullptr || count <= 0) return;
    // Few threads for many indices, so that each takes several, and some of the last block none.
    constexpr int kThreads = 32;
    const int blocks = static_cast<int>(std::min<std::int64_t>(count / kThreads + 1, 8));
    call_.parallel(blocks, [&](std::int64_t block, int) {
      for (int thread = 0; thread < kThreads; ++thread) {
        device_place = {static_cast<int>(block), blocks, thread, kThreads};
        body(arguments, static_cast<int>(count));
      }
    });
  }

 private:
  Call& call_;
  const std::vector<Shape>& shapes_;
  std::vector<float*> outputs_;
  const char* complaint_ = nullptr;
};

// A Kernel (operator.h) that computes as a DeviceKernel says.
template <class DeviceKernel, const OperatorFacts& facts>
class HostKernel {
 public:
  explicit HostKernel(const Attributes& attributes) : kernel_(attributes) {}

  const char* run(Call& call) const {
    KnownShapes shapes(call, facts.output_count);
    kernel_.shapes(shapes);
    for (const Shape& shape : shapes.outputs()) {
      for (const std::int64_t size : shape) {
        if (size < 0) return "the shapes of its inputs do not fit";
      }
    }
    HostDeviceCall device(call, shapes.outputs());
    if (device.complaint() != nullptr) return device.complaint();
    if (const char* const complaint = kernel_.run(device)) return complaint;
    return device.complaint();
  }

 private:
  DeviceKernel kernel_;
};

}  // namespace dx::op
