// The nodes of an ONNX file, read without protobuf.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dx::stand_in {

struct Node {
  std::string name;
  std::string type;
  std::vector<std::string> outputs;
};

// Fields of bytes of a sound protobuf message; others are passed over.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  bool next() {
    while (!rest_.empty()) {
      const std::uint64_t tag = varint();
      number = tag >> 3;
      const std::uint64_t size = (tag & 7) == 2 ? varint() : (tag & 7) == 1 ? 8 : 4;
      if ((tag & 7) == 0) {
        (void)varint();
        continue;
      }
      content = rest_.substr(0, size);
      rest_.remove_prefix(content.size());
      if ((tag & 7) == 2) return true;
    }
    return false;
  }

  std::uint64_t number = 0;
  std::string_view content;

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  std::string_view rest_;
};

inline Node node_of(std::string_view content) {
  Node node;
  for (Fields fields(content); fields.next();) {
    if (fields.number == 2) node.outputs.emplace_back(fields.content);
    if (fields.number == 3) node.name = std::string(fields.content);
    if (fields.number == 4) node.type = std::string(fields.content);
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
