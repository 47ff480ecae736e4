// Operators of our own as plugins of TensorRT before version 10.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <utility>
#include <vector>

#include "workers/tensorrt/operator.h"

// TensorRT 8.6 calls these deprecated, and has no others.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace dx {

// How many inputs the node has is known once TensorRT asks for shapes, and goes into the engine.
class PluginV2 : public nvinfer1::IPluginV2DynamicExt {
 public:
  PluginV2(PluginName name, std::shared_ptr<const OperatorNode> node, std::size_t inputs)
      : name_(std::move(name)), node_(std::move(node)), inputs_(inputs) {}

  const char* getPluginType() const noexcept override { return name_.name.c_str(); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  std::int32_t getNbOutputs() const noexcept override {
    return static_cast<std::int32_t>(node_->outputs());
  }
  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  std::size_t getSerializationSize() const noexcept override;
  void serialize(void* buffer) const noexcept override;
  void destroy() noexcept override { delete this; }
  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override;
  void setPluginNamespace(const char*) noexcept override {}
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  nvinfer1::DataType getOutputDataType(std::int32_t index, const nvinfer1::DataType*,
                                       std::int32_t) const noexcept override {
    return node_->output_type(static_cast<std::size_t>(index));
  }
  nvinfer1::DimsExprs getOutputDimensions(std::int32_t index, const nvinfer1::DimsExprs* inputs,
                                          std::int32_t count,
                                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(std::int32_t position, const nvinfer1::PluginTensorDesc* tensors,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override;
  void configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, std::int32_t count,
                       const nvinfer1::DynamicPluginTensorDesc* outputs,
                       std::int32_t made) noexcept override;
  std::size_t getWorkspaceSize(const nvinfer1::PluginTensorDesc* inputs, std::int32_t count,
                               const nvinfer1::PluginTensorDesc* outputs,
                               std::int32_t made) const noexcept override;
  std::int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descs,
                       const nvinfer1::PluginTensorDesc* output_descs, const void* const* inputs,
                       void* const* outputs, void* workspace,
                       cudaStream_t stream) noexcept override;

 private:
  const PluginName name_;
  const std::shared_ptr<const OperatorNode> node_;
  std::size_t inputs_;
};

class CreatorV2 : public nvinfer1::IPluginCreator {
 public:
  explicit CreatorV2(PluginName name);

  const char* getPluginName() const noexcept override { return name_.name.c_str(); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }
  nvinfer1::IPluginV2* createPlugin(
      const char* name, const nvinfer1::PluginFieldCollection* fields) noexcept override;
  nvinfer1::IPluginV2* deserializePlugin(const char* name, const void* bytes,
                                         std::size_t size) noexcept override;
  void setPluginNamespace(const char*) noexcept override {}
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

 private:
  const PluginName name_;
  nvinfer1::PluginFieldCollection fields_;
};

}  // namespace dx

#pragma GCC diagnostic pop
