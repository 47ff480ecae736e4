#include "workers/tensorrt/operator_call.h"

#include <algorithm>

#include "operators/whole_numbers.cu"
#include "whole_numbers_device.h"
#include "workers/tensorrt/device_module.h"

namespace dx {
namespace {

using nvinfer1::DataType;

// As CUDA aligns what it gives.
constexpr std::size_t kAlignment = 256;

op::Shape shape_of(const nvinfer1::Dims& dims) {
  return op::Shape(dims.d, dims.d + std::max(dims.nbDims, 0));
}

// The kernel of whole_numbers.cu; nullptr for floats.
const char* reader_of(DataType type) {
  if (type == DataType::kINT32) return op::whole_numbers::of_int32_kernel::kName;
  if (type == DataType::kBOOL) return op::whole_numbers::of_bool_kernel::kName;
#if NV_TENSORRT_MAJOR >= 10
  if (type == DataType::kINT64) return op::whole_numbers::of_int64_kernel::kName;
#endif
  return nullptr;
}

const char* writer_of(DataType type) {
  if (type == DataType::kINT32) return op::whole_numbers::to_int32_kernel::kName;
  if (type == DataType::kBOOL) return op::whole_numbers::to_bool_kernel::kName;
#if NV_TENSORRT_MAJOR >= 10
  if (type == DataType::kINT64) return op::whole_numbers::to_int64_kernel::kName;
#endif
  return nullptr;
}

}  // namespace

DataType data_type_of(op::Element element) {
  switch (element) {
    case op::Element::kFloat:
      return DataType::kFLOAT;
    case op::Element::kInt64:
#if NV_TENSORRT_MAJOR >= 10
      return DataType::kINT64;
#else
      return DataType::kINT32;
#endif
    case op::Element::kInt32:
      return DataType::kINT32;
    case op::Element::kBool:
      return DataType::kBOOL;
  }
  return DataType::kFLOAT;
}

TensorrtCall::TensorrtCall(const TensorrtOperator& row, const nvinfer1::PluginTensorDesc* inputs,
                           std::size_t count, const nvinfer1::PluginTensorDesc* outputs)
    : row_(row) {
  for (std::size_t i = 0; i < count; ++i) {
    inputs_.push_back({nullptr, shape_of(inputs[i].dims)});
    input_types_.push_back(inputs[i].type);
  }
  for (std::size_t i = 0; i < row.facts->output_count; ++i) {
    outputs_.push_back(shape_of(outputs[i].dims));
    output_types_.push_back(outputs[i].type);
  }
  floats_.assign(outputs_.size(), nullptr);
  written_.assign(outputs_.size(), nullptr);
}

void TensorrtCall::measure() {
  launches_ = false;
  add_floats();
}

void TensorrtCall::take(const void* const* inputs, void* const* outputs, void* workspace,
                        cudaStream_t stream) {
  launches_ = true;
  memory_ = static_cast<char*>(workspace);
  stream_ = stream;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i].data = static_cast<const float*>(inputs[i]);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    written_[i] = outputs[i];
    floats_[i] = static_cast<float*>(outputs[i]);
  }
  add_floats();
}

void TensorrtCall::add_floats() {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const char* const reader = reader_of(input_types_[i]);
    if (reader == nullptr) continue;
    const std::int64_t count = op::elements(inputs_[i].shape);
    float* const to = scratch(static_cast<std::size_t>(count));
    const op::whole_numbers::Others arguments{inputs_[i].data, to};
    inputs_[i].data = to;
    launch(op::whole_numbers::kDeviceCode, reader, &arguments, count);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (writer_of(output_types_[i]) == nullptr) continue;
    floats_[i] = scratch(static_cast<std::size_t>(op::elements(outputs_[i])));
  }
}

std::string TensorrtCall::finish() {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const char* const writer = writer_of(output_types_[i]);
    if (writer == nullptr) continue;
    const op::whole_numbers::Floats arguments{floats_[i], written_[i]};
    launch(op::whole_numbers::kDeviceCode, writer, &arguments, op::elements(outputs_[i]));
  }
  return complaint_;
}

const op::Tensor& TensorrtCall::input(std::size_t place) const {
  static const op::Tensor none;
  return has(place) ? inputs_[place] : none;
}

float* TensorrtCall::scratch(std::size_t floats) {
  const std::size_t bytes = std::max<std::size_t>(floats, 1) * sizeof(float);
  const std::size_t begin = used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  // When it only counts, nobody reads what is said to lie there.
  return reinterpret_cast<float*>(launches_ ? memory_ + begin
                                            : reinterpret_cast<char*>(kAlignment) + begin);
}

void TensorrtCall::queue(const char* kernel, Body, const void* arguments, std::size_t,
                         std::int64_t count) {
  launch(*row_.code, kernel, arguments, count);
}

void TensorrtCall::launch(const op::DeviceCode& code, const char* kernel, const void* arguments,
                          std::int64_t count) {
  if (!launches_ || !complaint_.empty() || count <= 0) return;
  if (count > op::kMostIndices) {
    complaint_ = op::kTooManyIndices;
    return;
  }
  complaint_ = launch_kernel(code, kernel, arguments, static_cast<int>(count), stream_);
}

}  // namespace dx
