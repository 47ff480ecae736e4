// Operators of our own as plugins of TensorRT from version 10 on.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <utility>
#include <vector>

#include "workers/tensorrt/operator.h"

namespace dx {

// How many inputs the node has is told before each use.
class PluginV3 : public nvinfer1::IPluginV3,
                 public nvinfer1::IPluginV3OneCore,
                 public nvinfer1::IPluginV3OneBuild,
                 public nvinfer1::IPluginV3OneRuntime {
 public:
  PluginV3(PluginName name, std::shared_ptr<const OperatorNode> node, std::size_t inputs);

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3* clone() noexcept override;

  const char* getPluginName() const noexcept override { return name_.name.c_str(); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  std::int32_t getNbOutputs() const noexcept override {
    return static_cast<std::int32_t>(node_->outputs());
  }
  std::int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, std::int32_t count,
                               const nvinfer1::DynamicPluginTensorDesc* outputs,
                               std::int32_t made) noexcept override;
  std::int32_t getOutputDataTypes(nvinfer1::DataType* types, std::int32_t made,
                                  const nvinfer1::DataType* inputs,
                                  std::int32_t count) const noexcept override;
  std::int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, std::int32_t count,
                               const nvinfer1::DimsExprs* shape_inputs, std::int32_t shape_count,
                               nvinfer1::DimsExprs* outputs, std::int32_t made,
                               nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(std::int32_t position,
                                 const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override;
  std::size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs, std::int32_t count,
                               const nvinfer1::DynamicPluginTensorDesc* outputs,
                               std::int32_t made) const noexcept override;

  std::int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, std::int32_t count,
                             const nvinfer1::PluginTensorDesc* outputs,
                             std::int32_t made) noexcept override;
  std::int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descs,
                       const nvinfer1::PluginTensorDesc* output_descs, const void* const* inputs,
                       void* const* outputs, void* workspace,
                       cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }
  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override { return &kept_; }

 private:
  const PluginName name_;
  const std::shared_ptr<const OperatorNode> node_;
  std::size_t inputs_;
  nvinfer1::PluginField field_;
  nvinfer1::PluginFieldCollection kept_;
};

class CreatorV3 : public nvinfer1::IPluginCreatorV3One {
 public:
  explicit CreatorV3(PluginName name);

  const char* getPluginName() const noexcept override { return name_.name.c_str(); }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &fields_; }
  nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override;

 private:
  const PluginName name_;
  nvinfer1::PluginFieldCollection fields_;
};

}  // namespace dx
