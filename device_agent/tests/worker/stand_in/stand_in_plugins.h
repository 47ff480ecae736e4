// Nodes that are plugins, in the library that stands in for TensorRT: each goes through what
// TensorRT does with one as it builds an engine, keeps it, reads it again and runs it. ONNX Runtime
// computes the rest, and is given these nodes as operators of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "NvInfer.h"
#include "stand_in_network.h"

namespace dx::stand_in {

using Descs = std::vector<nvinfer1::PluginTensorDesc>;

// A plugin of either kind, as TensorRT uses it.
class Plugin {
 public:
  Plugin() = default;
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  virtual ~Plugin() = default;

  // Of the tensors at their places, inputs before outputs; those behind `place` are not settled.
  virtual bool takes(std::size_t place, const Descs& tensors, std::size_t inputs) = 0;
  virtual std::vector<nvinfer1::DataType> output_types(const Descs& inputs) = 0;
  virtual std::size_t outputs() = 0;
  // Nothing where the plugin refuses.
  virtual std::vector<nvinfer1::Dims> shapes(const Descs& inputs) = 0;
  // The bytes that a run may take.
  virtual std::size_t configure(const Descs& inputs, const Descs& outputs) = 0;
  virtual std::string kept() = 0;
  virtual bool run(const Descs& inputs, const Descs& outputs, const std::vector<const void*>& from,
                   const std::vector<void*>& to, void* workspace, cudaStream_t stream) = 0;
};

// Whether somebody's creator makes plugins of such nodes.
bool is_plugin(const Node& node);

// Of a node in a model; nothing where its creator makes none of it.
std::unique_ptr<Plugin> make_plugin(const Node& node);

// Of what an engine kept, attached to a context.
std::unique_ptr<Plugin> read_plugin(const Node& node, const std::string& kept);

// A node that is a plugin, on its way into an engine and out of it again.
struct PluginNode {
  std::size_t place = 0;  // among the model's nodes
  Node node;
  std::shared_ptr<Plugin> made;                // as the builder has it; an engine keeps its shapes
  std::vector<nvinfer1::DataType> types = {};  // of inputs and outputs, as the plugin takes them
  Descs inputs = {};  // as they are known once the model was looked through
  std::size_t workspace = 0;
  std::string kept = {};
};

// Finds which types it takes; false where none fit.
bool settle_types(PluginNode& plugin);

// Settles what an engine keeps of it; false where its shapes stay open or are refused.
bool finish(PluginNode& plugin);

// The model in ONNX Runtime, with these nodes computed by their plugins: those that are kept, if
// they are, or none, for a look at its shapes.
Result<std::unique_ptr<Model>> open_model(const std::string& model,
                                          const std::vector<std::shared_ptr<PluginNode>>& plugins);

}  // namespace dx::stand_in
