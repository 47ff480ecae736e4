// One run of an operator of our own within TensorRT: kernels are launched on its stream.
#pragma once

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <vector>

#include "operators/device_call.h"
#include "workers/tensorrt/operator.h"

namespace dx {

// How TensorRT has a port's values. Before version 10 it has no whole numbers of 64 bits.
nvinfer1::DataType data_type_of(op::Element element);

class TensorrtCall : public op::DeviceCall {
 public:
  TensorrtCall(const TensorrtOperator& row, const nvinfer1::PluginTensorDesc* inputs,
               std::size_t count, const nvinfer1::PluginTensorDesc* outputs);

  // From here on nothing is launched, and workspace() counts.
  void measure();
  std::size_t workspace() const { return used_; }

  // From here on kernels are launched, on these places of the GPU's memory.
  void take(const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream);
  // Writes outputs that are no floats; "", or what was wrong.
  std::string finish();
  const std::string& complaint() const { return complaint_; }

  bool has(std::size_t input) const override { return input < inputs_.size(); }
  const op::Tensor& input(std::size_t place) const override;
  float* output(std::size_t place) override { return floats_[place]; }
  const op::Shape& output_shape(std::size_t place) const override { return outputs_[place]; }
  float* scratch(std::size_t floats) override;

 protected:
  void queue(const char* kernel, Body body, const void* arguments, std::size_t bytes,
             std::int64_t count) override;

 private:
  // Makes a place for floats of each tensor that holds others.
  void add_floats();
  void launch(const op::DeviceCode& code, const char* kernel, const void* arguments,
              std::int64_t count);

  const TensorrtOperator& row_;
  std::vector<op::Tensor> inputs_;
  std::vector<op::Shape> outputs_;
  std::vector<nvinfer1::DataType> input_types_;
  std::vector<nvinfer1::DataType> output_types_;
  std::vector<float*> floats_;  // what kernels write of each output
  std::vector<void*> written_;  // where each output is
  bool launches_ = false;
  char* memory_ = nullptr;
  std::size_t used_ = 0;
  cudaStream_t stream_ = nullptr;
  std::string complaint_;
};

}  // namespace dx
