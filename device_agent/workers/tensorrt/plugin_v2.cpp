#include <NvInfer.h>

// Tests compile both kinds.
#if NV_TENSORRT_MAJOR < 10 || defined(DX_BOTH_KINDS_OF_PLUGINS)

#include <cstring>
#include <new>
#include <vector>

#include "workers/tensorrt/plugin_v2.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // see plugin_v2.h

namespace dx {
namespace {

std::vector<nvinfer1::PluginTensorDesc> list_of(const nvinfer1::PluginTensorDesc* tensors,
                                                std::int32_t count) {
  return std::vector<nvinfer1::PluginTensorDesc>(tensors, tensors + count);
}

}  // namespace

std::size_t PluginV2::getSerializationSize() const noexcept {
  return sizeof(std::uint64_t) + node_->bytes().size();
}

void PluginV2::serialize(void* buffer) const noexcept {
  const std::uint64_t inputs = inputs_;
  std::memcpy(buffer, &inputs, sizeof inputs);
  std::memcpy(static_cast<char*>(buffer) + sizeof inputs, node_->bytes().data(),
              node_->bytes().size());
}

nvinfer1::IPluginV2DynamicExt* PluginV2::clone() const noexcept {
  return new (std::nothrow) PluginV2(name_, node_, inputs_);
}

nvinfer1::DimsExprs PluginV2::getOutputDimensions(std::int32_t index,
                                                  const nvinfer1::DimsExprs* inputs,
                                                  std::int32_t count,
                                                  nvinfer1::IExprBuilder& builder) noexcept {
  inputs_ = static_cast<std::size_t>(count);
  std::vector<nvinfer1::DimsExprs> outputs(node_->outputs());
  nvinfer1::DimsExprs none{};
  none.nbDims = -1;
  if (!node_->shapes(inputs, inputs_, outputs.data(), builder)) return none;
  return outputs[static_cast<std::size_t>(index)];
}

bool PluginV2::supportsFormatCombination(std::int32_t position,
                                         const nvinfer1::PluginTensorDesc* tensors,
                                         std::int32_t inputs, std::int32_t) noexcept {
  return node_->takes(static_cast<std::size_t>(position), static_cast<std::size_t>(inputs),
                      tensors[position]);
}

void PluginV2::configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, std::int32_t count,
                               const nvinfer1::DynamicPluginTensorDesc*, std::int32_t) noexcept {
  inputs_ = static_cast<std::size_t>(count);
}

std::size_t PluginV2::getWorkspaceSize(const nvinfer1::PluginTensorDesc* inputs, std::int32_t count,
                                       const nvinfer1::PluginTensorDesc* outputs,
                                       std::int32_t made) const noexcept {
  return node_->workspace(list_of(inputs, count), list_of(outputs, made));
}

std::int32_t PluginV2::enqueue(const nvinfer1::PluginTensorDesc* input_descs,
                               const nvinfer1::PluginTensorDesc* output_descs,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept {
  return node_->enqueue(inputs_, input_descs, output_descs, inputs, outputs, workspace, stream) ? 0
                                                                                                : 1;
}

CreatorV2::CreatorV2(PluginName name) : name_(std::move(name)) {
  fields_.nbFields = static_cast<std::int32_t>(name_.fields.size());
  fields_.fields = name_.fields.data();
}

nvinfer1::IPluginV2* CreatorV2::createPlugin(
    const char*, const nvinfer1::PluginFieldCollection* fields) noexcept {
  std::shared_ptr<const OperatorNode> node = OperatorNode::read(name_.row, *fields);
  return node ? new (std::nothrow) PluginV2(name_, std::move(node), 0) : nullptr;
}

nvinfer1::IPluginV2* CreatorV2::deserializePlugin(const char*, const void* bytes,
                                                  std::size_t size) noexcept {
  std::uint64_t inputs = 0;
  if (size < sizeof inputs) return nullptr;
  std::memcpy(&inputs, bytes, sizeof inputs);
  std::shared_ptr<const OperatorNode> node = OperatorNode::read(
      name_.row, static_cast<const char*>(bytes) + sizeof inputs, size - sizeof inputs);
  if (!node || inputs > node->most_inputs()) return nullptr;
  return new (std::nothrow) PluginV2(name_, std::move(node), static_cast<std::size_t>(inputs));
}

}  // namespace dx

#endif
