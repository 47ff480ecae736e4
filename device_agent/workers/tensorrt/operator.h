// An operator of our own in TensorRT. A file ops/<name>/tensorrt.cpp holds one line:
//
//   DX_TENSORRT_OPERATOR(<name>, DeviceKernel)
//
// From it come plugins of both kinds (plugin_v2.h, plugin_v3.h). They are found by what models call
// the operator, without its domain, in TensorRT's namespace "", as its parser looks for them.
#pragma once

#include <NvInfer.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operators/device_call.h"
#include "operators/device_code.h"
#include "operators/operator.h"
#include "workers/tensorrt/logger.h"

namespace dx {

// What DeviceKernel::shapes() is given: sizes are TensorRT's expressions, as they may be open.
class OpenShapes {
 public:
  using Size = const nvinfer1::IDimensionExpr*;

  OpenShapes(const nvinfer1::DimsExprs* inputs, std::size_t count, nvinfer1::DimsExprs* outputs,
             nvinfer1::IExprBuilder& builder)
      : inputs_(inputs), count_(count), outputs_(outputs), builder_(builder) {}

  bool has(std::size_t input) const { return input < count_; }
  std::size_t rank(std::size_t input) const {
    return has(input) ? static_cast<std::size_t>(inputs_[input].nbDims) : 0;
  }
  Size input(std::size_t input, std::size_t axis) const {
    return axis < rank(input) ? inputs_[input].d[axis] : constant(0);
  }
  Size constant(std::int64_t value) const {
    return builder_.constant(static_cast<decltype(nvinfer1::Dims::d[0] + 0)>(value));
  }
  Size product(Size a, Size b) const {
    return builder_.operation(nvinfer1::DimensionOperation::kPROD, *a, *b);
  }
  void output(std::size_t place, std::initializer_list<Size> shape) {
    outputs_[place].nbDims = static_cast<std::int32_t>(shape.size());
    std::size_t axis = 0;
    for (const Size size : shape) outputs_[place].d[axis++] = size;
  }
  void same(std::size_t place, std::size_t input) {
    if (has(input)) outputs_[place] = inputs_[input];
  }

 private:
  const nvinfer1::DimsExprs* inputs_;
  std::size_t count_;
  nvinfer1::DimsExprs* outputs_;
  nvinfer1::IExprBuilder& builder_;
};

class TensorrtKernel {
 public:
  TensorrtKernel() = default;
  TensorrtKernel(const TensorrtKernel&) = delete;
  TensorrtKernel& operator=(const TensorrtKernel&) = delete;
  virtual ~TensorrtKernel() = default;

  virtual void shapes(OpenShapes& shapes) const = 0;
  virtual const char* run(op::DeviceCall& call) const = 0;
};

template <class DeviceKernel>
class TensorrtKernelOf : public TensorrtKernel {
 public:
  explicit TensorrtKernelOf(const op::Attributes& attributes) : kernel_(attributes) {}

  void shapes(OpenShapes& shapes) const override { kernel_.shapes(shapes); }
  const char* run(op::DeviceCall& call) const override { return kernel_.run(call); }

 private:
  DeviceKernel kernel_;
};

template <class DeviceKernel>
std::unique_ptr<TensorrtKernel> make_tensorrt_kernel(const op::Attributes& attributes) {
  return std::make_unique<TensorrtKernelOf<DeviceKernel>>(attributes);
}

struct TensorrtOperator {
  const op::OperatorFacts* facts;
  const op::DeviceCode* code;
  std::unique_ptr<TensorrtKernel> (*make)(const op::Attributes& attributes);
};

// A node of an operator, as both kinds of plugins have it. Plugins share it; it does not change.
class OperatorNode {
 public:
  OperatorNode(const TensorrtOperator& row, op::Attributes attributes);

  // Of a node in a model, whose attributes are the fields; nothing where they do not fit, and
  // take_complaint() says why.
  static std::shared_ptr<const OperatorNode> read(const TensorrtOperator& row,
                                                  const nvinfer1::PluginFieldCollection& fields);

  // Of what bytes() gave; nothing where it did not.
  static std::shared_ptr<const OperatorNode> read(const TensorrtOperator& row, const void* bytes,
                                                  std::size_t size);
  const std::string& bytes() const { return bytes_; }

  std::size_t most_inputs() const { return row_.facts->input_count; }
  std::size_t outputs() const { return row_.facts->output_count; }
  nvinfer1::DataType output_type(std::size_t place) const;

  // Whether the input or output, counted together, is as kernels take it.
  bool takes(std::size_t place, std::size_t inputs, const nvinfer1::PluginTensorDesc& tensor) const;

  // False where there are too many inputs.
  bool shapes(const nvinfer1::DimsExprs* inputs, std::size_t count, nvinfer1::DimsExprs* outputs,
              nvinfer1::IExprBuilder& builder) const;

  // Bytes that a run takes beside its tensors.
  std::size_t workspace(const std::vector<nvinfer1::PluginTensorDesc>& inputs,
                        const std::vector<nvinfer1::PluginTensorDesc>& outputs) const;

  // Launches it all; false where that failed, and take_complaint() says why.
  bool enqueue(std::size_t inputs, const nvinfer1::PluginTensorDesc* input_descs,
               const nvinfer1::PluginTensorDesc* output_descs, const void* const* input_places,
               void* const* output_places, void* workspace, cudaStream_t stream) const;

 private:
  const TensorrtOperator& row_;
  const std::unique_ptr<TensorrtKernel> kernel_;
  const std::string bytes_;
};

// The names by which plugins are found, and the fields that TensorRT's parser reads for them.
struct PluginName {
  TensorrtOperator row;
  std::string name;
  std::vector<nvinfer1::PluginField> fields;
};
std::vector<PluginName> plugin_names(const TensorrtOperator& row);

// What the last operator that failed said, with its name; "" where none did since this was asked.
std::string take_complaint();
void complain(const op::OperatorFacts& facts, const std::string& complaint);

// ": " and what TensorRT and our operators said of a failure; "" for nothing.
std::string because(Logger& logger);

// Makes the operators known to TensorRT, once: `infer` is its opened library.
void register_operators(void* infer);

// All of this build.
const std::vector<TensorrtOperator>& tensorrt_operators();

constexpr const char* kPluginVersion = "1";
constexpr const char* kPluginNamespace = "";

}  // namespace dx

#define DX_TENSORRT_OPERATOR(name, kernel)                             \
  namespace dx::op::name {                                             \
  dx::TensorrtOperator tensorrt_operator() {                           \
    return {&kFacts, &kDeviceCode, &dx::make_tensorrt_kernel<kernel>}; \
  }                                                                    \
  }
