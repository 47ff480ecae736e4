// A stand-in for TensorRT's parser: it takes what ONNX Runtime takes.
//   refuse=Gemm     refuses each node of that operator
#include <utility>

#include "NvOnnxParser.h"
#include "stand_in.h"
#include "stand_in_network.h"
#include "stand_in_plugins.h"

namespace dx::stand_in {
namespace {

class Error : public nvonnxparser::IParserError {
 public:
  Error(int index, Node node, std::string text)
      : index_(index), node_(std::move(node)), text_(std::move(text)) {}
  const char* desc() const override { return text_.c_str(); }
  int node() const override { return index_; }
  const char* nodeName() const override { return node_.name.c_str(); }
  const char* nodeOperator() const override { return node_.type.c_str(); }

 private:
  const int index_;
  const Node node_;
  const std::string text_;
};

class Parser : public nvonnxparser::IParser {
 public:
  Parser(Network& network, nvinfer1::ILogger& logger) : network_(network), logger_(logger) {}

  bool parse(const void* model, std::size_t size) noexcept override {
    const std::string content(static_cast<const char*>(model), size);
    const std::vector<Node> nodes = nodes_of(content);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (word("refuse") != nodes[i].type) continue;
      errors_.emplace_back(static_cast<int>(i), nodes[i], "not supported by the stand-in");
    }
    const auto plugins = plugins_of(nodes);
    if (!errors_.empty()) return false;
    if (const auto opened = open_model(content, plugins); !opened) {
      complain(logger_, opened.failure().message);
      return false;
    }
    network_.take(content);
    network_.plugins = plugins;
    return true;
  }
  int getNbErrors() const noexcept override { return static_cast<int>(errors_.size()); }
  const nvonnxparser::IParserError* getError(int index) const noexcept override {
    return &errors_.at(static_cast<std::size_t>(index));
  }

 private:
  // Of the nodes that somebody's creator makes plugins of.
  std::vector<std::shared_ptr<PluginNode>> plugins_of(const std::vector<Node>& nodes) {
    std::vector<std::shared_ptr<PluginNode>> plugins;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!is_plugin(nodes[i])) continue;
      auto plugin = std::make_shared<PluginNode>(PluginNode{i, nodes[i], make_plugin(nodes[i])});
      if (plugin->made == nullptr || !settle_types(*plugin)) {
        errors_.emplace_back(static_cast<int>(i), nodes[i], "could not create a plugin");
      } else {
        plugins.push_back(std::move(plugin));
      }
    }
    return plugins;
  }

  Network& network_;
  nvinfer1::ILogger& logger_;
  std::vector<Error> errors_;
};

}  // namespace
}  // namespace dx::stand_in

void* createNvOnnxParser_INTERNAL(void* network, void* logger, int) noexcept {
  auto* const given = static_cast<nvinfer1::INetworkDefinition*>(network);
  return static_cast<nvonnxparser::IParser*>(new dx::stand_in::Parser(
      static_cast<dx::stand_in::Network&>(*given), *static_cast<nvinfer1::ILogger*>(logger)));
}
