#include <NvInfer.h>

#if NV_TENSORRT_MAJOR >= 10

#include <cstring>
#include <new>
#include <vector>

#include "workers/tensorrt/plugin_v3.h"

namespace dx {
namespace {

// What an engine keeps of a node is one field, as the node writes it.
constexpr const char* kKept = "deployx";

// Of the largest sizes.
std::vector<nvinfer1::PluginTensorDesc> largest(const nvinfer1::DynamicPluginTensorDesc* tensors,
                                                std::int32_t count) {
  std::vector<nvinfer1::PluginTensorDesc> made;
  for (std::int32_t i = 0; i < count; ++i) {
    made.push_back(tensors[i].desc);
    made.back().dims = tensors[i].max;
  }
  return made;
}

}  // namespace

PluginV3::PluginV3(PluginName name, std::shared_ptr<const OperatorNode> node, std::size_t inputs)
    : name_(std::move(name)),
      node_(std::move(node)),
      inputs_(inputs),
      field_(kKept, node_->bytes().data(), nvinfer1::PluginFieldType::kCHAR,
             static_cast<std::int32_t>(node_->bytes().size())),
      kept_{1, &field_} {}

nvinfer1::IPluginCapability* PluginV3::getCapabilityInterface(
    nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3* PluginV3::clone() noexcept {
  return new (std::nothrow) PluginV3(name_, node_, inputs_);
}

std::int32_t PluginV3::configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, std::int32_t count,
                                       const nvinfer1::DynamicPluginTensorDesc*,
                                       std::int32_t) noexcept {
  inputs_ = static_cast<std::size_t>(count);
  return 0;
}

std::int32_t PluginV3::getOutputDataTypes(nvinfer1::DataType* types, std::int32_t made,
                                          const nvinfer1::DataType*, std::int32_t) const noexcept {
  for (std::int32_t i = 0; i < made; ++i) {
    types[i] = node_->output_type(static_cast<std::size_t>(i));
  }
  return 0;
}

std::int32_t PluginV3::getOutputShapes(const nvinfer1::DimsExprs* inputs, std::int32_t count,
                                       const nvinfer1::DimsExprs*, std::int32_t,
                                       nvinfer1::DimsExprs* outputs, std::int32_t made,
                                       nvinfer1::IExprBuilder& builder) noexcept {
  if (static_cast<std::size_t>(made) != node_->outputs()) return 1;
  return node_->shapes(inputs, static_cast<std::size_t>(count), outputs, builder) ? 0 : 1;
}

bool PluginV3::supportsFormatCombination(std::int32_t position,
                                         const nvinfer1::DynamicPluginTensorDesc* tensors,
                                         std::int32_t inputs, std::int32_t) noexcept {
  return node_->takes(static_cast<std::size_t>(position), static_cast<std::size_t>(inputs),
                      tensors[position].desc);
}

std::size_t PluginV3::getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs,
                                       std::int32_t count,
                                       const nvinfer1::DynamicPluginTensorDesc* outputs,
                                       std::int32_t made) const noexcept {
  return node_->workspace(largest(inputs, count), largest(outputs, made));
}

std::int32_t PluginV3::onShapeChange(const nvinfer1::PluginTensorDesc*, std::int32_t count,
                                     const nvinfer1::PluginTensorDesc*, std::int32_t) noexcept {
  inputs_ = static_cast<std::size_t>(count);
  return 0;
}

std::int32_t PluginV3::enqueue(const nvinfer1::PluginTensorDesc* input_descs,
                               const nvinfer1::PluginTensorDesc* output_descs,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept {
  return node_->enqueue(inputs_, input_descs, output_descs, inputs, outputs, workspace, stream) ? 0
                                                                                                : 1;
}

CreatorV3::CreatorV3(PluginName name) : name_(std::move(name)) {
  fields_.nbFields = static_cast<std::int32_t>(name_.fields.size());
  fields_.fields = name_.fields.data();
}

nvinfer1::IPluginV3* CreatorV3::createPlugin(const char*,
                                             const nvinfer1::PluginFieldCollection* fields,
                                             nvinfer1::TensorRTPhase phase) noexcept {
  std::shared_ptr<const OperatorNode> node;
  if (phase == nvinfer1::TensorRTPhase::kBUILD) {
    node = OperatorNode::read(name_.row, *fields);
  } else {
    for (std::int32_t i = 0; i < fields->nbFields; ++i) {
      const nvinfer1::PluginField& field = fields->fields[i];
      if (std::strcmp(field.name, kKept) != 0 || field.length < 0) continue;
      node = OperatorNode::read(name_.row, field.data, static_cast<std::size_t>(field.length));
    }
  }
  return node ? new (std::nothrow) PluginV3(name_, std::move(node), 0) : nullptr;
}

}  // namespace dx

#endif
