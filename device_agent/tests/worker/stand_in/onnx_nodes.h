// The nodes of an ONNX file, read without protobuf.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "stand_in_fields.h"

namespace dx::stand_in {

struct Node {
  std::string name;
  std::string type;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> attributes;  // each as the file has it
};

inline Node node_of(std::string_view content) {
  Node node;
  for (Fields fields(content); fields.next();) {
    if (fields.number == 1) node.inputs.emplace_back(fields.content);
    if (fields.number == 2) node.outputs.emplace_back(fields.content);
    if (fields.number == 3) node.name = std::string(fields.content);
    if (fields.number == 4) node.type = std::string(fields.content);
    if (fields.number == 5) node.attributes.emplace_back(fields.content);
  }
  return node;
}

// In the file's order.
inline std::vector<Node> nodes_of(const std::string& model) {
  std::vector<Node> nodes;
  for (Fields fields(model); fields.next();) {
    if (fields.number != 7) continue;
    for (Fields graph(fields.content); graph.next();) {
      if (graph.number == 1) nodes.push_back(node_of(graph.content));
    }
  }
  return nodes;
}

}  // namespace dx::stand_in
