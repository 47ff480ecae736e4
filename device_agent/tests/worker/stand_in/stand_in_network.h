// A network and what is known of an ONNX file, of the libraries that stand in for TensorRT's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "NvInfer.h"
#include "common/result.h"
#include "onnx_nodes.h"
#include "workers/core/runtime.h"

namespace dx::stand_in {

struct PluginNode;

// The model in ONNX Runtime, which computes what an engine would.
// `operators` is a library of operators that the model has beside ONNX's.
Result<std::unique_ptr<Model>> open_model(const std::string& model,
                                          const std::string& operators = "");

// Says it to TensorRT's logger, and to nobody else.
void complain(nvinfer1::ILogger& logger, const std::string& text);

nvinfer1::Dims to_dims(const std::vector<std::int64_t>& dims);

class Memory : public nvinfer1::IHostMemory {
 public:
  explicit Memory(std::string content) : content_(std::move(content)) {}
  void* data() const noexcept override { return const_cast<char*>(content_.data()); }
  std::size_t size() const noexcept override { return content_.size(); }

 private:
  const std::string content_;
};

class Tensor : public nvinfer1::ITensor {
 public:
  explicit Tensor(std::string name) : name_(std::move(name)) {}
  const char* getName() const noexcept override { return name_.c_str(); }

 private:
  const std::string name_;
};

class Layer : public nvinfer1::ILayer {
 public:
  explicit Layer(const Node& node) {
    for (const std::string& output : node.outputs) outputs_.push_back(Tensor(output));
  }
  std::int32_t getNbOutputs() const noexcept override {
    return static_cast<std::int32_t>(outputs_.size());
  }
  nvinfer1::ITensor* getOutput(std::int32_t index) const noexcept override {
    return const_cast<Tensor*>(&outputs_.at(static_cast<std::size_t>(index)));
  }

 private:
  std::vector<Tensor> outputs_;
};

class Network : public nvinfer1::INetworkDefinition {
 public:
  virtual void take(const std::string& model) {
    model_ = model;
    for (const Node& node : nodes_of(model)) layers_.push_back(Layer(node));
  }
  std::int32_t getNbLayers() const noexcept override {
    return static_cast<std::int32_t>(layers_.size());
  }
  nvinfer1::ILayer* getLayer(std::int32_t index) const noexcept override {
    return const_cast<Layer*>(&layers_.at(static_cast<std::size_t>(index)));
  }
  void markOutput(nvinfer1::ITensor& tensor) noexcept override {
    marked_.emplace_back(tensor.getName());
  }
  bool is_strongly_typed = false;
  std::vector<std::shared_ptr<PluginNode>> plugins;

  const std::string& model() const { return model_; }
  const std::vector<std::string>& marked() const { return marked_; }

 private:
  std::string model_;
  std::vector<Layer> layers_;
  std::vector<std::string> marked_;
};

// The smallest and the largest size of each input with open axes.
using Range =
    std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>>;

// What is in a serialized engine. `lacks`: of one for the deep learning accelerator the operators
// that it leaves to the GPU, each between commas; "gpu" of any other.
struct Engine {
  std::string model;
  Range range;
  std::string lacks = "gpu";
  std::vector<std::shared_ptr<PluginNode>> plugins = {};
};

// A layer of an engine: a node of the model, or what the accelerator computes in one go.
struct EngineLayer {
  std::string name;
  std::string type;
  std::string output;
};
std::vector<EngineLayer> layers_of(const Engine& engine);

std::string serialize(const Engine& engine);
// Nothing where it is of another version or GPU, or none.
std::unique_ptr<Engine> deserialize(const std::string& content);

}  // namespace dx::stand_in
